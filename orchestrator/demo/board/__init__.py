"""The demo board: a small board's tags with aliases, a hierarchy and sources of characters, and the mappings
of the names that the demonstration tagger speaks. The characters and works are invented."""

import csv
from dataclasses import dataclass
from pathlib import Path

from mapping_tools.rows import read_rows
from mapping_tools.service import import_rows
from orchestrator.records import TagType
from orchestrator.store import hierarchy, tags
from orchestrator.store.tags import NewTag
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class BoardTag:
    """A line of tags.csv. `alias_of` and `parent` are titles of the same type; `source`: of a character."""

    external_id: int
    title: str
    type: TagType
    alias_of: str | None
    parent: str | None
    source: str | None


@dataclass(frozen=True, slots=True)
class LoadedBoard:
    """What the demo board consists of; `new_mappings` were not there before."""

    tags: int
    mappings: int
    new_mappings: int


def read_tags() -> tuple[BoardTag, ...]:
    """Return the demo board's tags in file order."""
    with (FOLDER / "tags.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            BoardTag(
                external_id=int(row["external_id"]),
                title=row["title"],
                type=TagType(row["type"]),
                alias_of=row["alias_of"] or None,
                parent=row["parent"] or None,
                source=row["source"] or None,
            )
            for row in csv.DictReader(file)
        )


async def load_board(store: Store) -> LoadedBoard:
    """Bring the board's tags and mappings into the store; what is there already stays as it is."""
    rows = read_tags()
    if not await store.read(lambda tx: _is_loaded(tx, rows)):
        await store.write(lambda tx: _load_tags(tx, rows))
    mapping_rows = read_rows((FOLDER / "mappings.csv").read_text(encoding="utf-8"))
    imported = await import_rows(store, mapping_rows, apply=True)
    return LoadedBoard(tags=len(rows), mappings=len(mapping_rows), new_mappings=imported.written)


async def _is_loaded(tx: Transaction, rows: tuple[BoardTag, ...]) -> bool:
    """Whether every tag is known, so that people's changes to them since are left alone."""
    return len(await tags.by_external_ids(tx, [row.external_id for row in rows])) == len(rows)


async def _load_tags(tx: Transaction, rows: tuple[BoardTag, ...]) -> None:
    loaded = await tags.upsert_many(tx, [NewTag(row.title, row.type, row.external_id) for row in rows])
    ids = {(tag.type, tag.title): tag.id for tag in loaded}
    for row in rows:
        if row.alias_of is not None:
            await tags.set_alias(tx, ids[row.type, row.title], ids[row.type, row.alias_of])
    await hierarchy.set_parents(
        tx,
        {ids[row.type, row.title]: ids[row.type, row.parent] for row in rows if row.parent is not None},
    )
    await hierarchy.set_character_sources(
        tx,
        [
            (ids[row.type, row.title], ids[TagType.SOURCE, row.source])
            for row in rows
            if row.source is not None
        ],
    )
