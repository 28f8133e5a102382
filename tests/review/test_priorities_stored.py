"""Priorities of models as they are stored: said, remembered, taken back; the re-map follows."""

import pytest
from queue_board import another_model
from remapping import remap, stored
from small_board import SmallBoard

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import Analysis, ImageContext, RawPrediction, TagType
from orchestrator.remap.plan import read_plan
from orchestrator.remapper import Remapper
from orchestrator.store import audit, suggestions
from orchestrator.store import priorities as history
from orchestrator.store.priorities import Models, PriorityChange
from orchestrator.store.rule_changes import Author
from orchestrator.tagging.resolve import resolve
from orchestrator.tuning import priorities

pytestmark = pytest.mark.anyio

ERI = Author("eri", 7)
THEMES = (TagType.THEME, None)
OTHER_FIRST: Models = ("other", "wd14")


@pytest.fixture
def remapper(board: SmallBoard) -> Remapper:
    return Remapper(board.settings, board.store)


async def say(
    board: SmallBoard, key: tuple[TagType | None, int | None], models: Models
) -> PriorityChange | None:
    return await priorities.set_rules(board.store, {key: models}, author=ERI)


async def seen_by_both(board: SmallBoard, ours: int, theirs: int) -> int:
    """An image of which two models say `smile`; returns its id."""
    other = await another_model(board)
    image_id = await board.register()
    claimed = await board.claim(image_id)
    one = board.analysis({"smile": ours, "hair": 9000})
    both = Analysis(
        sha256=one.sha256,
        width=one.width,
        height=one.height,
        has_alpha=False,
        media_type=one.media_type,
        model_version_ids=(board.version_id, other),
        raw=(*one.raw, RawPrediction(other, 4, theirs)),
        ratings=(),
    )
    plan = await read_plan(board.store, board.settings)
    context = ImageContext(has_alpha=False, applied=frozenset(), sha256=one.sha256)
    resolution = resolve(plan, context, both.raw)
    assert await board.store.write(lambda tx: suggestions.persist(tx, claimed, both, resolution))
    return image_id


async def test_the_re_map_follows_and_all_evidence_is_shown(board: SmallBoard, remapper: Remapper) -> None:
    # Given two models of which one goes first for all tags
    image_id = await seen_by_both(board, 8000, 6000)
    before = await stored(board)
    smile = (await board.rows(image_id))["smile"]
    first, second = smile.evidence
    assert {(one.model_name, one.decides) for one in (first, second)} == {
        (smile.model_name, True),
        ({"wd14": "other", "other": "wd14"}[smile.model_name], False),
    }
    assert first.decides
    # When the other one is to go first for themes
    other = second.model_name
    look = await priorities.preview(board.store, board.settings, {THEMES: (other,)}, sample=None)
    assert (look.images, look.updated, look.added, look.removed) == (1, 1, 0, 0)
    change = await say(board, THEMES, (other,))
    await remap(board, remapper)
    # Then it decides; the evidence of both stays, the deciding one first
    smile = (await board.rows(image_id))["smile"]
    assert (smile.model_name, smile.score) == (other, second.score)
    assert [(one.model_name, one.decides) for one in smile.evidence] == [
        (other, True),
        (first.model_name, False),
    ]
    assert (await board.rows(image_id))["hair"].model_name == "wd14"
    # And back again
    assert change is not None
    await priorities.roll_back(board.store, None, author=ERI)
    await remap(board, remapper)
    assert await stored(board) == before
    await board.assert_counters_equal_recount()


async def test_any_earlier_state_comes_back_with_a_history(board: SmallBoard) -> None:
    await another_model(board)
    smile = (None, board.tags["smile"].id)
    one = await say(board, THEMES, OTHER_FIRST)
    two = await say(board, smile, ("wd14",))
    three = await say(board, THEMES, ())
    assert await say(board, THEMES, ()) is None
    assert one is not None
    assert two is not None
    assert three is not None
    rules = await board.store.read(history.load_all)
    assert [(rule.tag_id, rule.models) for rule in rules] == [(smile[1], ("wd14",))]
    # When the state after the first is brought back
    await priorities.roll_back(board.store, one.act.id, author=ERI)
    rules = await board.store.read(history.load_all)
    assert [(rule.tag_type, rule.models) for rule in rules] == [(TagType.THEME, OTHER_FIRST)]
    assert await priorities.roll_back(board.store, one.act.id, author=ERI) is None
    await priorities.roll_back(board.store, 0, author=ERI)
    assert await board.store.read(history.load_all) == ()
    # Then history tells all of it, and so does the log
    changes = await board.store.read(history.list_changes)
    assert [change.act.back_to for change in changes] == [0, one.act.id, None, None, None]
    assert (changes[3], changes[3].rules[0].title) == (two, "smile")
    assert len(await board.store.read(lambda tx: audit.of(tx, "priorities"))) == 5


async def test_what_makes_no_sense_is_refused(board: SmallBoard) -> None:
    for key, models, code in (
        (THEMES, ("nobody",), "unknown_model"),
        (THEMES, ("wd14", "wd14"), "bad_priority"),
        ((None, 404), ("wd14",), "unknown_tag"),
    ):
        with pytest.raises(InvalidInput) as refusal:
            await say(board, key, models)
        assert refusal.value.code == code
    with pytest.raises(NotFound) as missing:
        await priorities.roll_back(board.store, 404, author=ERI)
    assert missing.value.code == "priority_change_not_found"
