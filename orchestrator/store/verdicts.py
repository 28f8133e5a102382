# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Verdicts: locking what is judged, changing it, and the append-only log of who decided what.

An image's row guards its suggestions and links: whoever changes those locks it first, in id order.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from orchestrator.errors import NotFound
from orchestrator.records import Eligibility, RejectReason, SuggestionStatus, Tag
from orchestrator.store import rules_version
from orchestrator.store.eligibility import HIDDEN
from orchestrator.store.rows import TAG_COLUMNS, moment, moment_or_none, pair_table, tag
from orchestrator.store.transaction import Row, Transaction


class Act(StrEnum):
    """What the log says was done. `clear`: another verdict made the row redundant.

    `imply`: the board put the tag there itself; that counts for recall, not for precision. `unlink`: the tag
    went from the image although the row stays approved. `reopen`: a person asked for another analysis, which
    proposes the tag again.
    """

    APPROVE = "approve"
    REJECT = "reject"
    CLEAR = "clear"
    UNDO = "undo"
    IMPLY = "imply"
    UNLINK = "unlink"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """A suggestion of a locked image. `tag` is its own, `canonical` what a link would name."""

    id: int
    image_id: int
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
    exploration: bool = False


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


@dataclass(frozen=True, slots=True)
class LockedImages:
    """Images whose rows are locked: nobody else changes their suggestions or links. `now`: of this review."""

    uploaders: Mapping[int, int]
    hidden: frozenset[int]
    now: datetime


async def images_of(tx: Transaction, suggestion_ids: Collection[int]) -> dict[int, int]:
    """Return each suggestion's image; unknown ones are left out. Nothing is locked."""
    if not suggestion_ids:
        return {}
    rows = await tx.fetch_rows(
        "SELECT id, image_id FROM suggestions WHERE id IN :ids", ids=sorted(suggestion_ids)
    )
    return {row[0]: row[1] for row in rows}


async def lock_images(tx: Transaction, image_ids: Collection[int]) -> LockedImages:
    """Lock images in id order; unknown ones are left out. Aliases and hierarchy stay as they are, too."""
    if not image_ids:
        (row,) = await tx.fetch_rows("SELECT UTC_TIMESTAMP(6)")
        return LockedImages({}, frozenset(), moment(row[0]))
    rows = await tx.fetch_rows(
        "SELECT id, uploader_id, eligibility, UTC_TIMESTAMP(6) FROM images WHERE id IN :ids"
        " ORDER BY id FOR UPDATE",
        ids=sorted(image_ids),
    )
    await rules_version.hold(tx)
    return LockedImages(
        uploaders={row[0]: row[1] for row in rows},
        hidden=frozenset(row[0] for row in rows if Eligibility(row[2]) in HIDDEN),
        now=max((moment(row[3]) for row in rows), default=datetime.now(UTC)),
    )


async def lock_image(tx: Transaction, image_id: int) -> tuple[int, datetime]:
    """Lock one image's row; returns its uploader's id and the moment of this review. Raises NotFound."""
    locked = await lock_images(tx, [image_id])
    if image_id not in locked.uploaders:
        raise NotFound(f"no image has the id {image_id}", code="image_not_found")
    return locked.uploaders[image_id], locked.now


_ROWS = f"""
    SELECT s.id, s.image_id, s.status, s.version, s.score, s.confidence, s.model_version_id, s.exploration,
           s.decided_by AS decider_id, s.decided_at, u.name AS decided_by, {TAG_COLUMNS}
    FROM suggestions s JOIN tags t ON t.id = s.tag_id LEFT JOIN users u ON u.id = s.decided_by
"""


async def rows(tx: Transaction, suggestion_ids: Collection[int]) -> dict[int, JudgedRow]:
    """Return suggestions by id. Their images' locks guard them: every writer takes those first."""
    if not suggestion_ids:
        return {}
    found = await tx.fetch_all(f"{_ROWS} WHERE s.id IN :ids ORDER BY s.id", ids=sorted(suggestion_ids))
    return await _judged(tx, found)


async def pending_among(
    tx: Transaction, image_ids: Collection[int], canonical_ids: Collection[int]
) -> dict[int, JudgedRow]:
    """Return pending suggestions of these images whose canonical tag is among these, by id."""
    if not image_ids or not canonical_ids:
        return {}
    # Tags and their aliases first: the images' rows are then found by index, and no tag is looked at twice.
    tag_ids = await tx.fetch_rows(
        "SELECT id FROM tags WHERE id IN :ids OR alias_of IN :ids", ids=sorted(canonical_ids)
    )
    found = await tx.fetch_all(
        f"{_ROWS} WHERE s.image_id IN :images AND s.tag_id IN :tags AND s.status = 'pending' ORDER BY s.id",
        images=sorted(image_ids),
        tags=sorted(row[0] for row in tag_ids),
    )
    return await _judged(tx, found)


async def approved_among(
    tx: Transaction, image_ids: Collection[int], canonical_ids: Collection[int]
) -> dict[int, JudgedRow]:
    """Return approved suggestions of these images whose canonical tag is among these, by id."""
    if not image_ids or not canonical_ids:
        return {}
    found = await tx.fetch_all(
        f"{_ROWS} WHERE s.image_id IN :images AND s.status = 'approved'"
        " AND COALESCE(t.alias_of, t.id) IN :tags ORDER BY s.id",
        images=sorted(image_ids),
        tags=sorted(canonical_ids),
    )
    return await _judged(tx, found)


async def _judged(tx: Transaction, found: Sequence[Row]) -> dict[int, JudgedRow]:
    canonical = await _canonical(tx, [tag(row) for row in found])
    return {
        row["id"]: JudgedRow(
            id=row["id"],
            image_id=row["image_id"],
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
            exploration=bool(row["exploration"]),
        )
        for row in found
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
    suggestion_ids: Collection[int],
    status: SuggestionStatus,
    *,
    user_id: int | None,
    at: datetime | None,
) -> None:
    """Change rows of locked images; their version rises by one. Nobody and no time: undecided again."""
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
            at=None if at is None else at.replace(tzinfo=None),
        )


async def touch(tx: Transaction, suggestion_ids: Collection[int]) -> None:
    """Raise the version of rows of locked images whose state stays, for something else about them changed."""
    if suggestion_ids:
        await tx.execute(
            "UPDATE suggestions SET version = version + 1 WHERE id IN :ids ORDER BY id",
            ids=sorted(suggestion_ids),
        )


async def open_batch(tx: Transaction, *, user_id: int, kind: str, undoes: int | None = None) -> int:
    """Add a batch, the unit of undo; returns its id."""
    return await tx.insert("review_batches", user_id=user_id, kind=kind, undoes=undoes)


async def pairs_with_rows(tx: Transaction, pairs: Collection[tuple[int, int]]) -> frozenset[tuple[int, int]]:
    """Return those of these (image id, tag id) that have a suggestion of that very tag."""
    if not pairs:
        return frozenset()
    table, parameters = pair_table(pairs)
    found = await tx.fetch_rows(
        f"SELECT s.image_id, s.tag_id FROM {table} p STRAIGHT_JOIN suggestions s"
        " ON s.image_id = p.image_id AND s.tag_id = p.tag_id",
        **parameters,
    )
    return frozenset((row[0], row[1]) for row in found)


async def last_acts(tx: Transaction, suggestion_ids: Collection[int]) -> dict[int, Act]:
    """Return what was last done to each suggestion; those that the log does not know are left out."""
    if not suggestion_ids:
        return {}
    rows = await tx.fetch_rows(
        "SELECT v.suggestion_id, v.decision FROM verdicts v WHERE v.id IN"
        " (SELECT MAX(id) FROM verdicts WHERE suggestion_id IN :ids GROUP BY suggestion_id)",
        ids=sorted(suggestion_ids),
    )
    return {row[0]: Act(row[1]) for row in rows}


async def append(
    tx: Transaction, batch_id: int, entries: Sequence[LogEntry], *, user_id: int, at: datetime
) -> None:
    """Append to the log, in the order given."""
    await tx.insert_many(
        "verdicts",
        (
            *("batch_id", "suggestion_id", "image_id", "tag_id", "user_id", "decision", "reason", "note"),
            *("from_status", "to_status", "from_version", "to_version", "model_version_id", "score"),
            *("confidence", "linked_tag_id", "link_created", "cause_suggestion_id", "exploration"),
            "created_at",
        ),
        [
            (
                *(batch_id, e.row.id, e.row.image_id, e.row.tag.id, user_id, e.act, e.reason, e.note),
                *(e.row.status, e.to_status, e.row.version, e.row.version + 1, e.row.model_version_id),
                *(e.row.score, e.row.confidence, e.linked_tag_id, e.link_created, e.cause),
                e.row.exploration,
                at.replace(tzinfo=None),
            )
            for e in entries
        ],
    )
