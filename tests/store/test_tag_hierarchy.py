"""Tags: names that must stay distinct, aliases, and the closure of the hierarchy."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from small_board import SmallBoard

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import Tag, TagType
from orchestrator.store import hierarchy, rules, tags
from orchestrator.store.tags import NewTag
from orchestrator.store.unit_of_work import Store

pytestmark = pytest.mark.anyio


async def theme(store: Store, title: str) -> Tag:
    return await store.write(lambda tx: tags.create(tx, title=title, type=TagType.THEME))


async def closure(store: Store) -> set[tuple[int, int, int]]:
    rows = await store.read(
        lambda tx: tx.fetch_rows("SELECT descendant_id, ancestor_id, depth FROM tag_closure")
    )
    return {(row[0], row[1], row[2]) for row in rows}


@pytest.mark.parametrize("pair", [(":d", ":D"), ("cafe", "café"), ("hat", "hat "), ("ß", "ss")])
async def test_titles_that_differ_in_any_byte_are_different_tags(store: Store, pair: tuple[str, str]) -> None:
    made = [await theme(store, title) for title in pair]

    found = [await store.read(lambda tx, title=title: tags.find(tx, title=title)) for title in pair]

    assert found == [(made[0],), (made[1],)]


async def test_one_title_may_stand_in_several_types_but_once_in_each(store: Store) -> None:
    await theme(store, "original")
    await store.write(lambda tx: tags.create(tx, title="original", type=TagType.SOURCE))

    with pytest.raises(InvalidInput) as caught:
        await theme(store, "original")

    assert caught.value.code == "tag_exists"


async def test_upserting_finds_by_external_id_first_and_renames(store: Store) -> None:
    (first,) = await store.write(lambda tx: tags.upsert_many(tx, [NewTag("smile", TagType.THEME, 5)]))
    titled = await theme(store, "frown")

    again = await store.write(
        lambda tx: tags.upsert_many(
            tx,
            [
                NewTag("big smile", TagType.THEME, 5),
                NewTag("frown", TagType.THEME, 6),
                NewTag("wink", TagType.THEME),
            ],
        )
    )

    assert [(tag.id, tag.title, tag.external_id) for tag in again[:2]] == [
        (first.id, "big smile", 5),
        (titled.id, "frown", 6),
    ]
    assert again[2].title == "wink"


async def test_upserting_what_is_there_changes_nothing(board: SmallBoard) -> None:
    rows = [NewTag(tag.title, tag.type, tag.external_id) for tag in board.tags.values()]
    stamp = await board.store.read(rules.version)

    same = await board.store.write(lambda tx: tags.upsert_many(tx, rows))

    assert same == list(board.tags.values())
    assert await board.store.read(rules.version) == stamp


async def test_an_external_id_cannot_take_another_ones_title(board: SmallBoard) -> None:
    with pytest.raises(InvalidInput):
        await board.store.write(lambda tx: tags.upsert_many(tx, [NewTag("smile", TagType.THEME, 999)]))


async def test_aliases_neither_chain_nor_loop_nor_cross_types(board: SmallBoard) -> None:
    smile, grin, hair = (board.tags[title].id for title in ("smile", "grin", "long hair"))
    artist = await board.store.write(lambda tx: tags.create(tx, title="someone", type=TagType.ARTIST))
    refused = {
        "alias_chain": [(smile, smile), (board.tags["blue eyes"].id, grin)],
        "alias_type": [(artist.id, smile)],
        "alias_in_hierarchy": [(hair, smile), (board.tags["hair"].id, smile)],
    }

    for code, pairs in refused.items():
        for subject, canonical in pairs:
            with pytest.raises(InvalidInput) as caught:
                await board.store.write(
                    lambda tx, subject=subject, canonical=canonical: tags.set_alias(tx, subject, canonical)
                )
            assert caught.value.code == code


async def test_the_aliases_of_a_tag_that_becomes_one_follow_it(board: SmallBoard) -> None:
    smile, eyes = board.tags["smile"].id, board.tags["blue eyes"].id

    await board.store.write(lambda tx: tags.set_alias(tx, smile, eyes))

    pointing = {tag.title: tag.alias_of for tag in await board.store.read(tags.load_all) if tag.alias_of}
    assert pointing == {"smile": eyes, "grin": eyes}


async def test_an_alias_can_become_a_tag_of_its_own_again(board: SmallBoard) -> None:
    grin = board.tags["grin"].id

    await board.store.write(lambda tx: tags.set_alias(tx, grin, None))

    assert (await board.store.read(lambda tx: tags.get(tx, grin))).alias_of is None


async def test_the_closure_holds_every_proper_ancestor_with_its_depth(board: SmallBoard) -> None:
    hair, long, very = (board.tags[title].id for title in ("hair", "long hair", "very long hair"))

    assert await closure(board.store) == {(long, hair, 1), (very, long, 1), (very, hair, 2)}


async def test_moving_a_tag_moves_what_hangs_below_it(board: SmallBoard) -> None:
    long, very, smile = (board.tags[title].id for title in ("long hair", "very long hair", "smile"))

    await board.store.write(lambda tx: hierarchy.set_parents(tx, {long: smile}))
    assert await closure(board.store) == {(long, smile, 1), (very, long, 1), (very, smile, 2)}

    await board.store.write(lambda tx: hierarchy.set_parents(tx, {long: None}))
    assert await closure(board.store) == {(very, long, 1)}


async def test_the_hierarchy_refuses_what_makes_no_sense(board: SmallBoard) -> None:
    hair, long, very, grin = (board.tags[t].id for t in ("hair", "long hair", "very long hair", "grin"))
    artist = await board.store.write(lambda tx: tags.create(tx, title="someone", type=TagType.ARTIST))
    before = await closure(board.store)

    for parents, code in (
        ({hair: very}, "hierarchy_cycle"),
        ({long: long}, "hierarchy_cycle"),
        ({artist.id: hair}, "parent_type"),
        ({grin: hair}, "alias_in_hierarchy"),
        ({very: grin}, "alias_in_hierarchy"),
    ):
        with pytest.raises(InvalidInput) as caught:
            await board.store.write(lambda tx, parents=parents: hierarchy.set_parents(tx, parents))
        assert caught.value.code == code
    with pytest.raises(NotFound):
        await board.store.write(lambda tx: hierarchy.set_parents(tx, {hair: 404}))
    assert await closure(board.store) == before


async def test_the_hierarchy_has_a_greatest_depth(store: Store) -> None:
    rows = [NewTag(f"level {n}", TagType.THEME) for n in range(hierarchy.MAX_DEPTH + 2)]
    made = await store.write(lambda tx: tags.upsert_many(tx, rows))
    parents = {below.id: above.id for above, below in pairwise(made)}

    with pytest.raises(InvalidInput) as caught:
        await store.write(lambda tx: hierarchy.set_parents(tx, parents))

    assert caught.value.code == "hierarchy_depth"


@effort(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 5)), max_size=12))
async def test_after_any_moves_the_closure_is_what_the_parents_say(
    board: SmallBoard, moves: list[tuple[int, int | None]]
) -> None:
    themes = [tag.id for tag in board.tags.values() if tag.title != "grin"]
    themes.append(
        (await board.store.write(lambda tx: tags.upsert_many(tx, [NewTag("x", TagType.THEME)])))[0].id
    )

    for below, above in moves:
        move = {themes[below]: None if above is None else themes[above]}
        try:
            await board.store.write(lambda tx, move=move: hierarchy.set_parents(tx, move))
        except InvalidInput as error:
            assert error.code == "hierarchy_cycle"

    parents = {tag.id: tag.parent_id for tag in await board.store.read(tags.load_all) if tag.parent_id}
    assert await closure(board.store) == {
        (tag, above, depth)
        for tag in parents
        for depth, above in enumerate(hierarchy.ancestors(parents, tag), start=1)
    }


async def test_character_sources_are_relations_between_the_right_types(board: SmallBoard) -> None:
    reimu = await board.store.write(lambda tx: tags.create(tx, title="Reimu", type=TagType.CHARACTER))
    touhou = await board.store.write(lambda tx: tags.create(tx, title="Touhou", type=TagType.SOURCE))

    pair = (reimu.id, touhou.id)
    assert await board.store.write(lambda tx: hierarchy.set_character_sources(tx, [pair])) == 1
    assert await board.store.write(lambda tx: hierarchy.set_character_sources(tx, [pair, pair])) == 0
    assert await board.store.read(hierarchy.load_character_sources) == (pair,)
    with pytest.raises(InvalidInput):
        await board.store.write(lambda tx: hierarchy.set_character_sources(tx, [(touhou.id, reimu.id)]))
