"""The operations on verdicts across images, and on batches of them."""

from collections.abc import Mapping

from orchestrator.accounts import Action
from orchestrator.api import batches, suggestions
from orchestrator.api.bulk_table import JOB
from orchestrator.api.operations import Answer, Operation
from orchestrator.wire.bulk import JobAnswer
from orchestrator.wire.requests import BatchesQuery, ReviewRequest, UndoRequest
from orchestrator.wire.schemas import BatchPage, ReviewAnswer, ReviewProblem, UndoAnswer

_GROUP = "Review"


def review_operations(
    prefix: str, *, result: Mapping[str, object], stale: Mapping[str, object]
) -> tuple[Operation, ...]:
    """Return the operations, below `prefix`. `result`, `stale`: example results of a decision."""
    batch = {
        "id": 5,
        "kind": "review",
        "by": "mira",
        "created_at": "2026-01-05T10:00:00.000Z",
        "undoes": None,
        "undone_by": None,
    }
    undone = {
        "suggestion_id": 90,
        "outcome": "restored",
        "status": "pending",
        "version": 3,
        "unlinked": True,
        "decided_by": None,
        "decided_at": None,
    }
    return (
        Operation(
            method="POST",
            path=f"{prefix}/tag-suggestions/review",
            name="reviewAcrossImages",
            group=_GROUP,
            summary="Approve or reject up to 500 suggestions of any images",
            description=(
                "One batch, stored as a whole or not at all, and undone as a whole. As with one image, a row "
                "that changed since it was seen is a conflict of its own and the rest goes through."
            ),
            handler=suggestions.review_across_images,
            action=Action.REVIEW_OWN,
            any_of=(Action.REVIEW_ANY,),
            body=ReviewRequest,
            body_example={
                "decisions": [
                    {"suggestion_id": 90, "version": 1, "decision": "approve"},
                    {"suggestion_id": 512, "version": 1, "decision": "reject", "reason": "not_wanted"},
                ]
            },
            idempotency_key=True,
            problems=(404,),
            answers={
                200: Answer(
                    "What really happened",
                    ReviewAnswer,
                    example={"batch_id": 5, "results": [result], "counts": None},
                ),
                409: Answer(
                    "Nothing went through, or the idempotency key was used for another request",
                    ReviewProblem,
                    media_types=("application/problem+json",),
                    example={
                        "type": "urn:tagdesk:problem:stale_version",
                        "title": "Conflict",
                        "status": 409,
                        "detail": "every suggestion has changed since it was shown",
                        "code": "stale_version",
                        "results": [stale],
                        "counts": None,
                    },
                ),
            },
        ),
        Operation(
            method="GET",
            path=f"{prefix}/review-batches",
            name="listBatches",
            group=_GROUP,
            summary="List batches of verdicts, newest first",
            description="One's own; moderators see everybody's.",
            handler=batches.list_batches,
            action=Action.UNDO_OWN,
            any_of=(Action.UNDO_ANY,),
            query=BatchesQuery,
            answers={
                200: Answer("A page of batches", BatchPage, example={"items": [batch], "next_cursor": None})
            },
        ),
        Operation(
            method="POST",
            path=f"{prefix}/review-batches/{{batch_id}}/undo",
            name="undoBatch",
            group=_GROUP,
            summary="Take a batch back, or a part of it",
            description=(
                "Every row that is still as the verdict left it is restored, and what followed from it. Rows "
                "that somebody has acted on since are left and reported as `superseded`. Own batches for 24 "
                "hours; moderators anybody's, always. Doing so again changes nothing. A very large batch is "
                "taken back by a job (202)."
            ),
            handler=batches.undo_batch,
            action=Action.UNDO_OWN,
            any_of=(Action.UNDO_ANY,),
            body=UndoRequest,
            body_example={"suggestion_ids": [90]},
            problems=(409,),
            answers={
                200: Answer(
                    "What really happened",
                    UndoAnswer,
                    example={"batch_id": 6, "undone_batch_id": 5, "results": [undone]},
                ),
                202: Answer(
                    "It goes on as a job",
                    JobAnswer,
                    example={**JOB, "kind": "undo", "undoes": 61, "batch_id": 62, "sampled": 0},
                ),
            },
        ),
    )
