"""Bring pending rows in line with a tag whose alias or parent has changed.

The change itself is one short transaction, which leaves a note (`tag_alignments`). The rows follow image by
image, in id order, a bounded number a transaction; whoever dies on the way leaves the note to the keeper.
Images that were under way when the change was committed have ended by then (`rules_version.lock`), so one
look finds all that have to follow. Pending rows only:

- of a tag that the image has by now, or of an ancestor of one: removed.
- of an alias, where the canonical tag's row is decided: removed, the question has been answered.
- several of one canonical tag: the surest stays, on the canonical tag, with the evidence of all.

An approved row whose tag now means one that the image lacks stays approved, with an `unlink` in the log.
Links stay where people put them: one on an alias counts for its canonical tag, also after the next change.
An ancestor that is merely superseded by a surer child stays until the next analysis; nothing comes back that
the change makes possible again, which is a matter of re-mapping stored scores.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.records import SuggestionStatus
from orchestrator.store import hierarchy, links, tags, verdicts
from orchestrator.store.counters import Deltas
from orchestrator.store.transaction import Transaction
from orchestrator.store.verdicts import Act, LogEntry

KIND = "tags"


@dataclass(frozen=True, slots=True)
class Alignment:
    """A change that rows have still to follow. `user_id`: who made it."""

    id: int
    tag_id: int
    alias_changed: bool
    user_id: int


@dataclass(frozen=True, slots=True)
class Aligned:
    """How many pending rows moved to their canonical tag, or went; approved ones that lost their tag."""

    moved: int = 0
    removed: int = 0
    unlinked: int = 0

    def __add__(self, other: "Aligned") -> "Aligned":
        return Aligned(self.moved + other.moved, self.removed + other.removed, self.unlinked + other.unlinked)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A pending row of a locked image, and the canonical tag that it speaks of."""

    id: int
    image_id: int
    tag_id: int
    canonical_id: int
    confidence: int
    exploration: bool

    @property
    def surest_first(self) -> tuple[bool, int, bool, int]:
        """Sorts the row that stays to the front."""
        return self.exploration, -self.confidence, self.tag_id != self.canonical_id, self.id


async def note(tx: Transaction, tag_id: int, *, alias_changed: bool, user_id: int) -> Alignment:
    """Leave a note, in the transaction of the change itself."""
    row_id = await tx.insert("tag_alignments", tag_id=tag_id, alias_changed=alias_changed, user_id=user_id)
    return Alignment(row_id, tag_id, alias_changed, user_id)


async def unfinished(tx: Transaction, *, limit: int = 20) -> list[Alignment]:
    """Return the oldest notes."""
    rows = await tx.fetch_rows(
        "SELECT id, tag_id, alias_changed, user_id FROM tag_alignments ORDER BY id LIMIT :limit", limit=limit
    )
    return [Alignment(row[0], row[1], bool(row[2]), row[3]) for row in rows]


async def finish(tx: Transaction, alignment_id: int) -> None:
    """Take a note away."""
    await tx.execute("DELETE FROM tag_alignments WHERE id = :id", id=alignment_id)


@dataclass(frozen=True, slots=True)
class _Reach:
    """Tags around a changed one. `canonical`: what it is or stands for, `asked`: that tag and its ancestors,
    whose pending rows the change may concern; `aliases`: of the canonical tag.
    """

    canonical: int
    asked: frozenset[int]
    aliases: frozenset[int]


async def _reach(tx: Transaction, tag_id: int) -> _Reach:
    tag = await tags.get(tx, tag_id)
    canonical = tag.alias_of or tag.id
    above = (await hierarchy.ancestors_of(tx, [canonical]))[canonical]
    return _Reach(canonical, above | {canonical}, await tags.groups(tx, [canonical]) - {canonical})


async def concerned(tx: Transaction, change: Alignment) -> list[int]:
    """Return the images that have rows to bring in line, in id order."""
    reach = await _reach(tx, change.tag_id)
    below = await hierarchy.descendants_of(tx, reach.canonical) | {reach.canonical}
    found = {
        row[0]
        for row in await tx.fetch_rows(
            "SELECT DISTINCT s.image_id FROM suggestions s JOIN tag_links l ON l.image_id = s.image_id"
            " WHERE s.status = 'pending' AND s.tag_id IN :asked AND l.tag_id IN :below",
            asked=sorted(await tags.groups(tx, reach.asked)),
            below=sorted(await tags.groups(tx, below)),
        )
    }
    if change.alias_changed:
        found |= {
            row[0]
            for row in await tx.fetch_rows(
                "SELECT image_id FROM suggestions WHERE status = 'pending' AND tag_id IN :aliases"
                " UNION SELECT s.image_id FROM suggestions s"
                " LEFT JOIN tag_links l ON l.image_id = s.image_id AND l.tag_id = s.tag_id"
                " WHERE s.status = 'approved' AND s.tag_id IN :group AND l.image_id IS NULL",
                aliases=sorted(reach.aliases) or [0],
                group=sorted(reach.aliases | {reach.canonical}),
            )
        }
    return sorted(found)


async def align(tx: Transaction, change: Alignment, image_ids: Collection[int]) -> Aligned:
    """Bring these images' rows in line with the tags as they are now. Doing so again changes nothing."""
    locked = await verdicts.lock_images(tx, image_ids)
    reach = await _reach(tx, change.tag_id)
    applied = await links.applied_to(tx, locked.uploaders.keys())
    above = await hierarchy.ancestors_of(tx, frozenset().union(*applied.values()))
    covered = {image: found.union(*(above[tag] for tag in found)) for image, found in applied.items()}
    rows = await _pending(tx, applied.keys(), reach)
    answered = await _answered(tx, applied.keys(), reach)
    removed = [
        row
        for row in rows
        if row.canonical_id in covered[row.image_id]
        or (row.tag_id != row.canonical_id and (row.image_id, row.canonical_id) in answered)
    ]
    gone = {row.id for row in removed}
    kept: dict[tuple[int, int], _Pending] = {}
    merged: list[tuple[_Pending, _Pending]] = []
    for row in sorted(rows, key=lambda one: one.surest_first):
        if row.id not in gone:
            first = kept.setdefault((row.image_id, row.canonical_id), row)
            if first is not row:
                merged.append((row, first))
    await _merge_evidence(tx, [(row.id, into.id) for row, into in merged])
    removed += [row for row, _ in merged]
    moved = [row for row in kept.values() if row.tag_id != row.canonical_id]
    await _write(tx, removed, moved)
    unlinked = await _unlink(tx, change, locked, applied, reach) if change.alias_changed else 0
    deltas = Deltas()
    for row in (*removed, *moved):
        deltas.pending(row.tag_id, row.confidence, -1)
    for row in moved:
        deltas.pending(row.canonical_id, row.confidence, +1)
    await deltas.apply(tx)
    return Aligned(moved=len(moved), removed=len(removed), unlinked=unlinked)


async def _pending(tx: Transaction, image_ids: Collection[int], reach: _Reach) -> list[_Pending]:
    if not image_ids:
        return []
    rows = await tx.fetch_rows(
        "SELECT s.id, s.image_id, s.tag_id, COALESCE(t.alias_of, t.id), s.confidence, s.exploration"
        " FROM suggestions s JOIN tags t ON t.id = s.tag_id"
        " WHERE s.status = 'pending' AND s.image_id IN :images AND s.tag_id IN :asked ORDER BY s.id",
        images=sorted(image_ids),
        asked=sorted(await tags.groups(tx, reach.asked)),
    )
    return [_Pending(row[0], row[1], row[2], row[3], row[4], bool(row[5])) for row in rows]


async def _answered(tx: Transaction, image_ids: Collection[int], reach: _Reach) -> frozenset[tuple[int, int]]:
    """Return (image id, canonical tag id) of decided rows."""
    if not image_ids:
        return frozenset()
    rows = await tx.fetch_rows(
        "SELECT image_id, tag_id FROM suggestions"
        " WHERE status <> 'pending' AND image_id IN :images AND tag_id IN :asked",
        images=sorted(image_ids),
        asked=sorted(reach.asked),
    )
    return frozenset((row[0], row[1]) for row in rows)


async def _merge_evidence(tx: Transaction, pairs: Sequence[tuple[int, int]]) -> None:
    """Give the evidence of the first row of each pair to the second, where it has none of its own."""
    for source, into in sorted(pairs):
        await tx.execute(
            "INSERT IGNORE INTO suggestion_evidence"
            " (suggestion_id, model_version_id, label, mapping_id, score)"
            " SELECT :into, model_version_id, label, mapping_id, score FROM suggestion_evidence"
            " WHERE suggestion_id = :source",
            into=into,
            source=source,
        )


async def _write(tx: Transaction, removed: Sequence[_Pending], moved: Sequence[_Pending]) -> None:
    """Remove rows first: a moved one may take the place of one that goes."""
    if removed:
        await tx.execute("DELETE FROM suggestions WHERE id IN :ids", ids=sorted(row.id for row in removed))
    by_tag: dict[int, list[int]] = {}
    for row in moved:
        by_tag.setdefault(row.canonical_id, []).append(row.id)
    for tag_id, ids in sorted(by_tag.items()):
        await tx.execute(
            "UPDATE suggestions SET tag_id = :tag_id, version = version + 1 WHERE id IN :ids ORDER BY id",
            tag_id=tag_id,
            ids=sorted(ids),
        )


async def _unlink(
    tx: Transaction,
    change: Alignment,
    locked: verdicts.LockedImages,
    applied: Mapping[int, frozenset[int]],
    reach: _Reach,
) -> int:
    """Log the approved rows whose tag now means one that the image lacks; returns how many are new."""
    approved = await verdicts.approved_among(tx, applied.keys(), [reach.canonical])
    lacking = [row for row in approved.values() if reach.canonical not in applied[row.image_id]]
    known = await verdicts.last_acts(tx, [row.id for row in lacking])
    entries = [
        LogEntry(row=row, act=Act.UNLINK, to_status=SuggestionStatus.APPROVED, linked_tag_id=reach.canonical)
        for row in lacking
        if known.get(row.id) is not Act.UNLINK
    ]
    if entries:
        await verdicts.touch(tx, [entry.row.id for entry in entries])
        batch_id = await verdicts.open_batch(tx, user_id=change.user_id, kind=KIND)
        await verdicts.append(tx, batch_id, entries, user_id=change.user_id, at=locked.now)
    return len(entries)
