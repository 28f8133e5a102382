"""Hostile uploads through the worker's own code, on the real database and the real model server."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
from hostile_files import Case, good, hostile_cases

from orchestrator.images.blobs import store_blob
from orchestrator.inference.client import TritonClient
from orchestrator.records import Image, ImageSource, ImageState, Priority, Role, SourceKind
from orchestrator.registry.register import register_folder
from orchestrator.resources import Resources
from orchestrator.settings import Settings
from orchestrator.store import images, users
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio

GOOD = 20
HOSTILE = 40
EXPENSIVE = ("bomb", "49", "big-picture", "-300", "-80", "too-many-bytes")


@dataclass(frozen=True)
class Upload:
    """An uploaded file and what its row must say: `done WIDTHxHEIGHT`, or one of these failures."""

    name: str
    data: bytes
    right: frozenset[str]


@pytest.fixture
async def resources(settings: Settings, triton_admin_key: str) -> AsyncIterator[Resources]:
    """What a worker holds, with the demonstration tagger served and active."""
    async with TritonClient(settings.triton_url, admin_key=triton_admin_key) as client:
        await client.load("wd14", [1], repository=settings.model_repository)
    opened = await Resources.open(settings)
    try:
        await register_folder(opened.store, settings, "wd14", 1)
        yield opened
    finally:
        await opened.close()


def uploads() -> list[Upload]:
    """A sample of the hostile files of every group, good pictures among them; no two have the same bytes."""
    cheap = [case for case in hostile_cases() if not any(word in case.name for word in EXPENSIVE)]
    chosen = [_hostile(case) for case in cheap[:: len(cheap) // HOSTILE][:HOSTILE]]
    for number in range(GOOD):
        data, (width, height) = good(number)
        chosen.insert(3 * number, Upload(f"good-{number}", data, frozenset({f"done {width}x{height}"})))
    return chosen


def _hostile(case: Case) -> Upload:
    if case.size is not None:
        return Upload(case.name, case.make(), frozenset({"done {}x{}".format(*case.size)}))
    return Upload(case.name, case.make(), frozenset(code.value for code in case.codes))


async def register(resources: Resources, settings: Settings, chosen: Sequence[Upload]) -> dict[int, Upload]:
    """Register every file as an upload; return which image it became."""

    async def work(tx: Transaction) -> dict[int, Upload]:
        user = await users.create(tx, name="mallory", role=Role.UPLOADER, external_id=None)
        added = {}
        for upload in chosen:
            source = ImageSource(SourceKind.BLOB, store_blob(settings.blob_dir, upload.data))
            row = await images.register(
                tx, source=source, uploader_id=user.id, external_id=None, priority=Priority.LIVE
            )
            added[row.id] = upload
        return added

    return await resources.store.write(work)


def told(image: Image) -> str:
    """Return what an image's row says of its end."""
    if image.state is ImageState.DONE:
        return f"done {image.width}x{image.height}"
    if image.state is ImageState.FAILED and image.failure is not None:
        return image.failure.code
    return image.state.value


async def test_every_upload_ends_as_documented_at_the_first_try(
    resources: Resources, settings: Settings
) -> None:
    # Given hostile files and good pictures, registered as uploads
    added = await register(resources, settings, uploads())
    assert len(added) == GOOD + HOSTILE
    # When a worker is handed all of them
    await resources.pipeline.analyse_images(list(added), Priority.LIVE)
    # Then each row tells its documented end
    rows = {
        image_id: await resources.store.read(lambda tx, i=image_id: images.get(tx, i)) for image_id in added
    }
    wrong = {added[i].name: told(row) for i, row in rows.items() if told(row) not in added[i].right}
    assert wrong == {}
    # And nothing was tried twice, or waits for another try
    assert {row.attempts for row in rows.values()} == {1}
    assert sum(row.state is ImageState.FAILED for row in rows.values()) >= HOSTILE // 2
