"""The demo board: loaded once however often, with the plan's mappings; and what the demo says of itself."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from mapping_tools.rows import read_rows
from orchestrator import accounts
from orchestrator.demo.agreement import Agreement, Truth
from orchestrator.demo.board import FOLDER, load_board, read_tags
from orchestrator.demo.people import load_people, read_tokens
from orchestrator.demo.pictures import draw
from orchestrator.records import MappingAction, Role, Tag, TagMapping, TagType
from orchestrator.registry.register import register_folder
from orchestrator.settings import Settings
from orchestrator.store import hierarchy, tags
from orchestrator.store.unit_of_work import Store

PLAN = [
    ("long_hair", "long hair", "map"),
    ("short_hair", "short hair", "map"),
    ("blonde_hair", "blonde hair", "map"),
    ("blue_eyes", "blue eyes", "map"),
    ("smile", "smile", "map"),
    ("blush", "blush", "map"),
    ("1girl", None, "ignore"),
    ("1boy", None, "ignore"),
    ("solo", None, "ignore"),
]


@pytest.fixture
def tables(settings: Settings) -> Iterator["Tables"]:
    """Every table's rows, as a second connection sees them."""
    address = settings.database_url.get_secret_value().removeprefix("mysql+asyncmy://")
    account, _, place = address.partition("@")
    user, _, password = account.partition(":")
    server, _, database = place.partition("/")
    host, _, port = server.partition(":")
    connection = pymysql.connect(
        host=host, port=int(port), user=user, password=password, database=database, autocommit=True
    )
    yield Tables(connection)
    connection.close()


class Tables:
    """Reads whole tables."""

    def __init__(self, connection: "pymysql.Connection[pymysql.cursors.Cursor]") -> None:
        self._connection = connection

    def rows(self) -> dict[str, tuple[tuple[object, ...], ...]]:
        """Return every table with all its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW TABLES")
            found = {}
            for (name,) in cursor.fetchall():
                cursor.execute(f"SELECT * FROM `{name}`")
                found[name] = tuple(sorted(cursor.fetchall(), key=repr))
            return found


def test_the_plans_nine_mappings_come_first() -> None:
    rows = read_rows((FOLDER / "mappings.csv").read_text())
    assert [(row.external_tag, row.title, row.action.value) for row in rows[:9]] == PLAN


def test_loading_the_board_twice_changes_nothing(settings: Settings, tables: Tables, tmp_path: Path) -> None:
    # Given a board, people and models that were loaded
    async def load() -> None:
        store = await Store.connect(settings)
        try:
            await load_board(store)
            await load_people(store, tmp_path / "tokens.json")
            for name in ("wd14", "custom_theme"):
                await register_folder(store, settings, name, 1)
        finally:
            await store.close()

    asyncio.run(load())
    before = tables.rows()
    # When they are loaded again
    asyncio.run(load())
    # Then every table is as it was, and they are not empty
    assert tables.rows() == before
    assert len(before["tags"]) == len(read_tags())
    assert len(before["model_versions"]) == 2
    assert len(before["users"]) == len(Role)


def test_the_board_has_aliases_a_hierarchy_and_sources(settings: Settings) -> None:
    async def work() -> tuple[tuple[Tag, ...], dict[int, frozenset[int]], tuple[tuple[int, int], ...]]:
        store = await Store.connect(settings)
        try:
            await load_board(store)
            loaded = await store.read(tags.load_all)
            above = await store.read(lambda tx: hierarchy.ancestors_of(tx, [tag.id for tag in loaded]))
            return loaded, above, await store.read(hierarchy.load_character_sources)
        finally:
            await store.close()

    # When the board is loaded
    loaded, above, sources = asyncio.run(work())
    # Then an alias points to its canonical tag, a tag to its parent, a character to its source
    by_title = {tag.title: tag for tag in loaded}
    assert by_title["nekomimi"].alias_of == by_title["cat ears"].id
    assert above[by_title["white background"].id] == {
        by_title["simple background"].id,
        by_title["background"].id,
    }
    assert (by_title["Aozora Sora"].id, by_title["Green River Days"].id) in sources


def test_tokens_survive_an_emptied_database(settings: Settings, tmp_path: Path) -> None:
    # Given people whose tokens are remembered in a file only its owner may read
    file = tmp_path / "tokens.json"

    async def work() -> None:
        store = await Store.connect(settings)
        try:
            await load_people(store, file)
            for role, token in read_tokens(file).items():
                assert (await accounts.authenticate(store, token)).role is role
        finally:
            await store.close()

    asyncio.run(work())
    remembered = read_tokens(file)
    assert file.stat().st_mode & 0o077 == 0
    # When the database lost them
    address = settings.database_url.get_secret_value()
    connection = pymysql.connect(
        host="127.0.0.1",
        port=int(address.rpartition(":")[2].partition("/")[0]),
        user="tagdesk",
        password=address.removeprefix("mysql+asyncmy://tagdesk:").partition("@")[0],
        database=address.rpartition("/")[2],
        autocommit=True,
    )
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM api_tokens")
    connection.close()
    # Then the next run gives the same tokens back
    asyncio.run(work())
    assert read_tokens(file) == remembered


def test_portraits_are_drawn_once(tmp_path: Path) -> None:
    # Given portraits that were drawn
    first = draw(tmp_path, 5, lambda done: None)
    times = [portrait.path.stat().st_mtime_ns for portrait in first]
    # When they are asked for again
    seen: list[int] = []
    again = draw(tmp_path, 5, seen.append)
    # Then they are the same files, untouched, and progress still ends at the end
    assert again == first
    assert [portrait.path.stat().st_mtime_ns for portrait in again] == times
    assert seen[-1] == 5
    # And all three formats are among them
    assert {portrait.media_type for portrait in first} == {"image/jpeg", "image/png", "image/webp"}


def test_agreement_counts_what_was_drawn_and_what_was_suggested() -> None:
    # Given a board where twin tails are long hair
    board = (
        Tag(1, None, "long hair", TagType.THEME),
        Tag(2, None, "twin tails", TagType.THEME, parent_id=1),
        Tag(3, None, "blue eyes", TagType.THEME),
        Tag(4, None, "azure eyes", TagType.THEME, alias_of=3),
        Tag(5, None, "smile", TagType.THEME),
        Tag(6, None, "A Work", TagType.SOURCE),
    )
    mapped = tuple(
        TagMapping(n, "danbooru", name, MappingAction.MAP, tag_id)
        for n, (name, tag_id) in enumerate([("long_hair", 1), ("twintails", 2), ("blue_eyes", 4)])
    )
    truth = Truth(board, mapped)
    # When a picture of long twin tails, blue eyes and something unmapped
    expected = truth.expected({"long_hair", "twintails", "blue_eyes", "unmapped"}, set())
    # Then what is expected is canonical and mapped
    assert expected == {1, 2, 3}
    # And a child suggested in its parent's place finds both; the inferred tag is not counted
    assert truth.compare(expected, {2: False, 5: False, 6: True}) == Agreement(
        drawn=3, found=2, suggested=2, right=1
    )
