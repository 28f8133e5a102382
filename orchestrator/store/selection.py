# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Pending suggestions by a filter, across all tags: how many, which next, and which of some still match.

Walked tag by tag in id order, by an index that has every column of the filter. Explorations are left out:
they are asked about one by one. Rows behind `until` came after somebody looked, and are left out, too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.records import SuggestionStatus, Tag
from orchestrator.store.rows import TAG_COLUMNS, tag
from orchestrator.store.transaction import Row, Transaction

TAGS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Selection:
    """Which pending rows. None: any. `min_confidence` in ten-thousandths; `versions`: of the deciding model.

    `until`: the last suggestion id that counts.
    """

    until: int
    min_confidence: int = 0
    tag_ids: tuple[int, ...] | None = None
    image_ids: tuple[int, ...] | None = None
    versions: tuple[int, ...] | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing can match."""
        return () in (self.tag_ids, self.image_ids, self.versions)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk stands: the last row seen."""

    tag_id: int = 0
    suggestion_id: int = 0


@dataclass(frozen=True, slots=True)
class SelectedRow:
    """A row of a selection as people see it. `confidence` in ten-thousandths."""

    id: int
    image_id: int
    tag: Tag
    status: SuggestionStatus
    confidence: int
    version: int
    model_name: str
    model_version: int
    spoiler: bool
    decided_by: str | None


async def last_id(tx: Transaction) -> int:
    """Return the largest id that any suggestion has, 0 when there is none."""
    rows = await tx.fetch_rows("SELECT MAX(id) FROM suggestions")
    return rows[0][0] or 0


async def count(tx: Transaction, where: Selection) -> int:
    """Return how many rows match, by reading index entries only."""
    if where.empty:
        return 0
    rows = await tx.fetch_rows(f"SELECT COUNT(*) FROM {_all(where)}", **_parameters(where))
    return int(rows[0][0])


async def spread(tx: Transaction, where: Selection, *, step: int, start: int) -> tuple[int, ...]:
    """Return the ids of matching rows whose id leaves `start` when divided by `step`, at most a thousand."""
    if where.empty:
        return ()
    rows = await tx.fetch_rows(
        f"SELECT s.id FROM {_all(where)} AND s.id % :step = :start LIMIT 1000",
        **_parameters(where),
        step=step,
        start=start,
    )
    return tuple(row[0] for row in rows)


async def after(tx: Transaction, where: Selection, place: Place, *, limit: int) -> tuple[Place, ...]:
    """Return the next matching rows behind `place`, by tag and id; fewer than `limit` are the last ones."""
    if where.empty:
        return ()
    if where.image_ids is not None:
        return await _of_tags(tx, where, where.tag_ids, place, limit)
    found: tuple[Place, ...] = ()
    reached = place.tag_id
    while len(found) < limit:
        tags = await _tags(tx, where, reached)
        if not tags:
            break
        found += await _of_tags(tx, where, tags, place, limit - len(found))
        reached = tags[-1] + 1
    return found


async def _tags(tx: Transaction, where: Selection, reached: int) -> tuple[int, ...]:
    """Return the next tags that may have matching rows, from `reached` on."""
    if where.tag_ids is not None:
        return tuple(sorted(one for one in where.tag_ids if one >= reached))[:TAGS_AT_ONCE]
    rows = await tx.fetch_rows(
        "SELECT tag_id FROM tag_pending WHERE tag_id >= :reached AND pending > 0"
        " ORDER BY tag_id LIMIT :limit",
        reached=reached,
        limit=TAGS_AT_ONCE,
    )
    return tuple(row[0] for row in rows)


async def _of_tags(
    tx: Transaction, where: Selection, tags: Sequence[int] | None, place: Place, limit: int
) -> tuple[Place, ...]:
    by_tag = "" if tags is None else "AND s.tag_id IN :tags"
    hint = "" if where.image_ids is not None else "FORCE INDEX (suggestions_newest)"
    rows = await tx.fetch_rows(
        f"SELECT s.tag_id, s.id FROM suggestions s {hint} WHERE {_condition(where)} {by_tag}"
        " AND (s.tag_id > :after_tag OR s.tag_id = :after_tag AND s.id > :after_id)"
        " ORDER BY s.tag_id, s.id LIMIT :limit",
        **_parameters(where),
        tags=None if tags is None else list(tags),
        after_tag=place.tag_id,
        after_id=place.suggestion_id,
        limit=limit,
    )
    return tuple(Place(*row) for row in rows)


async def still(tx: Transaction, where: Selection, suggestion_ids: Collection[int]) -> frozenset[int]:
    """Return which of these rows, whose images are locked, match now."""
    if not suggestion_ids or where.empty:
        return frozenset()
    rows = await tx.fetch_rows(
        f"SELECT s.id FROM suggestions s WHERE s.id IN :ids AND {_condition(where)}",
        **_parameters(where),
        ids=sorted(suggestion_ids),
    )
    return frozenset(row[0] for row in rows)


async def rows(tx: Transaction, suggestion_ids: Collection[int]) -> tuple[SelectedRow, ...]:
    """Return rows for people to look at, by id; those that are gone are left out."""
    if not suggestion_ids:
        return ()
    found = await tx.fetch_all(
        f"""
        SELECT s.id, s.image_id, s.status, s.confidence, s.version, v.name AS model_name,
               v.version AS model_version, i.eligibility, u.name AS decided_by, {TAG_COLUMNS}
        FROM suggestions s
        JOIN tags t ON t.id = s.tag_id
        JOIN images i ON i.id = s.image_id
        JOIN model_versions v ON v.id = s.model_version_id
        LEFT JOIN users u ON u.id = s.decided_by
        WHERE s.id IN :ids ORDER BY s.id
        """,
        ids=sorted(suggestion_ids),
    )
    return tuple(_row(row) for row in found)


def _row(row: Row) -> SelectedRow:
    return SelectedRow(
        id=row["id"],
        image_id=row["image_id"],
        tag=tag(row),
        status=SuggestionStatus(row["status"]),
        confidence=row["confidence"],
        version=row["version"],
        model_name=row["model_name"],
        model_version=row["model_version"],
        spoiler=row["eligibility"] == "spoiler",
        decided_by=row["decided_by"],
    )


def _all(where: Selection) -> str:
    """Return tables and condition of a look at every match."""
    if where.image_ids is not None:
        tags = "" if where.tag_ids is None else " AND s.tag_id IN :tag_ids"
        return f"suggestions s WHERE {_condition(where)}{tags}"
    if where.tag_ids is not None:
        return (
            f"suggestions s FORCE INDEX (suggestions_newest)"
            f" WHERE s.tag_id IN :tag_ids AND {_condition(where)}"
        )
    # Tag by tag: the index begins with the tag, and the list of tags with pending rows is short.
    return (
        "tag_pending p STRAIGHT_JOIN suggestions s FORCE INDEX (suggestions_newest) ON s.tag_id = p.tag_id"
        f" WHERE p.pending > 0 AND {_condition(where)}"
    )


def _condition(where: Selection) -> str:
    condition = "s.status = 'pending' AND s.exploration = FALSE AND s.id <= :until AND s.confidence >= :min"
    if where.image_ids is not None:
        condition += " AND s.image_id IN :image_ids"
    if where.versions is not None:
        condition += " AND s.model_version_id IN :versions"
    return condition


def _parameters(where: Selection) -> dict[str, object]:
    return {
        "until": where.until,
        "min": where.min_confidence,
        "tag_ids": None if where.tag_ids is None else sorted(where.tag_ids),
        "image_ids": None if where.image_ids is None else sorted(where.image_ids),
        "versions": where.versions,
    }
