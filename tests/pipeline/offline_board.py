"""A board whose images are looked at elsewhere, and what it must share with one that workers serve."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colours import picture
from world import World

from orchestrator.offline import infer
from orchestrator.offline.export import export
from orchestrator.offline.infer import Job
from orchestrator.offline.ingest import Fate, Summary, ingest
from orchestrator.registry.manifest import file_sha256
from orchestrator.settings import PictureSettings
from orchestrator.store.transaction import Transaction

TABLES = (
    "tag_counters",
    "unmapped_tags",
    "images",
    "suggestions",
    "suggestion_evidence",
    "raw_predictions",
    "analyses",
    "verdicts",
    "outbox",
)
_OWN = {"id", "image_id", "suggestion_id", "source_location", "external_id"}
_TABLES_OF_IMAGES = {
    "images": "SELECT t.id AS place, t.* FROM images t WHERE t.id IN :ids",
    "suggestions": "SELECT t.image_id AS place, t.* FROM suggestions t WHERE t.image_id IN :ids",
    "suggestion_evidence": "SELECT s.image_id AS place, s.tag_id, t.* FROM suggestion_evidence t"
    " JOIN suggestions s ON s.id = t.suggestion_id WHERE s.image_id IN :ids",
    "raw_predictions": "SELECT t.image_id AS place, t.* FROM raw_predictions t WHERE t.image_id IN :ids",
    "analyses": "SELECT t.image_id AS place, t.* FROM analyses t WHERE t.image_id IN :ids",
}

PICTURES = (
    picture(255, 0, 0),
    picture(10, 240, 130),
    picture(200, 180, 160),
    picture(80, 85, 12),
    picture(255, 255, 0, alpha=90),
    picture(0, 0, 0),
    b"this is no picture",
    picture(200, 0, 0, size=12),
)
"""Sure, unsure, unmapped, just below a threshold, transparent, nothing at all; and two that fail."""


@dataclass(frozen=True)
class Offline:
    """A board, and a host that shares nothing with it but `folder` and copies of the models."""

    world: World
    folder: Path

    @property
    def repository(self) -> Path:
        """The models."""
        return self.world.settings.model_repository

    @property
    def work(self) -> Path:
        """The work list."""
        return self.folder / "work.jsonl"

    @property
    def settings(self) -> PictureSettings:
        """The other host's: it sees the uploads."""
        return PictureSettings(
            blob_dir=self.world.settings.blob_dir, decode_processes=1, max_attempts=2, retry_base=0.01
        )

    async def know_graphs(self) -> None:
        """Let the board know the graphs of its versions, as publishing would."""
        for name, version in await self.rows("SELECT name, version FROM model_versions"):
            digest = file_sha256(self.repository / str(name) / str(version) / "model.onnx")
            await self.world.execute(
                "UPDATE model_versions SET sha256 = :sha WHERE name = :name AND version = :version",
                sha=bytes.fromhex(digest),
                name=name,
                version=version,
            )

    async def add(self, pictures: Sequence[bytes] = PICTURES) -> list[int]:
        """Register pictures."""
        return [await self.world.add(one) for one in pictures]

    async def export(self, ids: Sequence[int]) -> None:
        """Write the work list of these images."""
        written, unknown = await export(
            self.world.store, self.world.settings, self.work, ids=ids, tell=lambda _: None
        )
        assert (written, unknown) == (len(ids), [])

    def job(self, out: str = "parts", **more: object) -> Job:
        """What the other host is told to do."""
        return Job(self.work, self.folder / out, self.repository, **more)  # type: ignore[arg-type]

    async def infer(self, job: Job | None = None) -> infer.Progress:
        """Look, on the other host."""
        return await infer.run(job or self.job(), self.settings, tell=lambda _: None)

    async def ingest(self, out: str = "parts") -> Summary:
        """Take the parts in."""
        return await ingest(self.world.store, self.world.settings, self.folder / out, tell=lambda _: None)

    async def fates(self, out: str = "parts") -> dict[Fate, int]:
        """Take the parts in; return how many images became what."""
        return dict((await self.ingest(out)).fates)

    async def rows(self, statement: str, **parameters: object) -> list[tuple[object, ...]]:
        """Read rows."""

        async def read(tx: Transaction) -> list[tuple[object, ...]]:
            return list(await tx.fetch_rows(statement, **parameters))

        return await self.world.store.read(read)

    async def everything(self) -> dict[str, list[tuple[object, ...]]]:
        """Return every row that an analysis may touch, moments and all."""
        return {table: await self.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in TABLES}

    async def common(self, image_ids: Sequence[int]) -> dict[str, list[str]]:
        """Return every column of these images that two ways of looking at the same pictures must agree on:
        all but ids, which become places in `image_ids`, and moments."""
        found = {}
        for table, statement in _TABLES_OF_IMAGES.items():

            async def read(tx: Transaction, statement: str = statement) -> list[dict[str, object]]:
                return [dict(row) for row in await tx.fetch_all(statement, ids=list(image_ids))]

            found[table] = sorted(
                str(
                    {
                        name: image_ids.index(value) if name == "place" else value  # type: ignore[arg-type]
                        for name, value in row.items()
                        if name not in _OWN and not name.endswith(("_at", "not_before"))
                    }
                )
                for row in await self.world.store.read(read)
            )
        return found

    async def counted(self) -> dict[tuple[object, ...], int]:
        """Return the counts that all images share."""
        rows = await self.rows("SELECT tag_id, measure, bucket, amount FROM tag_counters WHERE amount <> 0")
        rows += await self.rows("SELECT 'unmapped', source, external_tag, images FROM unmapped_tags")
        return {tuple(key): int(str(amount)) for *key, amount in rows}


def lines(path: Path) -> list[dict[str, object]]:
    """Return a file's lines of JSON."""
    return [json.loads(line) for line in path.read_text().splitlines()]
