"""Statistics of the review."""

from datetime import date
from typing import Annotated

from pydantic import AfterValidator

from orchestrator.records import Dimension, TagType
from orchestrator.wire.base import FIRST_YEAR, LAST_YEAR, Answered, Moment, PageQuery, Probability
from orchestrator.wire.schemas import TagAnswer


def _of_our_time(day: date) -> date:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"a day is in the years {FIRST_YEAR} to {LAST_YEAR}")
    return day


Day = Annotated[date, AfterValidator(_of_our_time)]


class StatisticsQuery(PageQuery):
    """By what to tell the reviews apart, and over which days (UTC, both included; all time unless said)."""

    by: Dimension = Dimension.TOTAL
    since: Day | None = None
    until: Day | None = None


class RejectedAnswer(Answered):
    """Rejections by reason."""

    wrong: int
    redundant: int
    not_wanted: int
    other: int


class ExploredAnswer(Answered):
    """Verdicts on explorations, which are below the threshold by nature."""

    approved: int
    rejected: int


class ModelSubject(Answered):
    """A model version."""

    name: str
    version: int


class BucketSubject(Answered):
    """Confidences from `low` on and below `high`."""

    low: Probability
    high: Probability


class StatisticsLine(Answered):
    """What stands of what was decided; what was undone is not in it. Of the subjects, only that of the
    answer's `by` is there. `decided`: `approved` + all of `rejected`. `approval_rate`: approved of decided,
    explorations left out; null where there is none. `implied`: answered by the board's own tagging; it counts
    for recall, not for precision, so not in the rate. `cleared`: made redundant by another verdict.
    `pending`: now; null where no counter says."""

    model: ModelSubject | None
    type: TagType | None
    tag: TagAnswer | None
    bucket: BucketSubject | None
    reviewer: str | None
    day: date | None
    decided: int
    approved: int
    rejected: RejectedAnswer
    explored: ExploredAnswer
    implied: int
    cleared: int
    approval_rate: Probability | None
    pending: int | None


class StatisticsAnswer(Answered):
    """A page of lines, the most decided ones first, days the newest first. They are summed up a moment behind
    the reviews: `waiting` batches of verdicts, the oldest one begun at `behind_since`, are not in them
    yet."""

    by: Dimension
    items: tuple[StatisticsLine, ...]
    waiting: int
    behind_since: Moment | None
    next_cursor: str | None
