"""Reviews by filter, and the jobs that large ones and large undos run as."""

from orchestrator import accounts
from orchestrator.accounts import Action
from orchestrator.api import answers, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.records import JobState, as_probability
from orchestrator.review import bulk, jobs, queues
from orchestrator.review.bulk import BulkOrder
from orchestrator.review.confirmation import Confirmations
from orchestrator.store import jobs as stored
from orchestrator.store import selection
from orchestrator.store.jobs import OPEN, Job
from orchestrator.store.selection import SelectedRow
from orchestrator.store.transaction import Transaction
from orchestrator.wire.bulk import (
    BulkLook,
    BulkReviewAnswer,
    BulkReviewRequest,
    JobAnswer,
    JobPage,
    JobsQuery,
    SamplePage,
    SamplesQuery,
    SelectedSuggestion,
)
from orchestrator.wire.schemas import Failure

JOBS = "jobs"
SAMPLES = "samples"


async def batch_review(call: Call) -> Reply:
    """Look at what a filter finds, or decide on what a look has shown."""
    body = await call.json(BulkReviewRequest)
    order = BulkOrder(
        decision=body.decision,
        reason=body.reason,
        note=body.note,
        min_confidence=queues.ten_thousandths(body.filter.min_confidence),
        tag_ids=_distinct(body.filter.tag_ids),
        image_ids=_distinct(body.filter.image_ids),
        model=body.filter.model,
    )
    store, confirmations = call.resources.store, Confirmations.from_settings(call.resources.settings)
    if body.confirmation is None:
        seen = await bulk.look(store, call.user, order, confirmations)
        look = BulkLook(
            count=seen.count,
            at_once=seen.at_once,
            samples=tuple(_selected(row) for row in seen.samples),
            confirmation=seen.confirmation,
            expires_at=seen.expires_at,
        )
        return Reply(200, BulkReviewAnswer(look=look, job=None))
    job = await bulk.confirm(store, call.user, order, body.confirmation, confirmations)
    answer = BulkReviewAnswer(look=None, job=job_answer(job))
    return Reply(202, answer, address(job)) if job.state in OPEN else Reply(200, answer)


async def list_jobs(call: Call) -> Reply:
    """List jobs, the newest first: one's own, or for those in charge all of them."""
    query = call.query(JobsQuery)
    after = pagination.decode(query.cursor, JOBS, 1)
    everything = accounts.may(call.user.role, Action.BULK_REVIEW) and not query.mine
    found = await call.read(
        lambda tx: stored.of_user(
            tx,
            None if everything else call.user.id,
            before=None if after is None else after[0],
            limit=query.limit + 1,
        )
    )
    page = found[: query.limit]
    return Reply(
        200,
        JobPage(
            items=tuple(job_answer(job) for job in page),
            next_cursor=pagination.encode(JOBS, page[-1].id) if len(found) > query.limit else None,
        ),
    )


async def show_job(call: Call) -> Reply:
    """Say how far a job is."""
    job = await call.read(lambda tx: stored.get(tx, call.job_id))
    jobs.require_sight(call.user, job)
    return Reply(200, job_answer(job))


async def cancel_job(call: Call) -> Reply:
    """Stop a job; what it has done stays."""
    return Reply(200, job_answer(await jobs.cancel(call.resources.store, call.user, call.job_id)))


async def list_samples(call: Call) -> Reply:
    """List rows of a job that somebody should look at again."""
    query = call.query(SamplesQuery)
    after = pagination.decode(query.cursor, SAMPLES, 1)

    async def work(tx: Transaction) -> tuple[tuple[int, ...], tuple[SelectedRow, ...]]:
        jobs.require_sight(call.user, await stored.get(tx, call.job_id))
        ids = await stored.samples(
            tx, call.job_id, after_id=0 if after is None else after[0], limit=query.limit + 1
        )
        return ids, await selection.rows(tx, ids[: query.limit])

    ids, rows = await call.read(work)
    more = len(ids) > query.limit
    return Reply(
        200,
        SamplePage(
            items=tuple(_selected(row) for row in rows),
            next_cursor=pagination.encode(SAMPLES, ids[query.limit - 1]) if more else None,
        ),
    )


def address(job: Job) -> dict[str, str]:
    """Return the header that says where to ask how far a job is."""
    return {"Location": f"{answers.PREFIX}/review-jobs/{job.id}"}


def job_answer(job: Job) -> JobAnswer:
    """Return a job with how far it is and how long it will take at its pace."""
    progress = 1.0 if job.state is JobState.DONE else min(job.processed / max(job.total, 1), 1.0)
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        state=job.state,
        by=job.user.name,
        batch_id=job.batch_id,
        undoes=job.target_batch_id,
        total=job.total,
        processed=job.processed,
        changed=job.changed,
        sampled=job.sampled,
        progress=progress,
        eta_seconds=_eta(job),
        failure=None
        if job.failure_code is None
        else Failure(code=job.failure_code, detail=job.failure_detail or ""),
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def _eta(job: Job) -> float | None:
    if job.state not in OPEN or job.started_at is None or not job.processed:
        return None
    taken = (job.now - job.started_at).total_seconds()
    return round(max(taken / job.processed * (job.total - job.processed), 0.0), 1)


def _selected(row: SelectedRow) -> SelectedSuggestion:
    return SelectedSuggestion(
        id=row.id,
        image_id=row.image_id,
        file=answers.links(row.image_id).file,
        spoiler=row.spoiler,
        tag=answers.tag(row.tag),
        status=row.status,
        confidence=as_probability(row.confidence),
        model_name=row.model_name,
        model_version=row.model_version,
        version=row.version,
        decided_by=row.decided_by,
    )


def _distinct(ids: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if ids is None else tuple(sorted(set(ids)))
