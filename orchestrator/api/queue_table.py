"""The operations on reviewers' queues, and on leases."""

from collections.abc import Mapping

from orchestrator.accounts import Action
from orchestrator.api import leases, queues
from orchestrator.api.operations import Answer, Operation
from orchestrator.wire.leases import ClaimAnswer, ClaimRequest, LeaseAnswer, LeasePage, LeasesQuery, Released
from orchestrator.wire.queues import QueueAnswer, QueueQuery, WorklistAnswer, WorklistQuery

_QUEUES = "Queues"
_LEASES = "Leases"
_HELD = {
    "lease_id": 31,
    "holder": "tomo",
    "whole_tag": False,
    "rows": 48,
    "expires_at": "2026-01-05T10:05:00.000Z",
}


def queue_operations(prefix: str, *, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    """Return the operations, below `prefix`. `tag`: an example of one."""
    item = {
        "id": 90,
        "image": {
            "id": 12,
            "external_id": 4711,
            "uploader": "hana",
            "width": 1200,
            "height": 1600,
            "media_type": "image/jpeg",
            "spoiler": False,
            "file": "/api/v1/images/12/file",
            "tags": [{"id": 3, "external_id": 1001, "title": "smile", "type": "theme"}],
        },
        "confidence": 0.9731,
        "score": 0.9731,
        "model_source": "danbooru",
        "model_name": "wd14",
        "model_version": 1,
        "version": 1,
        "inferred": False,
        "exploration": False,
        "created_at": "2026-01-05T09:00:00.000Z",
        "lease": None,
    }
    held = {**item, "lease": {"holder": "mira", "mine": True, "expires_at": "2026-01-05T10:06:00.000Z"}}
    return (*_queues(prefix, tag, item), *_leases(prefix, tag, held))


def _queues(prefix: str, tag: Mapping[str, object], item: Mapping[str, object]) -> tuple[Operation, ...]:
    return (
        Operation(
            method="GET",
            path=f"{prefix}/tag-suggestions/worklist",
            name="showWorklist",
            group=_QUEUES,
            summary="Tags with pending suggestions, the most first",
            description=(
                "From counters, so it costs the same however many are pending. A tag that others hold is in "
                "it, with who holds it and until when."
            ),
            handler=queues.show_worklist,
            action=Action.USE_QUEUES,
            query=WorklistQuery,
            query_example={"type": "theme", "min_confidence": 0.8, "search": "eyes"},
            answers={
                200: Answer(
                    "A page of tags",
                    WorklistAnswer,
                    example={
                        "items": [{"tag": tag, "pending": 1250, "held": 48, "holders": [_HELD]}],
                        "next_cursor": None,
                    },
                )
            },
        ),
        Operation(
            method="GET",
            path=f"{prefix}/tag-suggestions",
            name="showQueue",
            group=_QUEUES,
            summary="The pending suggestions of one tag",
            description=(
                "Each with its image and the tags that the image has. One row in twenty is an exploration: a "
                "score just below the threshold, there to learn what lies below it. What is shown is noted."
            ),
            handler=queues.show_queue,
            action=Action.USE_QUEUES,
            query=QueueQuery,
            query_example={"tag_id": 7, "order": "uncertainty", "held": "free"},
            problems=(404,),
            answers={
                200: Answer(
                    "A page of suggestions",
                    QueueAnswer,
                    example={
                        "tag": tag,
                        "items": [item],
                        "pending": 1250,
                        "held": [_HELD],
                        "next_cursor": None,
                    },
                )
            },
        ),
    )


def _leases(prefix: str, tag: Mapping[str, object], item: Mapping[str, object]) -> tuple[Operation, ...]:
    lease = {
        "id": 32,
        "tag": tag,
        "holder": "mira",
        "mine": True,
        "whole_tag": False,
        "rows": 50,
        "created_at": "2026-01-05T10:01:00.000Z",
        "expires_at": "2026-01-05T10:06:00.000Z",
    }
    return (
        Operation(
            method="POST",
            path=f"{prefix}/leases",
            name="claimLease",
            group=_LEASES,
            summary="Be handed rows of a tag that nobody holds, or the whole tag",
            description=(
                "No two reviewers are handed the same row. A lease runs for some minutes (five unless the "
                "installation says otherwise) and is renewed by who works on it; then others may take over. "
                "It is about handing out only: a verdict by somebody else counts all the same."
            ),
            handler=leases.claim,
            action=Action.USE_QUEUES,
            body=ClaimRequest,
            body_example={"tag_id": 7, "limit": 50, "order": "uncertainty"},
            idempotency_key=True,
            problems=(404, 409),
            answers={
                200: Answer(
                    "What the caller holds now; nothing when others hold all of it",
                    ClaimAnswer,
                    example={"lease": lease, "items": [item], "held": [_HELD]},
                )
            },
        ),
        Operation(
            method="GET",
            path=f"{prefix}/leases",
            name="listLeases",
            group=_LEASES,
            summary="Who holds what, and until when",
            handler=leases.list_leases,
            action=Action.USE_QUEUES,
            query=LeasesQuery,
            answers={
                200: Answer(
                    "Leases that have not run out",
                    LeasePage,
                    example={"items": [lease], "next_cursor": None},
                )
            },
        ),
        Operation(
            method="POST",
            path=f"{prefix}/leases/{{lease_id}}/renew",
            name="renewLease",
            group=_LEASES,
            summary="Keep what one was handed for longer",
            description="From now on for as long as a new one. One that has run out is claimed anew instead.",
            handler=leases.renew,
            action=Action.USE_QUEUES,
            problems=(409,),
            answers={200: Answer("The lease as it runs now", LeaseAnswer, example=lease)},
        ),
        Operation(
            method="DELETE",
            path=f"{prefix}/leases/{{lease_id}}",
            name="releaseLease",
            group=_LEASES,
            summary="Give back what one was handed",
            description="One's own; those who may undo anybody's verdicts, anybody's.",
            handler=leases.release,
            action=Action.USE_QUEUES,
            answers={200: Answer("It is over", Released, example={"id": 32, "rows": 12})},
        ),
    )
