"""Batches of the review log: what was done together, and what of it was undone."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import NotFound
from orchestrator.records import SuggestionStatus
from orchestrator.store.rows import moment
from orchestrator.store.transaction import Row, Transaction
from orchestrator.store.verdicts import Act


@dataclass(frozen=True, slots=True)
class Batch:
    """The verdicts of one request. `undoes`: the batch that this one took back."""

    id: int
    user_id: int
    user_name: str
    kind: str
    created_at: datetime
    undone_by: int | None
    undoes: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log that has not been undone."""

    id: int
    suggestion_id: int
    image_id: int
    act: Act
    from_status: SuggestionStatus
    to_status: SuggestionStatus
    to_version: int
    linked_tag_id: int | None
    cause: int | None


_BATCHES = "SELECT b.*, u.name AS user_name FROM review_batches b JOIN users u ON u.id = b.user_id"


async def get(tx: Transaction, batch_id: int) -> Batch:
    """Return a batch. Raises NotFound (`batch_not_found`)."""
    row = await tx.fetch_one(f"{_BATCHES} WHERE b.id = :id", id=batch_id)
    if row is None:
        raise NotFound(f"no batch has the id {batch_id}", code="batch_not_found")
    return _batch(row)


def _batch(row: Row) -> Batch:
    return Batch(
        id=row["id"],
        user_id=row["user_id"],
        user_name=row["user_name"],
        kind=row["kind"],
        created_at=moment(row["created_at"]),
        undone_by=row["undone_by"],
        undoes=row["undoes"],
    )


async def images(
    tx: Transaction, batch_id: int, suggestion_ids: Collection[int] | None = None
) -> frozenset[int]:
    """Return the images that a batch speaks of; `suggestion_ids`: where it speaks of those."""
    rows = await tx.fetch_rows(
        "SELECT DISTINCT image_id FROM verdicts WHERE batch_id = :id AND (:all OR suggestion_id IN :ids)",
        id=batch_id,
        all=suggestion_ids is None,
        ids=sorted(suggestion_ids or [0]),
    )
    return frozenset(row[0] for row in rows)


async def standing_images(tx: Transaction, batch_id: int, *, after: int, limit: int) -> tuple[int, ...]:
    """Return the next images that a batch has lines on which have not been undone, in id order."""
    rows = await tx.fetch_rows(
        "SELECT DISTINCT image_id FROM verdicts"
        " WHERE batch_id = :id AND undone_by IS NULL AND image_id > :after ORDER BY image_id LIMIT :limit",
        id=batch_id,
        after=after,
        limit=limit,
    )
    return tuple(row[0] for row in rows)


async def count_standing(tx: Transaction, batch_id: int) -> int:
    """Return how many lines of a batch have not been undone."""
    rows = await tx.fetch_rows(
        "SELECT COUNT(*) FROM verdicts WHERE batch_id = :id AND undone_by IS NULL", id=batch_id
    )
    return int(rows[0][0])


async def standing(
    tx: Transaction,
    batch_id: int,
    image_ids: Collection[int],
    suggestion_ids: Collection[int] | None = None,
) -> list[Line]:
    """Return a batch's lines on these images that have not been undone, in log order.

    `suggestion_ids`: only those, with what followed from them.
    """
    if not image_ids:
        return []
    rows = await tx.fetch_rows(
        """
        SELECT id, suggestion_id, image_id, decision, from_status, to_status, to_version, linked_tag_id,
               cause_suggestion_id
        FROM verdicts WHERE batch_id = :id AND image_id IN :images AND undone_by IS NULL ORDER BY id
        """,
        id=batch_id,
        images=sorted(image_ids),
    )
    lines = [
        Line(
            row[0],
            row[1],
            row[2],
            Act(row[3]),
            SuggestionStatus(row[4]),
            SuggestionStatus(row[5]),
            row[6],
            row[7],
            row[8],
        )
        for row in rows
    ]
    if suggestion_ids is None:
        return lines
    return [line for line in lines if {line.suggestion_id, line.cause} & set(suggestion_ids)]


async def lock(tx: Transaction, batch_id: int) -> Batch:
    """Return a batch whose row nobody else changes meanwhile. Raises NotFound (`batch_not_found`)."""
    await tx.fetch_rows("SELECT id FROM review_batches WHERE id = :id FOR UPDATE", id=batch_id)
    return await get(tx, batch_id)


async def grows(tx: Transaction, batch_id: int) -> None:
    """Say that a batch gets more lines in this transaction, so that they will be summed up."""
    await tx.execute("UPDATE review_batches SET counted = FALSE WHERE id = :id", id=batch_id)


async def latest_on(tx: Transaction, image_id: int, user_id: int) -> tuple[int, frozenset[int]] | None:
    """Return somebody's latest batch with standing verdicts on an image, and what it decided there.

    None when there is none, or all of it was undone.
    """
    rows = await tx.fetch_rows(
        """
        SELECT v.batch_id, v.suggestion_id
        FROM verdicts v JOIN review_batches b ON b.id = v.batch_id
        WHERE v.image_id = :image_id AND v.user_id = :user_id AND v.undone_by IS NULL AND b.undoes IS NULL
          AND v.decision IN ('approve', 'reject')
        ORDER BY v.batch_id DESC
        """,
        image_id=image_id,
        user_id=user_id,
    )
    if not rows:
        return None
    return rows[0][0], frozenset(row[1] for row in rows if row[0] == rows[0][0])


async def mark_undone(tx: Transaction, batch_id: int, lines: Collection[int], *, by: int) -> None:
    """Note on the lines, by id, and on their batch which batch undid them."""
    await tx.execute("UPDATE verdicts SET undone_by = :by WHERE id IN :ids", by=by, ids=sorted(lines))
    await tx.execute("UPDATE review_batches SET undone_by = :by WHERE id = :id", by=by, id=batch_id)


async def of_user(
    tx: Transaction, user_id: int | None, *, before: int | None = None, limit: int = 50
) -> list[Batch]:
    """Return somebody's batches, or all, the newest first; `before`: the last id of the page before."""
    rows = await tx.fetch_all(
        f"""
        {_BATCHES}
        WHERE (:user_id IS NULL OR b.user_id = :user_id) AND (:before IS NULL OR b.id < :before)
        ORDER BY b.id DESC LIMIT :limit
        """,
        user_id=user_id,
        before=before,
        limit=limit,
    )
    return [_batch(row) for row in rows]
