"""`board_import`: a board's files, from nothing, and once more."""

import asyncio
import csv
import itertools
import os
import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.figures import Figures
from benchmarks.installation import INSTANCE, say
from benchmarks.own_board import OwnBoard, found
from orchestrator.board_import.files import Kind
from orchestrator.board_import.service import BoardImport
from orchestrator.local.instance import Instance
from orchestrator.local.mariadb import BUFFER_POOL
from orchestrator.local.parts import SERVICES
from orchestrator.local.stack import Stack
from orchestrator.store.import_runs import Counts
from orchestrator.store.unit_of_work import Store

DATABASE = "board_import"
SEED = 7
LINKS_EACH, USERS = 13, 1_000
_POOL = "1G"
_THEMES = 359
_THEMES_SHARE = 0.76
_TYPES = ("theme", "character", "source", "artist")
_TABLES = (
    "SELECT COUNT(*), SUM(CRC32(CONCAT_WS('-', image_id, tag_id, user_id, created_at))) FROM tag_links",
    "SELECT COUNT(*), SUM(CRC32(CONCAT_WS('-', id, external_id, updated_at))) FROM images",
    "SELECT COUNT(*), SUM(CRC32(CONCAT_WS('-', id, external_id, updated_at))) FROM tags",
    "SELECT COUNT(*), SUM(amount) FROM tag_counters",
    "SELECT version, 0 FROM rules_version",
)


async def board_import(links: int) -> Figures:
    """Import a board of so many links twice, on a database of its own; figures are of the first time."""
    os.environ.setdefault(BUFFER_POOL, _POOL)
    stack = Stack(Instance.named(INSTANCE), report=say)
    stack.up(SERVICES)
    try:
        own = await found(stack, DATABASE)
        try:
            with tempfile.TemporaryDirectory() as folder:
                return await _measure(own, Path(folder), links)
        finally:
            await own.drop()
    finally:
        stack.down()


async def _measure(own: OwnBoard, folder: Path, links: int) -> Figures:
    images = max(1, links // LINKS_EACH)
    tags = max(2_000, min(227_568, links // 50))
    files = await asyncio.to_thread(_write, folder, images, tags)
    store = await Store.connect(own.settings)
    try:
        seconds, checking, counts = await _import(store, own, files)
        before = await _rows(store)
        again_seconds, again_checking, again = await _import(store, own, files)
        identical = before == await _rows(store) and all(one.existing == one.rows for one in again.values())
    finally:
        await store.close()
    rows = {kind: one.rows for kind, one in counts.items()}
    return Figures(
        "board_import",
        f"{images:,} images, {tags:,} tags, {rows[Kind.LINKS]:,} links from CSV; one process, one connection;"
        " checking included in the rates of links",
        {
            "link_rows_per_s": round(rows[Kind.LINKS] / (seconds[Kind.LINKS] + checking[Kind.LINKS])),
            "image_rows_per_s": round(rows[Kind.IMAGES] / (seconds[Kind.IMAGES] + checking[Kind.IMAGES])),
            "identical_twice": identical,
            "again_link_rows_per_s": round(
                rows[Kind.LINKS] / (again_seconds[Kind.LINKS] + again_checking[Kind.LINKS])
            ),
            "tag_rows_per_s": round(rows[Kind.TAGS] / (seconds[Kind.TAGS] + checking[Kind.TAGS])),
            "link_check_rows_per_s": round(rows[Kind.LINKS] / checking[Kind.LINKS]),
            "seconds": round(sum(seconds.values()) + sum(checking.values()), 1),
        },
    )


async def _import(
    store: Store, own: OwnBoard, files: dict[Kind, Path]
) -> tuple[dict[Kind, float], dict[Kind, float], dict[Kind, Counts]]:
    """Return seconds of importing and of checking by kind, and what became of the rows."""
    seconds: dict[Kind, float] = {}
    checking: dict[Kind, float] = {}
    counts: dict[Kind, Counts] = {}
    for kind in Kind:
        work = BoardImport(store, own.settings, {kind: files[kind]})
        start = time.perf_counter()
        checked = await work.check()
        middle = time.perf_counter()
        counts |= await work.run(checked)
        checking[kind], seconds[kind] = middle - start, time.perf_counter() - middle
        say(f"{kind}: checked in {checking[kind]:.1f} s, imported in {seconds[kind]:.1f} s")
    return seconds, checking, counts


async def _rows(store: Store) -> list[tuple[object, ...]]:
    return [
        (await store.read(lambda tx, s=statement: tx.fetch_rows(s)))[0]  # type: ignore[misc]
        for statement in _TABLES
    ]


def _write(folder: Path, images: int, tags: int) -> dict[Kind, Path]:
    """Write files that are always the same; links in the order of images, as a board would export them."""
    dice = random.Random(SEED)
    return {
        Kind.TAGS: _csv(
            folder / "tags.csv",
            ("external_id", "title", "type", "alias_of", "parent"),
            (_tag(number, dice) for number in range(1, tags + 1)),
        ),
        Kind.USERS: _csv(
            folder / "users.csv",
            ("external_id", "name", "role"),
            ((number, f"user {number}", "uploader") for number in range(1, USERS + 1)),
        ),
        Kind.IMAGES: _csv(
            folder / "images.csv",
            ("external_id", "url", "uploader", "sha256", "uploaded_at", "status"),
            (
                (
                    *(number, f"https://board.example/pictures/{number}.jpg", 1 + number % USERS),
                    *(f"{number:064x}", "2024-05-01T12:00:00", "active"),
                )
                for number in range(1, images + 1)
            ),
        ),
        Kind.LINKS: _csv(folder / "links.csv", ("image", "tag", "by"), _links(images, tags, dice)),
    }


def _csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def _tag(number: int, dice: random.Random) -> tuple[object, ...]:
    """One of ten is an alias of the theme before it; half the others have a parent among the first themes."""
    kind = "theme" if number <= _THEMES else _TYPES[1 + number % 3]
    alias = number - 3 if number > 2 * _THEMES and number % 10 == 0 else ""
    parent = dice.randrange(1, number) if 1 < number <= _THEMES and number % 8 == 0 else ""
    return number, f"{kind} {number}", kind, alias, parent


def _links(images: int, tags: int, dice: random.Random) -> Iterator[tuple[object, ...]]:
    """Themes have three quarters of the links."""
    for image in range(1, images + 1):
        chosen: dict[int, None] = {}
        while len(chosen) < LINKS_EACH:
            common = dice.random() < _THEMES_SHARE
            chosen[dice.randint(1, _THEMES) if common else dice.randint(_THEMES + 1, tags)] = None
        yield from zip(itertools.repeat(image), chosen, itertools.repeat(1 + image % USERS))
