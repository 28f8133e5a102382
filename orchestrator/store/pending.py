# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Images with pending suggestions, as the review desk walks through them: newest first.

Explorations do not count: an image is done without them.
"""

from collections.abc import Sequence

from orchestrator.store.transaction import Transaction

_HAS_PENDING = (
    "EXISTS (SELECT 1 FROM suggestions s"
    " WHERE s.image_id = i.id AND s.status = 'pending' AND s.exploration = FALSE)"
)


async def counts(tx: Transaction, image_ids: Sequence[int]) -> dict[int, int]:
    """Return how many pending suggestions each image has; images without any are left out."""
    if not image_ids:
        return {}
    rows = await tx.fetch_rows(
        "SELECT image_id, COUNT(*) FROM suggestions"
        " WHERE image_id IN :image_ids AND status = 'pending' AND exploration = FALSE GROUP BY image_id",
        image_ids=sorted(set(image_ids)),
    )
    return {int(image_id): int(amount) for image_id, amount in rows}


async def neighbours(
    tx: Transaction, image_id: int, *, uploader_id: int | None
) -> tuple[int | None, int | None]:
    """Return the next newer and the next older image with pending suggestions, of one uploader or of all."""
    whose = "" if uploader_id is None else "AND i.uploader_id = :uploader_id"
    found: list[int | None] = []
    for side, order in ((">", "ASC"), ("<", "DESC")):
        row = await tx.fetch_one(
            f"SELECT i.id FROM images i WHERE i.id {side} :image_id {whose} AND {_HAS_PENDING}"
            f" ORDER BY i.id {order} LIMIT 1",
            image_id=image_id,
            uploader_id=uploader_id,
        )
        found.append(None if row is None else int(row["id"]))
    return found[0], found[1]
