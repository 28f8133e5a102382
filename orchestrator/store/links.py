"""Tag links: which tags an image has, and who put them there. Callers count them (`counters.links`)."""

from collections.abc import Collection
from enum import StrEnum

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


async def applied_ids(tx: Transaction, image_id: int) -> frozenset[int]:
    """Return the ids of the canonical tags linked to an image (through an alias too)."""
    rows = await tx.fetch_rows(
        "SELECT COALESCE(t.alias_of, t.id) FROM tag_links l JOIN tags t ON t.id = l.tag_id"
        " WHERE l.image_id = :image_id",
        image_id=image_id,
    )
    return frozenset(row[0] for row in rows)
