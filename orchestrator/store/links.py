# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Tag links: which tags an image has, and who put them there. Callers count them (`counters.links`)."""

from collections.abc import Collection
from enum import StrEnum

from orchestrator.store.rows import pair_table
from orchestrator.store.transaction import Transaction


class LinkOrigin(StrEnum):
    """How a link came to be."""

    REVIEW = "review"
    BOARD = "board"
    IMPORT = "import"


async def link(
    tx: Transaction, image_id: int, tag_ids: Collection[int], *, user_id: int | None, origin: LinkOrigin
) -> frozenset[int]:
    """Link canonical tags to an image whose row the caller has locked; returns those that were not there."""
    if not tag_ids:
        return frozenset()
    rows = await tx.fetch_rows(
        "SELECT tag_id FROM tag_links WHERE image_id = :image_id AND tag_id IN :tag_ids",
        image_id=image_id,
        tag_ids=sorted(tag_ids),
    )
    fresh = sorted(set(tag_ids) - {row[0] for row in rows})
    await tx.insert_many(
        "tag_links",
        ("image_id", "tag_id", "origin", "user_id"),
        [(image_id, tag_id, origin, user_id) for tag_id in fresh],
    )
    return frozenset(fresh)


async def link_pairs(
    tx: Transaction, pairs: Collection[tuple[int, int]], *, user_id: int | None, origin: LinkOrigin
) -> frozenset[tuple[int, int]]:
    """Link (image id, canonical tag id) pairs of locked images; returns those that were not there."""
    if not pairs:
        return frozenset()
    among, parameters = _among(pairs)
    known = await tx.fetch_rows(f"SELECT l.image_id, l.tag_id FROM {among}", **parameters)
    fresh = sorted(set(pairs) - set(known))
    await tx.insert_many(
        "tag_links",
        ("image_id", "tag_id", "origin", "user_id"),
        [(image_id, tag_id, origin, user_id) for image_id, tag_id in fresh],
    )
    return frozenset(fresh)


async def unlink_pairs(
    tx: Transaction, pairs: Collection[tuple[int, int]], *, origin: LinkOrigin | None = None
) -> frozenset[tuple[int, int]]:
    """Remove links of locked images, of one origin or of any; returns those that were there."""
    if not pairs:
        return frozenset()
    among, parameters = _among(pairs)
    there = await tx.fetch_rows(
        f"SELECT l.image_id, l.tag_id FROM {among} WHERE :origin IS NULL OR l.origin = :origin",
        **parameters,
        origin=origin,
    )
    if there:
        among, parameters = _among([(row[0], row[1]) for row in there])
        await tx.execute(f"DELETE l FROM {among}", **parameters)
    return frozenset((row[0], row[1]) for row in there)


def _among(pairs: Collection[tuple[int, int]]) -> tuple[str, dict[str, object]]:
    """Return the links of these pairs, as `l`, for a statement, and its parameters."""
    table, parameters = pair_table(pairs)
    join = "STRAIGHT_JOIN tag_links l ON l.image_id = p.image_id AND l.tag_id = p.tag_id"
    return f"{table} p {join}", parameters


async def applied_to(tx: Transaction, image_ids: Collection[int]) -> dict[int, frozenset[int]]:
    """Return the canonical tags linked to each image (through an alias too); every image has an entry."""
    found: dict[int, set[int]] = {image_id: set() for image_id in image_ids}
    if found:
        for image_id, tag_id in await tx.fetch_rows(
            "SELECT l.image_id, COALESCE(t.alias_of, t.id) FROM tag_links l JOIN tags t ON t.id = l.tag_id"
            " WHERE l.image_id IN :ids",
            ids=sorted(found),
        ):
            found[image_id].add(tag_id)
    return {image_id: frozenset(tags) for image_id, tags in found.items()}


async def applied_ids(tx: Transaction, image_id: int) -> frozenset[int]:
    """Return the ids of the canonical tags linked to an image (through an alias too)."""
    rows = await tx.fetch_rows(
        "SELECT COALESCE(t.alias_of, t.id) FROM tag_links l JOIN tags t ON t.id = l.tag_id"
        " WHERE l.image_id = :image_id",
        image_id=image_id,
    )
    return frozenset(row[0] for row in rows)
