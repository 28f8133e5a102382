"""An installation to publish into."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.inference.client import TritonClient
from orchestrator.records import ServedModel
from orchestrator.registry.publish import Publisher
from orchestrator.settings import Settings
from orchestrator.store import models
from orchestrator.store.models import VersionRow
from orchestrator.store.unit_of_work import Store


@dataclass(frozen=True)
class Workshop:
    """An installation to publish into."""

    settings: Settings
    store: Store
    triton: TritonClient

    @property
    def repository(self) -> Path:
        return self.settings.model_repository

    def publisher(self, say: Callable[[str], None] = lambda text: None) -> Publisher:
        """Return a publisher on record as `ada`."""
        return Publisher(self.store, self.settings, self.triton, "ada", say=say)

    async def rows(self) -> dict[tuple[str, int], VersionRow]:
        """Return the registered versions."""
        return {(row.name, row.version): row for row in await self.store.read(models.list_versions)}

    async def served(self) -> set[tuple[str, int]]:
        """Return what Triton serves."""
        return {(one.name, one.version) for one in await self.triton.index() if one.state == "READY"}

    async def active(self) -> list[ServedModel]:
        """Return the versions in use."""
        return await self.store.read(lambda tx: models.active(tx, self.settings))

    def files(self) -> dict[str, bytes]:
        """Return every file of the repository: also what publishing works with while it works."""
        found = (path for path in self.repository.rglob("*") if path.is_file())
        return {str(path.relative_to(self.repository)): path.read_bytes() for path in sorted(found)}

    async def state(self) -> tuple[dict[str, bytes], set[tuple[str, int]], dict[tuple[str, int], VersionRow]]:
        """Return all that publishing may change: files, what Triton serves, rows."""
        return self.files(), await self.served(), await self.rows()
