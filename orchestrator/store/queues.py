# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""The queue of one tag: its pending suggestions in an order, page by page.

These are the keys, by an index that has the order in it and so answers any page alike fast; `queue_rows`
reads the rows of a page by their ids.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.records import SCORE_ONE, QueueOrder
from orchestrator.store.leases import HELD_BY_ANYBODY, HELD_BY_OTHERS
from orchestrator.store.transaction import Transaction

HALF = SCORE_ONE // 2
SCANNED = 5_000
"""Index entries that one page may look at where a filter is not part of the index."""


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which pending rows of a tag. `versions`: deciding model versions, any when None.

    `not_held_by_others`: leave out what others than this user hold; `not_held`: what anybody holds; `among`:
    only these suggestions.
    """

    tag_id: int
    order: QueueOrder = QueueOrder.CONFIDENCE
    min_confidence: int = 0
    versions: tuple[int, ...] | None = None
    not_held_by_others: int | None = None
    not_held: bool = False
    among: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A row's place in an order: `first` and `second` depend on the order, see `_SORT`."""

    first: int
    second: int
    id: int


@dataclass(frozen=True, slots=True)
class Keys:
    """Up to as many keys as asked for, in order. `looked_until`: where the look ended before the list did."""

    keys: tuple[Key, ...]
    looked_until: Key | None = None


@dataclass(frozen=True, slots=True)
class _Branch:
    """One range of an index. `side`: the `second` of its keys."""

    index: str
    condition: str
    ascending: bool
    side: int = 0
    version: int | None = None


_SORT = {
    QueueOrder.CONFIDENCE: lambda key: (-key.first, -key.id),
    QueueOrder.UNCERTAINTY: lambda key: (key.first, key.second, -key.id if key.second else key.id),
    QueueOrder.NEWEST: lambda key: (-key.id,),
}
"""`first` is the confidence; its distance from a half (`second`: 1 below a half, 0 above); nothing."""


async def keys(tx: Transaction, where: QueueFilter, *, after: Key | None, limit: int) -> Keys:
    """Return the keys of pending rows, explorations left out, behind `after`."""
    if where.versions == () or where.among == ():
        return Keys(())
    if where.order is QueueOrder.NEWEST:
        return await _newest(tx, where, after, limit)
    by_confidence = where.order is QueueOrder.CONFIDENCE
    branches = _by_version(where, _by_confidence(after) if by_confidence else _both_sides(after))
    parts = [_part(where, branch, number) for number, branch in enumerate(branches)]
    versions = {f"version_{number}": branch.version for number, branch in enumerate(branches)}
    rows = await tx.fetch_rows(" UNION ALL ".join(parts), **_parameters(where, after, limit), **versions)
    return Keys(_ordered(where.order, [_key(where.order, *row) for row in rows], limit))


def _ordered(order: QueueOrder, found: Collection[Key], limit: int) -> tuple[Key, ...]:
    return tuple(sorted(found, key=_SORT[order])[:limit])


def _key(order: QueueOrder, side: int, suggestion_id: int, confidence: int) -> Key:
    match order:
        case QueueOrder.CONFIDENCE:
            return Key(confidence, 0, suggestion_id)
        case QueueOrder.UNCERTAINTY:
            return Key(abs(confidence - HALF), side, suggestion_id)
        case QueueOrder.NEWEST:
            return Key(0, 0, suggestion_id)


def _by_confidence(after: Key | None) -> list[_Branch]:
    rest = (
        "" if after is None else " AND (s.confidence < :first OR s.confidence = :first AND s.id < :after_id)"
    )
    return [_Branch("suggestions_grid", f"s.confidence >= :min{rest}", ascending=False)]


def _both_sides(after: Key | None) -> list[_Branch]:
    """Outwards from a half: no index needs a column for the distance."""
    above, below = "s.confidence >= GREATEST(:min, :half)", "s.confidence >= :min AND s.confidence < :half"
    if after is not None:
        at_above, at_below = "s.confidence = :half + :first", "s.confidence = :half - :first"
        if after.second == 0:
            above += f" AND (s.confidence > :half + :first OR {at_above} AND s.id > :after_id)"
            below += " AND s.confidence <= :half - :first"
        else:
            above += " AND s.confidence > :half + :first"
            below += f" AND (s.confidence < :half - :first OR {at_below} AND s.id < :after_id)"
    return [
        _Branch("suggestions_grid", above, ascending=True, side=0),
        _Branch("suggestions_grid", below, ascending=False, side=1),
    ]


def _by_version(where: QueueFilter, branches: Sequence[_Branch]) -> list[_Branch]:
    """One range for each version: a list of versions would break the index's order."""
    if where.versions is None:
        return list(branches)
    return [
        _Branch("suggestions_model", one.condition, one.ascending, one.side, version)
        for one in branches
        for version in where.versions
    ]


def _part(where: QueueFilter, branch: _Branch, number: int) -> str:
    way = "ASC" if branch.ascending else "DESC"
    version = "" if branch.version is None else f"AND s.model_version_id = :version_{number}"
    return f"""
        (SELECT {branch.side}, s.id, s.confidence FROM suggestions s {_hint(where, branch.index)}
         WHERE {_condition(where)} AND s.exploration = FALSE {version} AND {branch.condition}
         ORDER BY s.confidence {way}, s.id {way} LIMIT :limit)
    """


def _hint(where: QueueFilter, index: str) -> str:
    # A few known rows are found by their ids.
    return f"FORCE INDEX ({index})" if where.among is None else ""


def _condition(where: QueueFilter) -> str:
    condition = "s.tag_id = :tag_id AND s.status = 'pending'"
    if where.not_held:
        condition += f" AND NOT COALESCE({HELD_BY_ANYBODY}, FALSE)"
    if where.not_held_by_others is not None:
        condition += f" AND NOT COALESCE({HELD_BY_OTHERS}, FALSE)"
    if where.among is not None:
        condition += " AND s.id IN :among"
    return condition


def _parameters(where: QueueFilter, after: Key | None, limit: int) -> dict[str, object]:
    return {
        "tag_id": where.tag_id,
        "min": where.min_confidence,
        "half": HALF,
        "user_id": where.not_held_by_others,
        "among": where.among,
        "first": None if after is None else after.first,
        "after_id": None if after is None else after.id,
        "limit": limit,
    }


async def _newest(tx: Transaction, where: QueueFilter, after: Key | None, limit: int) -> Keys:
    """By id; confidence and version are looked up in the index, for so many rows and no more."""
    condition = f"{_condition(where)} AND s.exploration = FALSE" + (
        "" if after is None else " AND s.id < :after_id"
    )
    table = f"FROM suggestions s {_hint(where, 'suggestions_newest')}"
    parameters = _parameters(where, after, limit) | {"versions": where.versions}
    bound: int | None = None
    if where.min_confidence or where.versions is not None:
        end = await tx.fetch_rows(
            f"SELECT s.id {table} WHERE {condition} ORDER BY s.id DESC LIMIT 1 OFFSET :last",
            **parameters,
            last=SCANNED - 1,
        )
        bound = end[0][0] if end else None
        condition += " AND s.confidence >= :min"
        condition += "" if where.versions is None else " AND s.model_version_id IN :versions"
        condition += "" if bound is None else " AND s.id >= :bound"
    rows = await tx.fetch_rows(
        f"SELECT 0, s.id, s.confidence {table} WHERE {condition} ORDER BY s.id DESC LIMIT :limit",
        **parameters,
        bound=bound,
    )
    found = tuple(_key(where.order, *row) for row in rows)
    return Keys(found, None if bound is None or len(found) == limit else Key(0, 0, bound))


async def explorations(tx: Transaction, where: QueueFilter, *, after_id: int, limit: int) -> tuple[int, ...]:
    """Return pending explorations of the tag behind `after_id`, in id order. The confidence does not matter:
    all are below the threshold."""
    if where.versions == () or where.among == ():
        return ()
    versions = "" if where.versions is None else "AND s.model_version_id IN :versions"
    rows = await tx.fetch_rows(
        f"SELECT s.id FROM suggestions s {_hint(where, 'suggestions_newest')} WHERE {_condition(where)}"
        f" AND s.exploration = TRUE AND s.id > :after_id {versions} ORDER BY s.id LIMIT :limit",
        **_parameters(where, None, limit) | {"after_id": after_id, "versions": where.versions},
    )
    return tuple(row[0] for row in rows)
