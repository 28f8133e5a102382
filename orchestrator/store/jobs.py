"""Review jobs: what is too large for one transaction, chunk by chunk under one undoable batch.

A job's row is locked by the chunk that moves its cursor, before images are; so one process works on a job at
a time, and who cancels it waits for a chunk at most.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import NotFound
from orchestrator.records import JobKind, JobState, Role, User
from orchestrator.store.rows import moment, moment_or_none
from orchestrator.store.selection import Place
from orchestrator.store.transaction import Row, Transaction

OPEN = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Job:
    """A job. `request`: JSON text of what was asked for. `user_enabled`: whether they may still act.

    `total`: rows when it was asked for; `processed`: looked at; `changed`: decided, or restored by an undo;
    `sampled`: marked to be looked at again. `batch_id`: of all that it does; `target_batch_id`: what an undo
    takes back. `now`: the database's clock.
    """

    id: int
    kind: JobKind
    state: JobState
    user: User
    user_enabled: bool
    batch_id: int
    target_batch_id: int | None
    request: str
    total: int
    processed: int
    changed: int
    sampled: int
    place: Place
    until: int
    attempts: int
    failure_code: str | None
    failure_detail: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be stored. `confirmation`: 16 bytes that only one job may have."""

    kind: JobKind
    user_id: int
    batch_id: int
    request: Mapping[str, object]
    total: int
    until: int = 0
    target_batch_id: int | None = None
    confirmation: bytes | None = None


_JOBS = (
    "SELECT j.*, u.external_id, u.name, u.role, u.disabled_at, UTC_TIMESTAMP(6) AS now"
    " FROM review_jobs j JOIN users u ON u.id = j.user_id"
)


async def add(tx: Transaction, new: NewJob) -> int:
    """Store a queued job; returns its id. Raises DuplicateKey for a confirmation that has one."""
    return await tx.insert(
        "review_jobs",
        kind=new.kind,
        user_id=new.user_id,
        batch_id=new.batch_id,
        target_batch_id=new.target_batch_id,
        request=json.dumps(new.request, separators=(",", ":")),
        confirmation=new.confirmation,
        total=new.total,
        until_id=new.until,
    )


async def get(tx: Transaction, job_id: int) -> Job:
    """Return a job. Raises NotFound (`job_not_found`)."""
    row = await tx.fetch_one(f"{_JOBS} WHERE j.id = :id", id=job_id)
    if row is None:
        raise NotFound(f"no job has the id {job_id}", code="job_not_found")
    return _job(row)


async def lock(tx: Transaction, job_id: int) -> Job:
    """Return a job whose row nobody else changes meanwhile. Raises NotFound (`job_not_found`)."""
    await tx.fetch_rows("SELECT id FROM review_jobs WHERE id = :id FOR UPDATE", id=job_id)
    return await get(tx, job_id)


async def of_confirmation(tx: Transaction, confirmation: bytes) -> Job | None:
    """Return the job that a confirmation has started."""
    row = await tx.fetch_one(f"{_JOBS} WHERE j.confirmation = :confirmation", confirmation=confirmation)
    return None if row is None else _job(row)


async def open_on(tx: Transaction, batch_id: int) -> Job | None:
    """Return the unfinished job that writes this batch or takes it back."""
    row = await tx.fetch_one(
        f"{_JOBS} WHERE (j.batch_id = :id OR j.target_batch_id = :id) AND j.state IN :open"
        " ORDER BY j.id LIMIT 1",
        id=batch_id,
        open=list(OPEN),
    )
    return None if row is None else _job(row)


async def unfinished(tx: Transaction) -> tuple[int, ...]:
    """Return the ids of unfinished jobs, the oldest first."""
    rows = await tx.fetch_rows(
        "SELECT id FROM review_jobs WHERE state IN :open ORDER BY id LIMIT 100", open=list(OPEN)
    )
    return tuple(row[0] for row in rows)


async def of_user(tx: Transaction, user_id: int | None, *, before: int | None, limit: int) -> list[Job]:
    """Return somebody's jobs, or all, the newest first; `before`: the last id of the page before."""
    rows = await tx.fetch_all(
        f"{_JOBS} WHERE (:user_id IS NULL OR j.user_id = :user_id) AND (:before IS NULL OR j.id < :before)"
        " ORDER BY j.id DESC LIMIT :limit",
        user_id=user_id,
        before=before,
        limit=limit,
    )
    return [_job(row) for row in rows]


async def advance(
    tx: Transaction, job_id: int, *, place: Place, processed: int, changed: int, sampled: int = 0
) -> None:
    """Move a locked job's cursor behind what this transaction does."""
    await tx.execute(
        """
        UPDATE review_jobs
        SET state = 'running', started_at = COALESCE(started_at, UTC_TIMESTAMP(6)), attempts = 0,
            cursor_tag = :tag_id, cursor_id = :suggestion_id, processed = processed + :processed,
            changed = changed + :changed, sampled = sampled + :sampled
        WHERE id = :id
        """,
        id=job_id,
        tag_id=place.tag_id,
        suggestion_id=place.suggestion_id,
        processed=processed,
        changed=changed,
        sampled=sampled,
    )


async def end(
    tx: Transaction, job_id: int, state: JobState, *, code: str | None = None, detail: str | None = None
) -> None:
    """End a locked job."""
    await tx.execute(
        "UPDATE review_jobs SET state = :state, finished_at = UTC_TIMESTAMP(6), failure_code = :code,"
        " failure_detail = :detail, started_at = COALESCE(started_at, UTC_TIMESTAMP(6)) WHERE id = :id",
        id=job_id,
        state=state,
        code=code,
        detail=None if detail is None else detail[:1000],
    )


async def note_attempt(tx: Transaction, job_id: int) -> int:
    """Count a chunk that failed; returns how many failed in a row."""
    await tx.execute("UPDATE review_jobs SET attempts = attempts + 1 WHERE id = :id", id=job_id)
    return (await get(tx, job_id)).attempts


async def add_samples(tx: Transaction, job_id: int, suggestion_ids: Collection[int]) -> None:
    """Mark rows of a job to be looked at again."""
    await tx.insert_many(
        "review_samples", ("job_id", "suggestion_id"), [(job_id, one) for one in sorted(suggestion_ids)]
    )


async def samples(tx: Transaction, job_id: int, *, after_id: int, limit: int) -> tuple[int, ...]:
    """Return the ids of rows marked to be looked at again, in id order."""
    rows = await tx.fetch_rows(
        "SELECT suggestion_id FROM review_samples WHERE job_id = :id AND suggestion_id > :after_id"
        " ORDER BY suggestion_id LIMIT :limit",
        id=job_id,
        after_id=after_id,
        limit=limit,
    )
    return tuple(row[0] for row in rows)


def _job(row: Row) -> Job:
    return Job(
        id=row["id"],
        kind=JobKind(row["kind"]),
        state=JobState(row["state"]),
        user=User(row["user_id"], row["external_id"], row["name"], Role(row["role"])),
        user_enabled=row["disabled_at"] is None,
        batch_id=row["batch_id"],
        target_batch_id=row["target_batch_id"],
        request=str(row["request"]),
        total=row["total"],
        processed=row["processed"],
        changed=row["changed"],
        sampled=row["sampled"],
        place=Place(row["cursor_tag"], row["cursor_id"]),
        until=row["until_id"],
        attempts=row["attempts"],
        failure_code=row["failure_code"],
        failure_detail=row["failure_detail"],
        created_at=moment(row["created_at"]),
        started_at=moment_or_none(row["started_at"]),
        finished_at=moment_or_none(row["finished_at"]),
        now=moment(row["now"]),
    )
