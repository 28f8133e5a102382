"""A running installation without the demo board, for benchmarks of whole corpora."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.installation import say
from orchestrator import accounts
from orchestrator.backfill import runs
from orchestrator.images.blobs import store_blob
from orchestrator.inference.client import TritonClient
from orchestrator.local.instance import Instance
from orchestrator.local.stack import Stack
from orchestrator.records import ImageSource, Priority, Role, RunState, SourceKind
from orchestrator.registry.initialise import initialise
from orchestrator.registry.presets import Preset
from orchestrator.registry.publish import Publisher
from orchestrator.settings import Settings, load_settings
from orchestrator.store import backfills, images
from orchestrator.store.images import NewImage
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

_POLL = 0.25
_PATIENCE = 1800.0


class Place:
    """A running installation without the demo board."""

    def __init__(self, stack: Stack, settings: Settings, store: Store, triton: TritonClient) -> None:
        self.stack = stack
        self.settings = settings
        self.store = store
        self.triton = triton
        self._uploader: int | None = None

    async def publish(self, name: str, write: Callable[[Path], None], golden: Path) -> Path:
        """Make a model, publish it and put it in use; returns the folder of what was handed in."""
        folder = self.stack.instance.folder / "sources" / name
        say(f"{name}: make and publish")
        write(folder)
        initialise(
            folder, preset=Preset.WD14_V3, name=name, version=1, source="made by a benchmark",
            licence="Apache-2.0", golden=[golden],
        )  # fmt: skip
        publisher = Publisher(self.store, self.settings, self.triton, "benchmark", say=say)
        await publisher.publish(folder, activate=True)
        return folder

    async def register(self, pictures: Sequence[bytes]) -> tuple[int, int]:
        """Register pictures that nobody analyses yet; returns the first and the last id."""
        keys = [store_blob(self.settings.blob_dir, picture) for picture in pictures]
        if self._uploader is None:
            uploader = await accounts.create_user(self.store, name="uploader", role=Role.UPLOADER)
            self._uploader = uploader.id
        rows = [
            NewImage(ImageSource(SourceKind.BLOB, key), self._uploader, None, Priority.BACKFILL)
            for key in keys
        ]

        async def work(tx: Transaction) -> list[int]:
            ids = [one.id for one in await images.register_many(tx, rows)]
            # As after an import: they wait for a backfill, nobody sweeps them into the queue.
            await tx.execute("UPDATE images SET state = 'imported' WHERE id IN :ids", ids=ids)
            return ids

        ids = await self.store.write(work)
        return min(ids), max(ids)

    async def backfill(self, first: int, last: int) -> float:
        """Run a backfill; returns the seconds until the last image was stored."""
        begun = await runs.start(self.store, [f"ids={first}-{last}"])
        async with asyncio.timeout(_PATIENCE):
            while True:
                found = await self.store.read(lambda tx: backfills.get(tx, begun.id))
                if found.state is RunState.DONE:
                    break
                await asyncio.sleep(_POLL)
        if found.failed:
            raise RuntimeError(f"{found.failed} images failed")
        (row,) = await self.store.read(
            lambda tx: tx.fetch_rows(
                "SELECT TIMESTAMPDIFF(MICROSECOND, :begun, MAX(analysed_at)) FROM images"
                " WHERE id BETWEEN :first AND :last",
                begun=begun.created_at.replace(tzinfo=None),
                first=first,
                last=last,
            )
        )
        return float(row[0]) / 1e6


@asynccontextmanager
async def empty_installation(instance: str) -> AsyncIterator[Place]:
    """Start a stack of this name from nothing, without models, and end it afterwards."""
    stack = Stack(Instance.named(instance), report=say)
    stack.down()
    shutil.rmtree(stack.instance.folder, ignore_errors=True)
    with TemporaryDirectory() as no_models:
        stack.up(model_repository=Path(no_models))
    try:
        os.environ.update(stack.environment())
        settings = load_settings()
        store = await Store.connect(settings)
        try:
            async with TritonClient.from_settings(settings) as triton:
                yield Place(stack, settings, store, triton)
        finally:
            await store.close()
    finally:
        stack.down()
