"""A small board on which the colour models are active, and questions to ask of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from colours import SIZE

from orchestrator.images.blobs import store_blob
from orchestrator.pipeline.analyse import Pipeline
from orchestrator.records import (
    Geometry,
    Image,
    ImageSource,
    ImageState,
    Label,
    LabelCategory,
    MappingAction,
    Priority,
    Role,
    SourceKind,
    TagType,
    User,
    VersionState,
    Vocabulary,
)
from orchestrator.resources import Resources
from orchestrator.settings import Settings
from orchestrator.store import images, mappings, models, suggestions, tags, users
from orchestrator.store.mappings import NewMapping
from orchestrator.store.models import NewVersion
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

BRIGHT_TAG = 501
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@dataclass(frozen=True)
class World:
    """The board's people and tags, on an open store."""

    store: Store
    settings: Settings
    user: User

    async def add(self, data: bytes, *, priority: Priority = Priority.LIVE) -> int:
        """Register an uploaded picture."""
        return await self.add_source(
            ImageSource(SourceKind.BLOB, store_blob(self.settings.blob_dir, data)), priority=priority
        )

    async def add_source(self, source: ImageSource, *, priority: Priority = Priority.LIVE) -> int:
        """Register a picture by its source."""

        async def register(tx: Transaction) -> int:
            added = await images.register(
                tx, source=source, uploader_id=self.user.id, external_id=None, priority=priority
            )
            return added.id

        return await self.store.write(register)

    async def image(self, image_id: int) -> Image:
        """Read an image's row."""
        return await self.store.read(lambda tx: images.get(tx, image_id))

    async def state(self, image_id: int) -> ImageState:
        """Read where an image stands."""
        return (await self.image(image_id)).state

    async def suggested(self, image_id: int) -> dict[str, int]:
        """Return title → confidence of an image's suggestions."""
        views = await self.store.read(lambda tx: suggestions.for_image(tx, image_id))
        return {view.tag.title: view.confidence for view in views}

    async def execute(self, statement: str, **parameters: object) -> int:
        """Change rows behind the services' back, to set a scene."""
        return await self.store.write(lambda tx: tx.execute(statement, **parameters))

    async def make_older(self, seconds: float) -> None:
        """Let every image's history lie `seconds` further back."""
        await self.execute(
            "UPDATE images SET queued_at = queued_at - INTERVAL :us MICROSECOND,"
            " enqueued_at = enqueued_at - INTERVAL :us MICROSECOND,"
            " claimed_at = claimed_at - INTERVAL :us MICROSECOND,"
            " not_before = not_before - INTERVAL :us MICROSECOND",
            us=round(seconds * 1e6),
        )

    async def stored_rows(self, image_ids: Sequence[int]) -> list[tuple[object, ...]]:
        """Return all that the pipeline stored of these images, by location: what two runs must agree on."""
        return await self.store.read(
            lambda tx: tx.fetch_rows(
                "SELECT i.source_location, i.state, i.failure_code, i.width, i.sha256, t.title, s.status,"
                " s.score, s.confidence, (SELECT COUNT(*) FROM raw_predictions r WHERE r.image_id = i.id),"
                " (SELECT SUM(r.score) FROM raw_predictions r WHERE r.image_id = i.id),"
                " (SELECT COUNT(*) FROM suggestion_evidence e WHERE e.suggestion_id = s.id)"
                " FROM images i LEFT JOIN suggestions s ON s.image_id = i.id"
                " LEFT JOIN tags t ON t.id = s.tag_id"
                " WHERE i.id IN :ids ORDER BY i.source_location, t.title",
                ids=list(image_ids),
            )
        )

    async def counters(self) -> dict[int, int]:
        """Return pending suggestions by tag id, as counted apart from the rows."""
        rows = await self.store.read(
            lambda tx: tx.fetch_rows("SELECT tag_id, SUM(amount) FROM tag_counters GROUP BY tag_id")
        )
        return {tag_id: int(amount) for tag_id, amount in rows}


async def found(store: Store, settings: Settings, *, active: bool = True, rgb: str = "colours") -> World:
    """Create a user, the tags red (mapped), green (mapped at half weight), bright, and two models.

    `rgb`: the name of the one that sees red, green and blue. The other is `shades`.
    """

    async def create(tx: Transaction) -> User:
        user = await users.create(tx, name="ada", role=Role.UPLOADER, external_id=None)
        red = await tags.create(tx, title="red", type=TagType.THEME)
        green = await tags.create(tx, title="green", type=TagType.THEME)
        await tags.create(tx, title="bright", type=TagType.THEME, external_id=BRIGHT_TAG)
        await mappings.upsert_many(
            tx,
            [
                NewMapping("danbooru", "red", MappingAction.MAP, red.id),
                NewMapping("danbooru", "green", MappingAction.MAP, green.id, 5000),
            ],
            actor_id=user.id,
        )
        await register_rgb(tx, rgb, 1, active=active)
        await register_shades(tx, active=active)
        return user

    return World(store, settings, await store.write(create))


async def register_colours(tx: Transaction, version: int, *, active: bool, labels: int = 3) -> int:
    """Register a version of `colours`; with more labels than three it no longer fits what Triton serves."""
    return await register_rgb(tx, "colours", version, active=active, labels=labels)


async def register_rgb(tx: Transaction, name: str, version: int, *, active: bool, labels: int = 3) -> int:
    """Register a version of a model that sees red, green and blue."""
    names = ("red", "green", "blue", "infrared")[:labels]
    return await _register(
        tx,
        name,
        version,
        Vocabulary.DANBOORU,
        tuple(Label(index, name, LabelCategory.GENERAL) for index, name in enumerate(names)),
        active=active,
    )


async def register_shades(tx: Transaction, *, active: bool) -> int:
    """Register `shades`."""
    labels = (Label(0, str(BRIGHT_TAG), LabelCategory.BOARD),)
    return await _register(tx, "shades", 1, Vocabulary.BOARD, labels, active=active)


async def _register(
    tx: Transaction,
    name: str,
    version: int,
    vocabulary: Vocabulary,
    labels: tuple[Label, ...],
    *,
    active: bool,
) -> int:
    board = vocabulary is Vocabulary.BOARD
    new = NewVersion(
        name=name,
        version=version,
        source="custom_theme" if board else "danbooru",
        vocabulary=vocabulary,
        priority=0 if board else 10,
        sha256=f"{version:064x}",
        geometry=Geometry(size=SIZE),
        labels=labels,
        general_floor=None,
        board_floor=None,
        label_floors={},
        manifest="{}",
    )
    version_id = await models.insert_version(tx, new, state=VersionState.STAGED)
    if active:
        await models.set_active(tx, version_id)
    return version_id


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Resources]:
    """Open a process's resources as a worker would."""
    resources = await Resources.open(settings)
    try:
        yield resources
    finally:
        await resources.close()


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, *, timeout: float = 20.0, every: float = 0.05
) -> None:
    """Wait for `condition`, asking it again and again. Raises AssertionError when it does not come true."""
    deadline = time.monotonic() + timeout
    while not await condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        await asyncio.sleep(every)


async def analyse_until_settled(world: World, pipeline: Pipeline, image_id: int) -> Image:
    """Offer an image to the pipeline, as the sweeper would, until it is done or failed."""

    async def settled() -> bool:
        await pipeline.analyse_images([image_id], Priority.LIVE)
        return await world.state(image_id) in {ImageState.DONE, ImageState.FAILED}

    try:
        await until(settled, f"image {image_id} is done or failed")
    except AssertionError as error:
        raise AssertionError(await world.image(image_id)) from error
    return await world.image(image_id)


def write_picture(folder: Path, name: str, data: bytes) -> str:
    """Write a picture and return its path."""
    path = folder / name
    path.write_bytes(data)
    return str(path)
