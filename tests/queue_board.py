"""Many pending suggestions on a small board, as analyses would have left them."""

from collections.abc import Sequence

from small_board import SmallBoard, version

from orchestrator.records import User, VersionState
from orchestrator.store import models
from orchestrator.store.counters import Deltas
from orchestrator.store.transaction import Transaction


async def fill(
    board: SmallBoard,
    confidences: Sequence[int],
    title: str = "smile",
    *,
    exploration: bool = False,
    version_id: int | None = None,
    uploader: User | None = None,
) -> list[int]:
    """Give each confidence an image of its own with a pending row of the tag; returns the rows' ids."""

    async def work(tx: Transaction) -> list[int]:
        images = await tx.insert_many(
            "images",
            ("source_kind", "source_location", "uploader_id", "state", "priority", "width", "height"),
            [
                (
                    "url",
                    "https://board.example/1.png",
                    (uploader or board.uploader).id,
                    "done",
                    "live",
                    640,
                    480,
                )
                for _ in confidences
            ],
            returning=("id",),
        )
        tag_id = board.tags[title].id
        rows = await tx.insert_many(
            "suggestions",
            ("image_id", "tag_id", "score", "confidence", "model_version_id", "exploration"),
            [
                (image[0], tag_id, confidence, confidence, version_id or board.version_id, exploration)
                for image, confidence in zip(images, confidences, strict=True)
            ],
            returning=("id",),
        )
        deltas = Deltas()
        for confidence in confidences:
            deltas.pending(tag_id, confidence, +1)
        await deltas.apply(tx)
        return [row[0] for row in rows]

    return await board.store.write(work)


async def another_model(board: SmallBoard, name: str = "other") -> int:
    """Add a version of another model; returns its id."""
    return await board.store.write(
        lambda tx: models.insert_version(tx, version(name), state=VersionState.ACTIVE)
    )
