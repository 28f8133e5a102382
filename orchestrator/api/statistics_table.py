"""The operation on statistics."""

from collections.abc import Mapping

from orchestrator.accounts import Action
from orchestrator.api import statistics
from orchestrator.api.operations import Answer, Operation
from orchestrator.wire.statistics import StatisticsAnswer, StatisticsQuery


def statistics_operations(prefix: str, *, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    """Return the operations, below `prefix`. `tag`: an example of one."""
    line = {
        "model": None,
        "type": None,
        "tag": tag,
        "bucket": None,
        "reviewer": None,
        "day": None,
        "decided": 420,
        "approved": 391,
        "rejected": {"wrong": 22, "redundant": 3, "not_wanted": 4, "other": 0},
        "explored": {"approved": 2, "rejected": 9},
        "implied": 37,
        "cleared": 12,
        "approval_rate": 0.9511,
        "pending": 1250,
    }
    return (
        Operation(
            method="GET",
            path=f"{prefix}/tag-suggestions/stats",
            name="showStatistics",
            group="Statistics",
            summary="How much was decided, and how",
            description=(
                "In all, or by model version, tag type, tag, step of confidence, reviewer or day; over all "
                "time or some days. From sums and counters, so it costs the same however long the log is."
            ),
            handler=statistics.show_statistics,
            action=Action.READ_STATISTICS,
            query=StatisticsQuery,
            query_example={"by": "tag", "since": "2026-01-01"},
            answers={
                200: Answer(
                    "A page of lines",
                    StatisticsAnswer,
                    example={
                        "by": "tag",
                        "items": [line],
                        "waiting": 0,
                        "behind_since": None,
                        "next_cursor": None,
                    },
                )
            },
        ),
    )
