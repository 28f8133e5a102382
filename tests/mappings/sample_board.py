"""The labelled sample and the board that it was labelled against (sample/README.md)."""

import csv
from dataclasses import dataclass
from pathlib import Path

from mapping_tools.matcher import ExternalTag
from orchestrator.records import LabelCategory, Tag, TagType

FOLDER = Path(__file__).parent / "sample"


@dataclass(frozen=True)
class Labelled:
    """An external tag, and the (title, type) that a person says it means; None: nothing on the board."""

    external: ExternalTag
    wanted: tuple[str, TagType] | None


def _read(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def board() -> tuple[tuple[Tag, ...], tuple[tuple[int, int], ...]]:
    """Return the board's tags and the sources of its characters."""
    rows = _read("board.csv")
    ids = {(row["type"], row["title"]): number for number, row in enumerate(rows, start=1)}
    tags = tuple(
        Tag(
            id=ids[row["type"], row["title"]],
            external_id=None,
            title=row["title"],
            type=TagType(row["type"]),
            alias_of=ids[row["type"], row["alias_of"]] if row["alias_of"] else None,
        )
        for row in rows
    )
    sources = tuple(
        (ids[row["type"], row["title"]], ids["source", row["source"]]) for row in rows if row["source"]
    )
    return tags, sources


def labelled() -> tuple[Labelled, ...]:
    return tuple(
        Labelled(
            ExternalTag(row["external_tag"], LabelCategory(row["category"])),
            (row["title"], TagType(row["type"])) if row["title"] else None,
        )
        for row in _read("labelled.csv")
    )
