# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""The worklist: tags with pending suggestions, those with the most first, from counters, never by counting.

A confidence is counted by steps of 0.05, as the counters are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.errors import NotFound
from orchestrator.records import Tag, TagType
from orchestrator.store.counters import BUCKET, COLUMNS
from orchestrator.store.rows import TAG_COLUMNS, tag
from orchestrator.store.transaction import Transaction

PROBED = 500
"""Tags that one page may ask for rows of a model: counters know nothing of models."""


@dataclass(frozen=True, slots=True)
class WorklistFilter:
    """Which tags. `min_bucket`: count from this step of confidence on. `versions`: tags with at least one
    pending row that such a version decided. `search`: part of the title, whatever its case."""

    type: TagType | None = None
    min_bucket: int = 0
    versions: tuple[int, ...] | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A tag and how many of its suggestions are pending, from the step of the filter on."""

    tag: Tag
    pending: int


@dataclass(frozen=True, slots=True)
class Worklist:
    """A page. `next`: (pending, tag id) of where it ends, None at the end of the list."""

    items: tuple[Waiting, ...]
    next: tuple[int, int] | None


async def page(
    tx: Transaction, where: WorklistFilter, *, after: tuple[int, int] | None, limit: int
) -> Worklist:
    """Return tags behind `after`. A page may be short of `limit`: `next` says whether the list goes on."""
    if where.versions == ():
        return Worklist((), None)
    found, looked_until = await _counts(tx, where, after, limit + 1)
    amounts = dict(found[:limit])
    by_id = await _tags(tx, list(amounts))
    items = tuple(Waiting(by_id[tag_id], amount) for tag_id, amount in amounts.items())
    if len(found) > limit:
        last = found[limit - 1]
        return Worklist(items, (last[1], last[0]))
    return Worklist(items, None if looked_until is None else (looked_until[1], looked_until[0]))


async def waiting(tx: Transaction, tag_id: int) -> Waiting:
    """Return a tag and how many of its suggestions are pending in all. Raises NotFound."""
    row = await tx.fetch_one(
        f"SELECT {TAG_COLUMNS}, p.pending FROM tags t LEFT JOIN tag_pending p ON p.tag_id = t.id"
        " WHERE t.id = :tag_id",
        tag_id=tag_id,
    )
    if row is None:
        raise NotFound(f"no tag has the id {tag_id}", code="tag_not_found")
    return Waiting(tag(row), int(row["pending"] or 0))


async def _counts(
    tx: Transaction, where: WorklistFilter, after: tuple[int, int] | None, limit: int
) -> tuple[list[tuple[int, int]], tuple[int, int] | None]:
    """Return (tag id, pending) in order, and where the look ended if that was before the list's end."""
    parameters: dict[str, object] = {
        "pending": None if after is None else after[0],
        "tag_id": None if after is None else after[1],
        "type": where.type,
        "search": None if where.search is None else f"%{_literally(where.search)}%",
        "limit": limit if where.versions is None else PROBED,
    }
    counts = _counts_statement(where, after is not None)
    if where.versions is None:
        rows = await tx.fetch_rows(counts, **parameters)
        return [(row[0], int(row[1])) for row in rows], None
    # A scalar subquery with a limit of one is an index dive for each tag, whatever the optimiser thinks. It
    # brings the surest row: with the least confidence as a condition, the rows below would be walked.
    dives = [
        f"""COALESCE((SELECT s.confidence FROM suggestions s FORCE INDEX (suggestions_model)
            WHERE s.tag_id = c.tag_id AND s.status = 'pending' AND s.model_version_id = :version_{number}
            ORDER BY s.confidence DESC LIMIT 1), -1) >= :min"""
        for number in range(len(where.versions))
    ]
    rows = await tx.fetch_rows(
        f"SELECT c.tag_id, c.waiting, {' OR '.join(dives)} FROM ({counts}) c"
        " ORDER BY c.waiting DESC, c.tag_id DESC",
        **parameters,
        **{f"version_{number}": version for number, version in enumerate(where.versions)},
        min=where.min_bucket * BUCKET,
    )
    found = [(row[0], int(row[1])) for row in rows if row[2]][:limit]
    cut = len(rows) == PROBED and len(found) < limit
    return found, (rows[-1][0], int(rows[-1][1])) if cut else None


def _counts_statement(where: WorklistFilter, going_on: bool) -> str:
    amount = (
        "p.pending" if where.min_bucket == 0 else " + ".join(f"p.{c}" for c in COLUMNS[where.min_bucket :])
    )
    conditions = [f"({amount}) > 0"]
    if going_on:
        conditions.append(f"(({amount}) < :pending OR ({amount}) = :pending AND p.tag_id < :tag_id)")
    if where.type is not None:
        conditions.append("t.type = :type")
    if where.search is not None:
        conditions.append("t.title COLLATE utf8mb4_unicode_520_ci LIKE :search")
    join = "" if where.type is None and where.search is None else "STRAIGHT_JOIN tags t ON t.id = p.tag_id"
    index = "FORCE INDEX (tag_pending_order)" if where.min_bucket == 0 else ""
    return (
        f"SELECT p.tag_id, {amount} AS waiting FROM tag_pending p {index} {join}"
        f" WHERE {' AND '.join(conditions)} ORDER BY waiting DESC, p.tag_id DESC LIMIT :limit"
    )


def _literally(text: str) -> str:
    """Return text as a pattern of LIKE that means nothing but itself."""
    for sign in ("\\", "%", "_"):
        text = text.replace(sign, f"\\{sign}")
    return text


async def _tags(tx: Transaction, tag_ids: Sequence[int]) -> dict[int, Tag]:
    if not tag_ids:
        return {}
    rows = await tx.fetch_all(f"SELECT {TAG_COLUMNS} FROM tags t WHERE t.id IN :ids", ids=tag_ids)
    return {row["tag_id"]: tag(row) for row in rows}
