# ruff: noqa: S608  (statements are put together from this module's own constants; values are bound)
"""Backfills and their images. A backfill's row is locked by whoever changes its images or counts, before any
image is; so the counts are exact at every moment."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import NotFound
from orchestrator.records import ImageState, RunState
from orchestrator.store.eligibility import HIDDEN
from orchestrator.store.rows import moment, moment_or_none
from orchestrator.store.transaction import Row, Transaction

HELD_TOGETHER = 20_000
"""Ids of images that one transaction looks at for a filter."""


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images; hidden ones never. `unseen_by`: (model, version) that has not looked. `stale`: a model of
    which another version than the active one has looked last: the most pending suggestions come first, then
    the newest images. `ids`: a range."""

    states: tuple[ImageState, ...] = ()
    failures: tuple[str, ...] = ()
    uploader: str | None = None
    uploaded_since: datetime | None = None
    uploaded_before: datetime | None = None
    unseen_by: tuple[str, int] | None = None
    stale: str | None = None
    ids: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """`asked`: JSON text of what was asked for. Of a filter, images up to `selected_to` have been looked at,
    of those up to `until_id`. `sent`: queued and not ended. `resumed_at`: when it began to run the last time,
    with `ended_before` images behind it. `now`: the database's clock."""

    id: int
    state: RunState
    asked: Mapping[str, object]
    selected_to: int
    until_id: int
    total: int
    sent: int
    done: int
    failed: int
    created_at: datetime
    resumed_at: datetime | None
    ended_before: int
    finished_at: datetime | None
    now: datetime

    @property
    def selecting(self) -> bool:
        """Whether there may be more images than `total`."""
        return self.selected_to < self.until_id

    @property
    def waiting(self) -> int:
        """Images that have not been queued for it."""
        return self.total - self.sent - self.done - self.failed


_BACKFILLS = "SELECT b.*, UTC_TIMESTAMP(6) AS now FROM backfills b"


async def add(tx: Transaction, *, asked: Mapping[str, object], until_id: int, state: RunState) -> int:
    """Store a backfill; returns its id. `until_id`: the last image that a filter looks at."""
    backfill_id = await tx.insert("backfills", state=state, asked=json.dumps(asked), until_id=until_id)
    if state is RunState.RUNNING:
        await set_state(tx, backfill_id, state)
    return backfill_id


async def get(tx: Transaction, backfill_id: int) -> Backfill:
    """Return a backfill. Raises NotFound (`backfill_not_found`)."""
    row = await tx.fetch_one(f"{_BACKFILLS} WHERE b.id = :id", id=backfill_id)
    if row is None:
        raise NotFound(f"no backfill has the id {backfill_id}", code="backfill_not_found")
    return _backfill(row)


async def lock(tx: Transaction, backfill_id: int) -> Backfill:
    """Return a backfill that nobody else changes meanwhile. Raises NotFound (`backfill_not_found`)."""
    await tx.fetch_rows("SELECT id FROM backfills WHERE id = :id FOR UPDATE", id=backfill_id)
    return await get(tx, backfill_id)


async def newest(tx: Transaction, *, limit: int) -> list[Backfill]:
    """Return backfills, the newest first."""
    return [
        _backfill(row) for row in await tx.fetch_all(f"{_BACKFILLS} ORDER BY b.id DESC LIMIT :n", n=limit)
    ]


async def unsettled(tx: Transaction) -> list[Backfill]:
    """Return backfills with something left to do or to hear of, the oldest first."""
    rows = await tx.fetch_all(f"{_BACKFILLS} WHERE b.state = 'running' OR b.sent > 0 ORDER BY b.id")
    return [_backfill(row) for row in rows]


async def set_state(tx: Transaction, backfill_id: int, state: RunState) -> None:
    """Set the state of a locked backfill; RUNNING starts its clock anew, DONE and CANCELLED end it."""
    await tx.execute(
        """
        UPDATE backfills
        SET state = :state, resumed_at = IF(:runs, UTC_TIMESTAMP(6), resumed_at),
            ended_before = IF(:runs, done + failed, ended_before),
            finished_at = IF(:ended, UTC_TIMESTAMP(6), NULL)
        WHERE id = :id
        """,
        id=backfill_id,
        state=state,
        runs=state is RunState.RUNNING,
        ended=state in (RunState.DONE, RunState.CANCELLED),
    )


async def last_image(tx: Transaction) -> int:
    """Return the highest id of an image, 0 when there is none."""
    ((last,),) = await tx.fetch_rows("SELECT COALESCE(MAX(id), 0) FROM images")
    return int(last)


async def add_images(tx: Transaction, backfill_id: int, image_ids: Collection[int]) -> frozenset[int]:
    """Add images to a locked backfill; returns those that there are. One that is in it already stays once."""
    if not image_ids:
        return frozenset()
    ids = sorted(image_ids)
    known = await tx.fetch_rows("SELECT id FROM images WHERE id IN :ids", ids=ids)
    there = await tx.fetch_rows(
        "SELECT image_id FROM backfill_images WHERE backfill_id = :id AND image_id IN :ids",
        id=backfill_id,
        ids=ids,
    )
    fresh = sorted({row[0] for row in known} - {row[0] for row in there})
    await tx.insert_many(
        "backfill_images", ("backfill_id", "image_id"), [(backfill_id, one) for one in fresh]
    )
    await _count(tx, backfill_id, total=len(fresh))
    return frozenset(row[0] for row in known)


_BY_ID = "0"
_BY_VALUE = (
    "-CAST(LEAST(65535, (SELECT COUNT(*) FROM suggestions s WHERE s.image_id = i.id"
    " AND s.status = 'pending')) AS SIGNED) * 1099511627776 - i.id"
)
"""What people would be shown next first, then the newest. Ids stay below 2⁴⁰."""


async def select(tx: Transaction, backfill: Backfill, where: ImageFilter) -> None:
    """Add the next images of a locked backfill's filter, of at most HELD_TOGETHER ids."""
    upto = min(backfill.selected_to + HELD_TOGETHER, backfill.until_id)
    place = _BY_ID if where.stale is None else _BY_VALUE
    added = await tx.execute(
        "INSERT INTO backfill_images (backfill_id, image_id, place)"
        f" SELECT :backfill_id, i.id, {place} FROM images i"
        f" WHERE i.id > :behind AND i.id <= :upto AND {_conditions(where)} ORDER BY i.id",
        backfill_id=backfill.id,
        behind=backfill.selected_to,
        upto=upto,
        **_parameters(where),
    )
    await tx.execute("UPDATE backfills SET selected_to = :upto WHERE id = :id", upto=upto, id=backfill.id)
    await _count(tx, backfill.id, total=added)


async def find_ids(tx: Transaction, where: ImageFilter, *, after: int, upto: int, limit: int) -> list[int]:
    """Return the next images that a filter finds, with ids above `after` and up to `upto`, in id order."""
    rows = await tx.fetch_rows(
        "SELECT i.id FROM images i"
        f" WHERE i.id > :after AND i.id <= :upto AND {_conditions(where)} ORDER BY i.id LIMIT :limit",
        after=after,
        upto=upto,
        limit=limit,
        **_parameters(where),
    )
    return [row[0] for row in rows]


async def count_images(tx: Transaction, where: ImageFilter) -> int:
    """Return how many images a filter finds now."""
    ((found,),) = await tx.fetch_rows(
        f"SELECT COUNT(*) FROM images i WHERE {_conditions(where)}", **_parameters(where)
    )
    return int(found)


_SEEN_BY_STALE = (
    "EXISTS (SELECT 1 FROM analyses a JOIN model_versions v ON v.id = a.model_version_id"
    " WHERE a.image_id = i.id AND v.name = :stale"
)


def _conditions(where: ImageFilter) -> str:
    conditions = ["i.eligibility NOT IN :hidden"]
    if where.states:
        conditions.append("i.state IN :states")
    if where.failures:
        conditions.append("i.state = 'failed' AND i.failure_code IN :failures")
    if where.uploader is not None:
        conditions.append("i.uploader_id = (SELECT u.id FROM users u WHERE u.name = :uploader)")
    if where.uploaded_since is not None:
        conditions.append("i.created_at >= :since")
    if where.uploaded_before is not None:
        conditions.append("i.created_at < :before")
    if where.unseen_by is not None:
        conditions.append(
            "NOT EXISTS (SELECT 1 FROM analyses a JOIN model_versions v ON v.id = a.model_version_id"
            " WHERE a.image_id = i.id AND v.name = :model AND v.version = :version)"
        )
    if where.stale is not None:
        conditions.append(f"{_SEEN_BY_STALE}) AND NOT {_SEEN_BY_STALE} AND v.state = 'active')")
    if where.ids is not None:
        conditions.append("i.id BETWEEN :first AND :last")
    return " AND ".join(conditions)


def _parameters(where: ImageFilter) -> dict[str, object]:
    since, before = where.uploaded_since, where.uploaded_before
    return {
        "hidden": sorted(HIDDEN),
        "states": list(where.states),
        "failures": list(where.failures),
        "uploader": where.uploader,
        "since": None if since is None else since.replace(tzinfo=None),
        "before": None if before is None else before.replace(tzinfo=None),
        "model": None if where.unseen_by is None else where.unseen_by[0],
        "version": None if where.unseen_by is None else where.unseen_by[1],
        "stale": where.stale,
        "first": None if where.ids is None else where.ids[0],
        "last": None if where.ids is None else where.ids[1],
    }


async def take(tx: Transaction, backfill_id: int, limit: int) -> list[int]:
    """Mark the next waiting images of a locked backfill as sent; returns their ids in order."""
    rows = await tx.fetch_rows(
        "SELECT image_id FROM backfill_images WHERE backfill_id = :id AND state = 'waiting'"
        " ORDER BY place, image_id LIMIT :limit",
        id=backfill_id,
        limit=limit,
    )
    ids = [row[0] for row in rows]
    await _set_images(tx, backfill_id, ids, "sent", None)
    await _count(tx, backfill_id, sent=len(ids))
    return ids


async def settle(tx: Transaction, backfill_id: int, *, limit: int) -> int:
    """Note which sent images of a locked backfill have ended, and how; returns how many."""
    rows = await tx.fetch_rows(
        "SELECT b.image_id, i.state, i.failure_code FROM backfill_images b JOIN images i ON i.id = b.image_id"
        " WHERE b.backfill_id = :id AND b.state = 'sent' AND i.state IN ('done', 'failed')"
        " ORDER BY b.image_id LIMIT :limit",
        id=backfill_id,
        limit=limit,
    )
    done = [row[0] for row in rows if row[1] == ImageState.DONE]
    await _set_images(tx, backfill_id, done, "done", None)
    failed: dict[str, list[int]] = {}
    for image_id, state, code in rows:
        if state == ImageState.FAILED:
            failed.setdefault(code, []).append(image_id)
    for code, ids in failed.items():
        await _set_images(tx, backfill_id, ids, "failed", code)
    await _count(tx, backfill_id, sent=-len(rows), done=len(done), failed=len(rows) - len(done))
    return len(rows)


async def failures(tx: Transaction, backfill_id: int) -> list[tuple[str, int, int]]:
    """Return (reason, how many images, the newest of them) of a backfill's failures, the most first."""
    rows = await tx.fetch_rows(
        "SELECT code, COUNT(*) AS n, MAX(image_id) FROM backfill_images"
        " WHERE backfill_id = :id AND state = 'failed' GROUP BY code ORDER BY n DESC, code",
        id=backfill_id,
    )
    return [(row[0], int(row[1]), row[2]) for row in rows]


async def retry(tx: Transaction, backfill_id: int, code: str | None) -> int:
    """Let failed images of a locked backfill wait again, of one reason or of any; returns how many."""
    again = await tx.execute(
        "UPDATE backfill_images SET state = 'waiting', code = NULL"
        " WHERE backfill_id = :id AND state = 'failed' AND (:code IS NULL OR code = :code)",
        id=backfill_id,
        code=code,
    )
    await _count(tx, backfill_id, failed=-again)
    return again


async def _set_images(
    tx: Transaction, backfill_id: int, image_ids: Sequence[int], state: str, code: str | None
) -> None:
    if image_ids:
        await tx.execute(
            "UPDATE backfill_images SET state = :state, code = :code"
            " WHERE backfill_id = :id AND image_id IN :ids ORDER BY image_id",
            id=backfill_id,
            ids=image_ids,
            state=state,
            code=code,
        )


async def _count(
    tx: Transaction, backfill_id: int, *, total: int = 0, sent: int = 0, done: int = 0, failed: int = 0
) -> None:
    await tx.execute(
        "UPDATE backfills SET total = total + :total, sent = CAST(sent AS SIGNED) + :sent,"
        " done = done + :done, failed = CAST(failed AS SIGNED) + :failed WHERE id = :id",
        id=backfill_id,
        total=total,
        sent=sent,
        done=done,
        failed=failed,
    )


def _backfill(row: Row) -> Backfill:
    return Backfill(
        id=row["id"],
        state=RunState(row["state"]),
        asked=json.loads(row["asked"]),
        selected_to=row["selected_to"],
        until_id=row["until_id"],
        total=row["total"],
        sent=row["sent"],
        done=row["done"],
        failed=row["failed"],
        created_at=moment(row["created_at"]),
        resumed_at=moment_or_none(row["resumed_at"]),
        ended_before=row["ended_before"],
        finished_at=moment_or_none(row["finished_at"]),
        now=moment(row["now"]),
    )
