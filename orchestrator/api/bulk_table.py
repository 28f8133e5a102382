"""The operations on reviews by filter, and on jobs."""

from collections.abc import Mapping

from orchestrator.accounts import Action
from orchestrator.api import bulk
from orchestrator.api.operations import Answer, Operation
from orchestrator.wire.bulk import (
    BulkReviewAnswer,
    BulkReviewRequest,
    JobAnswer,
    JobPage,
    JobsQuery,
    SamplePage,
    SamplesQuery,
)

_GROUP = "Review by filter"
JOB = {
    "id": 8,
    "kind": "bulk",
    "state": "running",
    "by": "mira",
    "batch_id": 61,
    "undoes": None,
    "total": 12500,
    "processed": 5000,
    "changed": 4987,
    "sampled": 77,
    "progress": 0.4,
    "eta_seconds": 9.2,
    "failure": None,
    "created_at": "2026-01-05T10:00:00.000Z",
    "started_at": "2026-01-05T10:00:01.000Z",
    "finished_at": None,
}
"""An example of a job."""


def bulk_operations(prefix: str, *, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    """Return the operations, below `prefix`. `tag`: an example of one."""
    sample = {
        "id": 90,
        "image_id": 12,
        "file": "/api/v1/images/12/file",
        "spoiler": False,
        "tag": tag,
        "status": "pending",
        "confidence": 0.9731,
        "model_name": "wd14",
        "model_version": 1,
        "version": 1,
        "decided_by": None,
    }
    look = {
        "count": 12500,
        "at_once": False,
        "samples": [sample],
        "confirmation": "WzMsImYwIl0=.9a41",
        "expires_at": "2026-01-05T10:15:00.000Z",
    }
    done = {**JOB, "state": "done", "processed": 12500, "changed": 12480, "sampled": 200}
    done |= {"progress": 1.0, "eta_seconds": None, "finished_at": "2026-01-05T10:00:16.000Z"}
    cancelled = {**JOB, "state": "cancelled", "eta_seconds": None, "finished_at": "2026-01-05T10:00:07.000Z"}
    return (
        Operation(
            method="POST",
            path=f"{prefix}/tag-suggestions/batch-review",
            name="batchReview",
            group=_GROUP,
            summary="Approve or reject all pending suggestions that a filter finds",
            description=(
                "First without `confirmation`: a look, which says how many there are and shows a few, and "
                "changes nothing. Then the same again with the confirmation that it gave: up to 500 are "
                "decided at once (200), more become a job (202). Rows that came after the look are left "
                "alone. However many, it is one batch, which is undone as one; some of its rows are marked "
                "to be looked at again. The same confirmation again is the same job."
            ),
            handler=bulk.batch_review,
            action=Action.BULK_REVIEW,
            body=BulkReviewRequest,
            body_example={
                "decision": "approve",
                "filter": {"tag_ids": [7], "min_confidence": 0.95, "model": "wd14"},
            },
            problems=(409,),
            answers={
                200: Answer(
                    "A look, or what has been decided",
                    BulkReviewAnswer,
                    example={"look": look, "job": None},
                ),
                202: Answer("It goes on as a job", BulkReviewAnswer, example={"look": None, "job": JOB}),
            },
        ),
        Operation(
            method="GET",
            path=f"{prefix}/review-jobs",
            name="listReviewJobs",
            group=_GROUP,
            summary="List jobs, newest first",
            description="One's own; those who may review by filter see everybody's.",
            handler=bulk.list_jobs,
            action=Action.UNDO_OWN,
            any_of=(Action.BULK_REVIEW,),
            query=JobsQuery,
            answers={
                200: Answer("A page of jobs", JobPage, example={"items": [JOB, done], "next_cursor": None})
            },
        ),
        Operation(
            method="GET",
            path=f"{prefix}/review-jobs/{{job_id}}",
            name="showReviewJob",
            group=_GROUP,
            summary="How far a job is",
            handler=bulk.show_job,
            action=Action.UNDO_OWN,
            any_of=(Action.BULK_REVIEW,),
            answers={200: Answer("The job", JobAnswer, example=JOB)},
        ),
        Operation(
            method="GET",
            path=f"{prefix}/review-jobs/{{job_id}}/samples",
            name="listReviewSamples",
            group=_GROUP,
            summary="Rows of a job that somebody should look at again",
            description=(
                "One in fifty, at least 10 and at most about 200, as they are now. Take back what was wrong "
                "with the undo of the job's batch."
            ),
            handler=bulk.list_samples,
            action=Action.UNDO_OWN,
            any_of=(Action.BULK_REVIEW,),
            query=SamplesQuery,
            answers={
                200: Answer(
                    "A page of suggestions", SamplePage, example={"items": [sample], "next_cursor": None}
                )
            },
        ),
        Operation(
            method="POST",
            path=f"{prefix}/review-jobs/{{job_id}}/cancel",
            name="cancelReviewJob",
            group=_GROUP,
            summary="Stop a job",
            description="What it has done stays; undo its batch to take that back. Again changes nothing.",
            handler=bulk.cancel_job,
            action=Action.UNDO_OWN,
            any_of=(Action.BULK_REVIEW,),
            problems=(409,),
            answers={200: Answer("The job as it ended", JobAnswer, example=cancelled)},
        ),
    )
