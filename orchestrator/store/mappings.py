"""Mappings from external tags to board tags, and the names that no mapping speaks of yet."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import SCORE_ONE, MappingAction, TagMapping, UnmappedTag
from orchestrator.store import mapping_history, rules_version
from orchestrator.store.rows import moment
from orchestrator.store.transaction import MissingParent, Row, Transaction


@dataclass(frozen=True, slots=True)
class NewMapping:
    """One row of `upsert_many`. `weight` in ten-thousandths; `tag_id` is None for `ignore` only."""

    source: str
    external_tag: str
    action: MappingAction
    tag_id: int | None
    weight: int = SCORE_ONE


@dataclass(frozen=True, slots=True)
class UnmappedCount:
    """`images`: how many analyses proposed the name; `max_score` in ten-thousandths."""

    source: str
    external_tag: str
    images: int
    max_score: int
    first_seen_at: datetime
    last_seen_at: datetime


async def load_all(tx: Transaction) -> tuple[TagMapping, ...]:
    """Return every mapping in id order."""
    rows = await tx.fetch_all(
        "SELECT id, source, external_tag, action, tag_id, weight FROM tag_mappings ORDER BY id"
    )
    return tuple(_mapping(row) for row in rows)


async def list_mappings(
    tx: Transaction, *, source: str | None = None, after_id: int = 0, limit: int = 100
) -> tuple[TagMapping, ...]:
    """Return a page of mappings in id order, of one source or of all."""
    rows = await tx.fetch_all(
        "SELECT id, source, external_tag, action, tag_id, weight FROM tag_mappings"
        " WHERE id > :after_id AND (:source IS NULL OR source = :source) ORDER BY id LIMIT :limit",
        source=source,
        after_id=after_id,
        limit=limit,
    )
    return tuple(_mapping(row) for row in rows)


async def upsert_many(tx: Transaction, rows: Sequence[NewMapping], *, actor_id: int | None) -> int:
    """Add or change mappings, one per (source, external tag); returns how many rows really changed.

    Raises InvalidInput when `map` lacks a tag, `ignore` has one, a weight is outside 1 … 10,000, a name comes
    twice or is empty or has blanks around it, or a tag does not exist.
    """
    if not rows:
        return 0
    for row in rows:
        if (row.action == MappingAction.MAP) != (row.tag_id is not None):
            raise InvalidInput(f"{row.external_tag}: map names a tag, ignore names none", code="bad_mapping")
        if not 0 < row.weight <= SCORE_ONE:
            raise InvalidInput(f"{row.external_tag}: a weight is 0.0001 to 1", code="bad_mapping")
        if not row.external_tag or row.external_tag != row.external_tag.strip():
            # A mapping file could not say it again: blanks around a name are lost there.
            raise InvalidInput(
                f"{row.external_tag!r}: an external tag has no blanks around it", code="bad_mapping"
            )
    wanted = {(row.source, row.external_tag): row for row in rows}
    if len(wanted) != len(rows):
        raise InvalidInput("an external tag is mapped twice", code="bad_mapping")
    # Alone from here on, so that history says what really was before.
    await rules_version.lock(tx)
    known = {(m.source, m.external_tag): m for m in await _find(tx, {row.external_tag for row in rows})}
    changed = [
        row
        for key, row in sorted(wanted.items())
        if (m := known.get(key)) is None
        or (m.action, m.tag_id, m.weight) != (row.action, row.tag_id, row.weight)
    ]
    try:
        await tx.insert_many(
            "tag_mappings",
            ("source", "external_tag", "action", "tag_id", "weight", "user_id"),
            [(r.source, r.external_tag, r.action, r.tag_id, r.weight, actor_id) for r in changed],
            on_duplicate="action = VALUES(action), tag_id = VALUES(tag_id), weight = VALUES(weight),"
            " user_id = VALUES(user_id)",
        )
    except MissingParent as error:
        raise InvalidInput("a mapping names a tag that does not exist", code="unknown_tag") from error
    if changed:
        await mapping_history.add(
            tx,
            [
                (
                    r.source,
                    r.external_tag,
                    known.get((r.source, r.external_tag)),
                    (r.action, r.tag_id, r.weight),
                )
                for r in changed
            ],
            actor_id=actor_id,
        )
        await rules_version.bump(tx)
    return len(changed)


async def delete_many(
    tx: Transaction, keys: Collection[tuple[str, str]], *, actor_id: int | None = None
) -> int:
    """Remove mappings by (source, external tag); returns how many there were."""
    if not keys:
        return 0
    await rules_version.lock(tx)
    wanted = frozenset(keys)
    found = [m for m in await _find(tx, {name for _, name in keys}) if (m.source, m.external_tag) in wanted]
    if not found:
        return 0
    await tx.execute("DELETE FROM tag_mappings WHERE id IN :ids", ids=sorted(one.id for one in found))
    await mapping_history.add(
        tx, [(one.source, one.external_tag, one, None) for one in found], actor_id=actor_id
    )
    await rules_version.bump(tx)
    return len(found)


async def get(tx: Transaction, mapping_id: int) -> TagMapping:
    """Return one mapping. Raises NotFound."""
    row = await tx.fetch_one(
        "SELECT id, source, external_tag, action, tag_id, weight FROM tag_mappings WHERE id = :id",
        id=mapping_id,
    )
    if row is None:
        raise NotFound(f"no mapping has the id {mapping_id}", code="mapping_not_found")
    return _mapping(row)


async def _find(tx: Transaction, names: Collection[str]) -> tuple[TagMapping, ...]:
    rows = await tx.fetch_all(
        "SELECT id, source, external_tag, action, tag_id, weight FROM tag_mappings"
        " WHERE external_tag IN :names",
        names=sorted(names),
    )
    return tuple(_mapping(row) for row in rows)


def _mapping(row: Row) -> TagMapping:
    return TagMapping(
        id=row["id"],
        source=row["source"],
        external_tag=row["external_tag"],
        action=MappingAction(row["action"]),
        tag_id=row["tag_id"],
        weight=row["weight"],
    )


async def count_unmapped(tx: Transaction, tags: Collection[UnmappedTag]) -> None:
    """Count each name as often as it is among `tags`. Rows are taken in name order: every analysis writes
    here."""
    best: dict[tuple[str, str], int] = {}
    times = Counter[tuple[str, str]]()
    for tag in tags:
        key = (tag.source, tag.external_tag)
        best[key] = max(tag.score, best.get(key, 0))
        times[key] += 1
    await tx.insert_many(
        "unmapped_tags",
        ("source", "external_tag", "images", "max_score"),
        [(*key, times[key], score) for key, score in sorted(best.items())],
        on_duplicate="images = images + VALUES(images), max_score = GREATEST(max_score, VALUES(max_score)),"
        " last_seen_at = UTC_TIMESTAMP(6)",
    )


async def list_unmapped(tx: Transaction, *, limit: int = 100) -> tuple[UnmappedCount, ...]:
    """Return the names still without a mapping, most frequent first."""
    rows = await tx.fetch_all(
        """
        SELECT u.* FROM unmapped_tags u
        LEFT JOIN tag_mappings m ON m.source = u.source AND m.external_tag = u.external_tag
        WHERE m.id IS NULL ORDER BY u.images DESC, u.source, u.external_tag LIMIT :limit
        """,
        limit=limit,
    )
    return tuple(
        UnmappedCount(
            source=row["source"],
            external_tag=row["external_tag"],
            images=row["images"],
            max_score=row["max_score"],
            first_seen_at=moment(row["first_seen_at"]),
            last_seen_at=moment(row["last_seen_at"]),
        )
        for row in rows
    )
