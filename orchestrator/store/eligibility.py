"""What the board says of an image, and the pending rows that depend on it."""

from dataclasses import dataclass

from orchestrator.records import Eligibility, RawPrediction
from orchestrator.store.counters import Deltas
from orchestrator.store.transaction import Transaction

HIDDEN = frozenset({Eligibility.REPOST, Eligibility.DELETED})
"""What has no pending rows: nobody is asked about it."""


@dataclass(frozen=True, slots=True)
class StoredScores:
    """All that is known of an image without looking at it again. `seen_by`: the versions that looked.

    `has_alpha`, `sha256` (of its picture, in hex): None for an image that was never analysed.
    """

    has_alpha: bool | None
    sha256: str | None
    seen_by: frozenset[int]
    raw: tuple[RawPrediction, ...]


async def get(tx: Transaction, image_id: int) -> Eligibility:
    """Return what the board says of an image that exists."""
    (row,) = await tx.fetch_rows("SELECT eligibility FROM images WHERE id = :id", id=image_id)
    return Eligibility(row[0])


async def put(tx: Transaction, image_id: int, eligibility: Eligibility) -> None:
    """Store what the board says of an image whose row the caller has locked."""
    await tx.execute(
        "UPDATE images SET eligibility = :eligibility WHERE id = :id", eligibility=eligibility, id=image_id
    )


async def remove_pending(tx: Transaction, image_id: int, deltas: Deltas) -> int:
    """Remove the pending rows of a locked image, their evidence with them; returns how many there were.

    What to count is added to `deltas`.
    """
    gone = await tx.fetch_rows(
        "DELETE FROM suggestions WHERE image_id = :id AND status = 'pending' RETURNING tag_id, confidence",
        id=image_id,
    )
    for tag_id, confidence in gone:
        deltas.pending(tag_id, confidence, -1)
    return len(gone)


async def stored_scores(tx: Transaction, image_id: int) -> StoredScores:
    """Return the raw scores that every version left of an image that exists."""
    (image,) = await tx.fetch_rows("SELECT has_alpha, sha256 FROM images WHERE id = :id", id=image_id)
    seen = await tx.fetch_rows("SELECT model_version_id FROM analyses WHERE image_id = :id", id=image_id)
    raw = await tx.fetch_rows(
        "SELECT model_version_id, label, score FROM raw_predictions WHERE image_id = :id"
        " ORDER BY model_version_id, label",
        id=image_id,
    )
    return StoredScores(
        has_alpha=None if image[0] is None else bool(image[0]),
        sha256=None if image[1] is None else image[1].hex(),
        seen_by=frozenset(row[0] for row in seen),
        raw=tuple(RawPrediction(*row) for row in raw),
    )
