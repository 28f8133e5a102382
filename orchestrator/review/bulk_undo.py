"""Taking back what is too large for one transaction: as a job, some images at a time, into one batch.

All of what a batch did to an image is taken back in one go, so that what depends on each other stays
together.
"""

from collections.abc import Collection

from orchestrator.records import JobKind, JobState, UndoneAs, UndoOutcome, User
from orchestrator.review.undo import UNDO, check, undo_images, undo_now
from orchestrator.store import batches, jobs, verdicts
from orchestrator.store.jobs import Job, NewJob
from orchestrator.store.selection import Place
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

AT_ONCE = 2_000
"""Lines of the log that one transaction takes back."""
CHUNK = 100
"""Images."""


async def take_back(
    store: Store, actor: User, batch_id: int, *, suggestion_ids: Collection[int] | None = None
) -> UndoOutcome | Job:
    """Take a batch back, or only what was decided on `suggestion_ids`; a large one as a job.

    While a batch is being taken back, that job is the answer. Raises as `undo.undo`.
    """

    async def work(tx: Transaction) -> UndoOutcome | Job:
        lines = 0 if suggestion_ids is not None else await batches.count_standing(tx, batch_id)
        if lines <= AT_ONCE:
            return await undo_now(tx, actor, batch_id, suggestion_ids)
        batch = await batches.lock(tx, batch_id)
        known = await jobs.open_on(tx, batch_id)
        now = (await verdicts.lock_images(tx, [])).now
        if known is not None and known.target_batch_id == batch_id and known.user.id == actor.id:
            return known
        await check(tx, actor, batch, now)
        into = await verdicts.open_batch(tx, user_id=actor.id, kind=UNDO, undoes=batch_id)
        new = NewJob(
            kind=JobKind.UNDO,
            user_id=actor.id,
            batch_id=into,
            request={},
            total=lines,
            target_batch_id=batch_id,
        )
        return await jobs.get(tx, await jobs.add(tx, new))

    return await store.write(work)


async def undo_chunk(tx: Transaction, job: Job) -> None:
    """Take back what a locked job's batch did to the next images; behind the last ones it ends."""
    target = job.batch_id if job.target_batch_id is None else job.target_batch_id
    images = await batches.standing_images(tx, target, after=job.place.suggestion_id, limit=CHUNK)
    if images:
        await batches.grows(tx, job.batch_id)
        outcome = await undo_images(tx, job.user, await batches.get(tx, target), images, into=job.batch_id)
        restored = sum(one.outcome is not UndoneAs.SUPERSEDED for one in outcome.results)
        await jobs.advance(
            tx, job.id, place=Place(0, images[-1]), processed=len(outcome.results), changed=restored
        )
    if len(images) < CHUNK:
        await jobs.end(tx, job.id, JobState.DONE)
