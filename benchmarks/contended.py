"""A board on which everybody reviews the same tag, and what is left of it afterwards."""

import json
from dataclasses import dataclass

from orchestrator import accounts
from orchestrator.records import Geometry, Label, LabelCategory, Role, TagType, User, VersionState, Vocabulary
from orchestrator.store import counters, models, tags
from orchestrator.store.models import NewVersion
from orchestrator.store.tags import NewTag
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

_AT_ONCE = 5000
_OTHERS = 4


@dataclass(frozen=True, slots=True)
class Contended:
    """`tag_id`: what everybody reviews. `suggestions`: (suggestion, image) of every pending row of it."""

    tag_id: int
    version_id: int
    uploader: User
    tokens: tuple[str, ...]
    suggestions: tuple[tuple[int, int], ...]


async def build(store: Store, *, images: int, reviewers: int) -> Contended:
    """Fill an empty database: each image has a pending suggestion of the one tag and of some others."""
    uploader = await accounts.create_user(store, name="uploader", role=Role.UPLOADER)
    people = [
        await accounts.create_user(store, name=f"reviewer {number}", role=Role.MODERATOR)
        for number in range(reviewers)
    ]
    tokens = tuple([await accounts.issue_token(store, user) for user in people])

    async def vocabulary(tx: Transaction) -> tuple[list[int], int]:
        made = await tags.upsert_many(tx, [NewTag(f"tag {n}", TagType.THEME) for n in range(1 + _OTHERS)])
        version = NewVersion(
            name="wd14",
            version=1,
            source="danbooru",
            vocabulary=Vocabulary.DANBOORU,
            priority=10,
            sha256="0" * 64,
            geometry=Geometry(448, (255, 255, 255), "bicubic"),
            labels=tuple(Label(n, f"tag_{n}", LabelCategory.GENERAL) for n in range(1 + _OTHERS)),
            general_floor=None,
            board_floor=None,
            label_floors={},
            manifest=json.dumps({}),
        )
        return [tag.id for tag in made], await models.insert_version(tx, version, state=VersionState.ACTIVE)

    tag_ids, version_id = await store.write(vocabulary)
    for start in range(0, images, _AT_ONCE):
        rows = range(start + 1, min(images, start + _AT_ONCE) + 1)
        await store.write(lambda tx, rows=rows: _fill(tx, rows, uploader, tag_ids, version_id))  # type: ignore[misc]
    await store.write(counters.rebuild)

    async def read(tx: Transaction) -> list[tuple[int, int]]:
        found = await tx.fetch_rows(
            "SELECT id, image_id FROM suggestions WHERE tag_id = :tag ORDER BY id", tag=tag_ids[0]
        )
        return [(row[0], row[1]) for row in found]

    return Contended(tag_ids[0], version_id, uploader, tokens, tuple(await store.read(read)))


async def _fill(
    tx: Transaction, image_ids: range, uploader: User, tag_ids: list[int], version_id: int
) -> None:
    await tx.insert_many(
        "images",
        ("id", "source_kind", "source_location", "uploader_id", "state", "priority", "enqueued_at"),
        [
            (image, "url", f"https://board.example/{image}.jpg", uploader.id, "done", "backfill", None)
            for image in image_ids
        ],
    )
    await tx.insert_many(
        "suggestions",
        ("image_id", "tag_id", "score", "confidence", "model_version_id"),
        [
            (image, tag, 5000 + image % 5000, 5000 + image % 5000, version_id)
            for image in image_ids
            for tag in tag_ids
        ],
    )
