# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Verdicts: locking what is judged, changing it, and the append-only log of who decided what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.errors import NotFound
from orchestrator.records import RejectReason, SuggestionStatus, Tag
from orchestrator.store.rows import TAG_COLUMNS, moment, moment_or_none, tag
from orchestrator.store.transaction import Transaction


class Act(StrEnum):
    """What the log says was done. `clear`: another verdict made the row redundant."""

    APPROVE = "approve"
    REJECT = "reject"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """A suggestion under lock. `tag` is the suggestion's own, `canonical` what a link would name."""

    id: int
    tag: Tag
    canonical: Tag
    status: SuggestionStatus
    version: int
    score: int
    confidence: int
    model_version_id: int
    decided_by_id: int | None
    decided_by: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the log. `cause`: the suggestion whose approval cleared this one."""

    row: JudgedRow
    act: Act
    to_status: SuggestionStatus
    reason: RejectReason | None = None
    note: str | None = None
    linked_tag_id: int | None = None
    link_created: bool = False
    cause: int | None = None


async def lock_image(tx: Transaction, image_id: int) -> tuple[int, datetime]:
    """Lock an image's row; returns its uploader's id and the moment of this review. Raises NotFound."""
    row = await tx.fetch_one(
        "SELECT uploader_id, UTC_TIMESTAMP(6) AS now FROM images WHERE id = :id FOR UPDATE", id=image_id
    )
    if row is None:
        raise NotFound(f"no image has the id {image_id}", code="image_not_found")
    return row["uploader_id"], moment(row["now"])


async def lock_rows(tx: Transaction, image_id: int) -> dict[int, JudgedRow]:
    """Lock all suggestions of an image in id order; returns them by id."""
    await tx.fetch_rows(
        "SELECT id FROM suggestions WHERE image_id = :image_id ORDER BY id FOR UPDATE", image_id=image_id
    )
    rows = await tx.fetch_all(
        f"""
        SELECT s.id, s.status, s.version, s.score, s.confidence, s.model_version_id,
               s.decided_by AS decider_id, s.decided_at, u.name AS decided_by, {TAG_COLUMNS}
        FROM suggestions s JOIN tags t ON t.id = s.tag_id LEFT JOIN users u ON u.id = s.decided_by
        WHERE s.image_id = :image_id ORDER BY s.id
        """,
        image_id=image_id,
    )
    canonical = await _canonical(tx, [tag(row) for row in rows])
    return {
        row["id"]: JudgedRow(
            id=row["id"],
            tag=tag(row),
            canonical=canonical[row["tag_id"]],
            status=SuggestionStatus(row["status"]),
            version=row["version"],
            score=row["score"],
            confidence=row["confidence"],
            model_version_id=row["model_version_id"],
            decided_by_id=row["decider_id"],
            decided_by=row["decided_by"],
            decided_at=moment_or_none(row["decided_at"]),
        )
        for row in rows
    }


async def _canonical(tx: Transaction, tags: Sequence[Tag]) -> Mapping[int, Tag]:
    """Return each tag's canonical tag, by the tag's id."""
    targets = sorted({found.alias_of for found in tags if found.alias_of is not None})
    rows = (
        await tx.fetch_all(f"SELECT {TAG_COLUMNS} FROM tags t WHERE t.id IN :ids", ids=targets)
        if targets
        else []
    )
    by_id = {row["tag_id"]: tag(row) for row in rows}
    return {found.id: found if found.alias_of is None else by_id[found.alias_of] for found in tags}


async def set_status(
    tx: Transaction,
    suggestion_ids: Sequence[int],
    status: SuggestionStatus,
    *,
    user_id: int,
    at: datetime,
) -> None:
    """Decide locked rows; their version rises by one."""
    if suggestion_ids:
        await tx.execute(
            """
            UPDATE suggestions
            SET status = :status, version = version + 1, decided_by = :user_id, decided_at = :at
            WHERE id IN :ids ORDER BY id
            """,
            ids=sorted(suggestion_ids),
            status=status,
            user_id=user_id,
            at=at.replace(tzinfo=None),
        )


async def open_batch(tx: Transaction, *, user_id: int, kind: str) -> int:
    """Add a batch, the unit of undo; returns its id."""
    return await tx.insert("review_batches", user_id=user_id, kind=kind)


async def append(
    tx: Transaction, batch_id: int, image_id: int, entries: Sequence[LogEntry], *, user_id: int, at: datetime
) -> None:
    """Append to the log, in the order given."""
    await tx.insert_many(
        "verdicts",
        (
            *("batch_id", "suggestion_id", "image_id", "tag_id", "user_id", "decision", "reason", "note"),
            *("from_status", "to_status", "from_version", "to_version", "model_version_id", "score"),
            *("confidence", "linked_tag_id", "link_created", "cause_suggestion_id", "created_at"),
        ),
        [
            (
                *(batch_id, e.row.id, image_id, e.row.tag.id, user_id, e.act, e.reason, e.note),
                *(e.row.status, e.to_status, e.row.version, e.row.version + 1, e.row.model_version_id),
                *(e.row.score, e.row.confidence, e.linked_tag_id, e.link_created, e.cause),
                at.replace(tzinfo=None),
            )
            for e in entries
        ],
    )
