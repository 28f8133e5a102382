"""Running review jobs, a chunk a transaction, and what people may do with them."""

import time

import structlog

from orchestrator import accounts
from orchestrator.accounts import Action
from orchestrator.errors import Conflict, Forbidden, StoreUnavailable, TagdeskError
from orchestrator.records import JobKind, JobState, User
from orchestrator.review.bulk import judge_chunk
from orchestrator.review.bulk_undo import undo_chunk
from orchestrator.store import jobs
from orchestrator.store.jobs import OPEN, Job
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

log = structlog.get_logger(__name__)

BUDGET = 2.0
"""Seconds that one step of the keeper gives to jobs, so that it ends soon when it is told to."""
MAX_ATTEMPTS = 5
DEFECT = "internal_error"
_NEEDS = {JobKind.BULK: Action.BULK_REVIEW, JobKind.UNDO: Action.UNDO_OWN}


class JobRunner:
    """The keeper's part. Unfinished jobs take turns, so that a small one does not wait for a large one."""

    def __init__(self, store: Store, *, budget: float = BUDGET) -> None:
        self._store = store
        self._budget = budget
        self._last = 0

    async def work(self) -> int:
        """Work on unfinished jobs until there are none or the time is up; returns the chunks taken.

        Raises StoreUnavailable; what was under way is then still to be done.
        """
        until, chunks = time.monotonic() + self._budget, 0
        while time.monotonic() < until:
            waiting = await self._store.read(jobs.unfinished)
            if not waiting:
                break
            self._last = next((one for one in waiting if one > self._last), waiting[0])
            await self._chunk(self._last)
            chunks += 1
        return chunks

    async def _chunk(self, job_id: int) -> None:
        try:
            ended = await self._store.write(lambda tx: take_chunk(tx, job_id))
        except StoreUnavailable:
            raise
        except TagdeskError as error:
            log.warning("job failed", job_id=job_id, code=error.code, detail=error.detail)
            await self._fail(job_id, error.code, error.detail)
        except Exception:
            log.exception("chunk of a job failed unexpectedly", job_id=job_id)
            if await self._store.write(lambda tx: jobs.note_attempt(tx, job_id)) >= MAX_ATTEMPTS:
                await self._fail(job_id, DEFECT, "a defect of ours; the keeper's log has it")
        else:
            if ended is not None:
                log.info("job ended", job_id=job_id, state=ended.state, changed=ended.changed)

    async def _fail(self, job_id: int, code: str, detail: str) -> None:
        await self._store.write(lambda tx: _end(tx, job_id, JobState.FAILED, code, detail))


async def take_chunk(tx: Transaction, job_id: int) -> Job | None:
    """Do a job's next chunk; returns the job when that ended it. Nothing is done for one that has ended."""
    job = await jobs.lock(tx, job_id)
    if job.state not in OPEN:
        return None
    if not (job.user_enabled and accounts.may(job.user.role, _NEEDS[job.kind])):
        raise Forbidden(f"{job.user.name} may not do this any more", code="role_forbids")
    if job.kind is JobKind.BULK:
        await judge_chunk(tx, job)
    else:
        await undo_chunk(tx, job)
    after = await jobs.get(tx, job_id)
    return None if after.state in OPEN else after


async def cancel(store: Store, actor: User, job_id: int) -> Job:
    """Stop a job; what it has done stays, and is taken back as its batch. Doing so again changes nothing.

    Raises NotFound, Forbidden (`not_your_job`), Conflict (`job_finished`).
    """

    async def work(tx: Transaction) -> Job:
        job = await jobs.lock(tx, job_id)
        require_sight(actor, job)
        if job.state in OPEN:
            await jobs.end(tx, job_id, JobState.CANCELLED)
        elif job.state is not JobState.CANCELLED:
            raise Conflict("the job has ended: undo its batch instead", code="job_finished")
        return await jobs.get(tx, job_id)

    return await store.write(work)


def require_sight(actor: User, job: Job) -> None:
    """Let see one's own jobs, and all of them those in charge. Raises Forbidden (`not_your_job`)."""
    if actor.id != job.user.id and not accounts.may(actor.role, Action.BULK_REVIEW):
        raise Forbidden("this job is another's", code="not_your_job")


async def _end(tx: Transaction, job_id: int, state: JobState, code: str, detail: str) -> None:
    job = await jobs.lock(tx, job_id)
    if job.state in OPEN:
        await jobs.end(tx, job_id, state, code=code, detail=detail)
