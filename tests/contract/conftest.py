"""One running API for the whole folder, over the run's MariaDB, Redis and Triton."""

import asyncio
from collections.abc import Iterator

import pytest
from installation import Installation, installed, portrait, serve_wd14
from services import Stack

from orchestrator.images.blobs import store_blob
from orchestrator.records import ImageSource, Priority, SourceKind, TagType
from orchestrator.resources import Resources
from orchestrator.store import images, suggestions, tags
from orchestrator.store.counters import Deltas
from orchestrator.store.transaction import Transaction

PICTURES_EACH = 3
"""One is kept from fuzzing, one is not, and the last one nobody has looked at yet."""


@pytest.fixture(scope="package")
def served(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An API that runs, with images of everybody's."""
    with installed(stack, tmp_path_factory.mktemp("served"), "contract") as installation:
        asyncio.run(_fill(installation))
        installation.start_api()
        yield installation


async def _fill(installation: Installation) -> None:
    await serve_wd14(installation.settings)
    resources = await Resources.open(installation.settings)
    try:
        for owner, user_id in installation.user_ids.items():
            pictures = [portrait(1000 * user_id + number) for number in range(PICTURES_EACH)]
            kept, *fuzzed = [await _register(resources, user_id, picture) for picture in pictures]
            await resources.pipeline.analyse_images([kept, fuzzed[0]], Priority.LIVE)
            installation.kept[owner] = kept
            for image_id in fuzzed:
                rows = await resources.store.read(lambda tx, i=image_id: suggestions.for_image(tx, i))
                installation.suggestions[image_id] = sorted(row.id for row in rows)
        installation.tag_id = await _queue_up(resources, "kept", sorted(installation.kept.values()))
        installation.fuzzed_tag_id = await _queue_up(resources, "fuzzed", sorted(installation.suggestions))
    finally:
        await resources.close()
    assert any(installation.suggestions.values()), "no model has suggested anything"


async def _queue_up(resources: Resources, title: str, image_ids: list[int]) -> int:
    """Make a tag that is suggested for each of these images, last of all; returns its id."""

    async def work(tx: Transaction) -> int:
        tag = await tags.create(tx, title=title, type=TagType.THEME)
        ((version_id,),) = await tx.fetch_rows("SELECT id FROM model_versions WHERE state = 'active'")
        await tx.insert_many(
            "suggestions",
            ("image_id", "tag_id", "score", "confidence", "model_version_id"),
            [(image_id, tag.id, 1, 1, version_id) for image_id in image_ids],
        )
        deltas = Deltas()
        deltas.pending(tag.id, 1, len(image_ids))
        await deltas.apply(tx)
        return tag.id

    return await resources.store.write(work)


async def _register(resources: Resources, user_id: int, picture: bytes) -> int:
    source = ImageSource(SourceKind.BLOB, store_blob(resources.settings.blob_dir, picture))
    registered = await resources.store.write(
        lambda tx: images.register(
            tx, source=source, uploader_id=user_id, external_id=None, priority=Priority.LIVE
        )
    )
    return registered.id
