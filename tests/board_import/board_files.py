"""Writing a board's files and importing them."""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.board_import.checking import Checked
from orchestrator.board_import.files import Kind
from orchestrator.board_import.service import BoardImport, Options
from orchestrator.settings import Settings
from orchestrator.store import consistency, tags
from orchestrator.store.import_runs import Counts
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

Rows = Sequence[Mapping[str, object]]

TAGS: Rows = (
    {"external_id": 3, "title": "very long hair", "type": "theme", "parent": 2},
    {"external_id": 2, "title": "long hair", "type": "theme", "parent": 1},
    {"external_id": 1, "title": "hair", "type": "theme"},
    {"external_id": 5, "title": "beaming", "type": "theme", "alias_of": 6},
    {"external_id": 6, "title": "grin", "type": "theme", "alias_of": 4},
    {"external_id": 4, "title": 'smile, "wide"', "type": "theme"},
    {"external_id": 7, "title": "Réimu", "type": "character"},
)
USERS: Rows = (
    {"external_id": 11, "name": "mira"},
    {"external_id": 12, "name": "Zoë", "role": "moderator"},
)
IMAGES: Rows = (
    {"external_id": 101, "url": "https://board.example/101.jpg", "uploader": 11, "sha256": "AB" * 32},
    {
        "external_id": 102,
        "url": "https://board.example/102.jpg",
        "uploader": 12,
        "uploaded_at": "2020-05-01T12:00:00+02:00",
        "status": "spoiler",
    },
    {"external_id": 103, "url": "https://board.example/103.jpg", "uploader": 11, "status": "deleted"},
)
LINKS: Rows = (
    {"image": 101, "tag": 3, "by": 12},
    {"image": 101, "tag": 5},
    {"image": 101, "tag": 4},
    {"image": 102, "tag": 7},
    {"image": 103, "tag": 1},
)
BOARD: Mapping[Kind, Rows] = {
    Kind.TAGS: TAGS,
    Kind.USERS: USERS,
    Kind.IMAGES: IMAGES,
    Kind.LINKS: LINKS,
}

_TABLES = (
    "SELECT external_id, title, type, (SELECT external_id FROM tags a WHERE a.id = t.alias_of),"
    " (SELECT external_id FROM tags p WHERE p.id = t.parent_id) FROM tags t ORDER BY external_id, title",
    "SELECT d.external_id, a.external_id, c.depth FROM tag_closure c JOIN tags d ON d.id = c.descendant_id"
    " JOIN tags a ON a.id = c.ancestor_id ORDER BY 1, 2",
    "SELECT external_id, name, role FROM users ORDER BY external_id, name",
    "SELECT i.external_id, i.source_kind, i.source_location, u.external_id, i.eligibility, i.state,"
    " HEX(i.sha256) FROM images i JOIN users u ON u.id = i.uploader_id ORDER BY 1",
    "SELECT i.external_id, t.external_id, l.user_id IS NULL FROM tag_links l"
    " JOIN images i ON i.id = l.image_id JOIN tags t ON t.id = l.tag_id ORDER BY 1, 2",
    "SELECT t.external_id, c.measure, c.bucket, c.amount FROM tag_counters c JOIN tags t ON t.id = c.tag_id"
    " WHERE c.amount <> 0 ORDER BY 1, 2, 3",
)


def as_text(rows: Rows, suffix: str) -> str:
    """Return rows as CSV, with all columns that some row has, or as JSON Lines."""
    if suffix == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@dataclass
class Files:
    """Files in a folder, and imports of them."""

    folder: Path
    store: Store
    settings: Settings
    paths: dict[Kind, Path] = field(default_factory=dict)

    def write(self, kind: Kind, rows: Rows, suffix: str = "csv") -> Path:
        """Write a file; `suffix`: csv or jsonl, with or without .gz."""
        return self.write_text(kind, as_text(rows, suffix.removesuffix(".gz")), suffix)

    def write_text(self, kind: Kind, text: str, suffix: str = "csv") -> Path:
        path = self.folder / f"{kind}.{suffix}"
        data = text.encode()
        path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
        self.paths[kind] = path
        return path

    def write_board(self, board: Mapping[Kind, Rows] = BOARD, suffix: str = "csv") -> None:
        for kind, rows in board.items():
            self.write(kind, rows, suffix)

    def work(self, options: Options | None = None) -> BoardImport:
        return BoardImport(self.store, self.settings, self.paths, options)

    async def check(self) -> dict[Kind, Checked]:
        return await self.work().check()

    async def run(self, options: Options | None = None) -> dict[Kind, Counts]:
        work = self.work(options)
        return await work.run(await work.check())

    async def rows(self) -> list[list[tuple[object, ...]]]:
        """All that an import may write, by external ids."""
        return await self.store.read(_rows)

    async def titles(self, external_id: int) -> set[str]:
        """The titles of the tags that an image has, by the board's id of it."""

        async def read(tx: Transaction) -> set[str]:
            ((image_id,),) = await tx.fetch_rows(
                "SELECT id FROM images WHERE external_id = :e", e=external_id
            )
            return {tag.title for tag in await tags.applied(tx, image_id)}

        return await self.store.read(read)

    async def assert_consistent(self) -> None:
        """As `tagdesk doctor --deep` looks at it."""
        assert await self.store.read(consistency.violations) == ()


async def _rows(tx: Transaction) -> list[list[tuple[object, ...]]]:
    return [list(await tx.fetch_rows(statement)) for statement in _TABLES]
