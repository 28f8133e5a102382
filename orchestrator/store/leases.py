# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Leases: who has been handed which pending suggestions, or a whole tag, and until when.

The order of locks: the tag's guard, suggestions (never waited for), leases, leased rows. Nobody who reviews
takes any of these but suggestions, so handing out and reviewing never wait for each other in a circle.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.records import Tag
from orchestrator.store.rows import TAG_COLUMNS, moment, tag
from orchestrator.store.transaction import Row, Transaction

KEPT = 3600
"""Seconds for which a lease that has run out is remembered, so that its holder hears what became of it."""

_SWEPT = 20

HELD_BY_ANYBODY = (
    "(SELECT r.lease_id FROM leased_suggestions r JOIN leases l ON l.id = r.lease_id"
    " WHERE r.suggestion_id = s.id AND l.expires_at > UTC_TIMESTAMP(6) LIMIT 1) > 0"
)
"""Whether a row `s` of suggestions is leased."""

HELD_BY_OTHERS = (
    "(SELECT r.lease_id FROM leased_suggestions r JOIN leases l ON l.id = r.lease_id"
    " WHERE r.suggestion_id = s.id AND l.expires_at > UTC_TIMESTAMP(6) AND l.user_id <> :user_id LIMIT 1) > 0"
)
"""Whether somebody else than `:user_id` leased a row `s` of suggestions."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that has not run out. `rows`: pending suggestions that it holds."""

    id: int
    user_id: int
    holder: str
    tag: Tag
    whole_tag: bool
    created_at: datetime
    expires_at: datetime
    rows: int


@dataclass(frozen=True, slots=True)
class Holding:
    """A lease's row, locked. `live`: it has not run out."""

    user_id: int
    live: bool


async def live(
    tx: Transaction,
    *,
    tag_ids: Collection[int] | None = None,
    user_id: int | None = None,
    lease_id: int | None = None,
    before: int | None = None,
    limit: int = 1000,
) -> list[Lease]:
    """Return the leases that have not run out, the newest first, each with what it still holds."""
    if tag_ids is not None and not tag_ids:
        return []
    conditions = ["l.expires_at > UTC_TIMESTAMP(6)"]
    conditions += ["l.tag_id IN :tag_ids"] if tag_ids is not None else []
    conditions += ["l.user_id = :user_id"] if user_id is not None else []
    conditions += ["l.id = :lease_id"] if lease_id is not None else []
    conditions += ["l.id < :before"] if before is not None else []
    rows = await tx.fetch_all(
        f"""
        SELECT l.id, l.user_id, u.name AS holder, l.whole_tag, l.created_at, l.expires_at, {TAG_COLUMNS},
               IF(l.whole_tag,
                  COALESCE((SELECT p.pending FROM tag_pending p WHERE p.tag_id = l.tag_id), 0),
                  (SELECT COUNT(*) FROM leased_suggestions r JOIN suggestions s ON s.id = r.suggestion_id
                   WHERE r.lease_id = l.id AND s.status = 'pending')) AS held
        FROM leases l JOIN users u ON u.id = l.user_id JOIN tags t ON t.id = l.tag_id
        WHERE {" AND ".join(conditions)}
        ORDER BY l.id DESC LIMIT :limit
        """,
        tag_ids=None if tag_ids is None else sorted(tag_ids),
        user_id=user_id,
        lease_id=lease_id,
        before=before,
        limit=limit,
    )
    return [_lease(row) for row in rows]


def _lease(row: Row) -> Lease:
    return Lease(
        id=row["id"],
        user_id=row["user_id"],
        holder=row["holder"],
        tag=tag(row),
        whole_tag=bool(row["whole_tag"]),
        created_at=moment(row["created_at"]),
        expires_at=moment(row["expires_at"]),
        rows=int(row["held"]),
    )


async def guard(tx: Transaction, tag_id: int, *, alone: bool) -> None:
    """Enter a tag to hand out of it: with others who hand out rows, or alone to hand out the tag."""
    known = await tx.fetch_one("SELECT tag_id FROM lease_guards WHERE tag_id = :tag_id", tag_id=tag_id)
    if known is None:
        await tx.insert_many("lease_guards", ("tag_id",), [(tag_id,)], on_duplicate="tag_id = tag_id")
    how = "FOR UPDATE" if alone else "LOCK IN SHARE MODE"
    await tx.fetch_one(f"SELECT tag_id FROM lease_guards WHERE tag_id = :tag_id {how}", tag_id=tag_id)


async def take(tx: Transaction, suggestion_ids: Collection[int]) -> frozenset[int]:
    """Lock those of these rows that are pending, that nobody works on, and that no lease holds.

    A row whose lease has run out is free: that lease is locked as well, so that it is not renewed meanwhile.
    """
    if not suggestion_ids:
        return frozenset()
    locked = await tx.fetch_rows(
        "SELECT id FROM suggestions FORCE INDEX (PRIMARY) WHERE id IN :ids AND status = 'pending'"
        " ORDER BY id FOR UPDATE SKIP LOCKED",
        ids=sorted(suggestion_ids),
    )
    free = {row[0] for row in locked}
    if not free:
        return frozenset()
    # Who leases a row locks it until the lease is there, so this look, later than the lock, sees every lease.
    held = await tx.fetch_rows(
        "SELECT r.suggestion_id, l.id, l.expires_at > UTC_TIMESTAMP(6) FROM leased_suggestions r"
        " JOIN leases l ON l.id = r.lease_id WHERE r.suggestion_id IN :ids",
        ids=sorted(free),
    )
    run_out = sorted({lease for _, lease, alive in held if not alive})
    over: set[int] = set()
    if run_out:
        found = await tx.fetch_rows(
            "SELECT id FROM leases WHERE id IN :ids AND expires_at <= UTC_TIMESTAMP(6)"
            " ORDER BY id FOR UPDATE",
            ids=run_out,
        )
        over = {row[0] for row in found}
    return frozenset(free - {row for row, lease, _ in held if lease not in over})


async def add(
    tx: Transaction, *, user_id: int, tag_id: int, suggestion_ids: Collection[int] | None, duration: float
) -> int:
    """Add a lease on rows that `take` has locked, or (None) on the whole tag; returns its id."""
    row = await tx.fetch_one(
        "INSERT INTO leases (user_id, tag_id, whole_tag, created_at, expires_at) VALUES (:user_id, :tag_id,"
        " :whole, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL :length MICROSECOND) RETURNING id",
        user_id=user_id,
        tag_id=tag_id,
        whole=suggestion_ids is None,
        length=round(duration * 1e6),
    )
    if row is None:
        raise RuntimeError("INSERT INTO leases returned no id")
    lease_id = int(row["id"])
    await tx.insert_many(
        "leased_suggestions",
        ("suggestion_id", "lease_id"),
        [(suggestion_id, lease_id) for suggestion_id in sorted(suggestion_ids or ())],
        on_duplicate="lease_id = VALUES(lease_id)",
    )
    return lease_id


async def lock(tx: Transaction, lease_id: int) -> Holding | None:
    """Lock a lease, also one that has run out; None when there is none."""
    row = await tx.fetch_one(
        "SELECT user_id, expires_at > UTC_TIMESTAMP(6) AS live FROM leases WHERE id = :id FOR UPDATE",
        id=lease_id,
    )
    return None if row is None else Holding(row["user_id"], bool(row["live"]))


async def prolong(tx: Transaction, lease_id: int, *, duration: float) -> None:
    """Let a locked lease run `duration` seconds from now."""
    await tx.execute(
        "UPDATE leases SET expires_at = UTC_TIMESTAMP(6) + INTERVAL :length MICROSECOND WHERE id = :id",
        id=lease_id,
        length=round(duration * 1e6),
    )


async def remove(tx: Transaction, lease_ids: Sequence[int]) -> None:
    """End locked leases."""
    if lease_ids:
        await tx.execute("DELETE FROM leased_suggestions WHERE lease_id IN :ids", ids=lease_ids)
        await tx.execute("DELETE FROM leases WHERE id IN :ids", ids=lease_ids)


async def sweep(tx: Transaction) -> None:
    """Forget a few leases that ran out long ago and that nobody is at."""
    rows = await tx.fetch_rows(
        "SELECT id FROM leases WHERE expires_at < UTC_TIMESTAMP(6) - INTERVAL :kept SECOND"
        " ORDER BY id LIMIT :few FOR UPDATE SKIP LOCKED",
        kept=KEPT,
        few=_SWEPT,
    )
    await remove(tx, [row[0] for row in rows])


async def held_rows(tx: Transaction, *, user_id: int, tag_id: int) -> list[int]:
    """Return the suggestions of a tag that somebody's leases hold, in id order."""
    rows = await tx.fetch_rows(
        "SELECT r.suggestion_id FROM leases l JOIN leased_suggestions r ON r.lease_id = l.id"
        " WHERE l.user_id = :user_id AND l.tag_id = :tag_id AND l.expires_at > UTC_TIMESTAMP(6)"
        " ORDER BY r.suggestion_id",
        user_id=user_id,
        tag_id=tag_id,
    )
    return [row[0] for row in rows]


async def rows_of(tx: Transaction, lease_id: int) -> list[int]:
    """Return the suggestions that a lease holds, in id order."""
    rows = await tx.fetch_rows(
        "SELECT suggestion_id FROM leased_suggestions WHERE lease_id = :id ORDER BY suggestion_id",
        id=lease_id,
    )
    return [row[0] for row in rows]
