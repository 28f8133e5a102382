"""Thresholds that people say: by category, label and tag; what a change would do; and back again."""

import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from remapping import decide, remap, stored
from small_board import LABELS, SmallBoard, version

from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.records import Decision, Floor, FloorWord, LabelCategory, MappingAction, VersionState
from orchestrator.remapper import Remapper
from orchestrator.store import audit, mappings, models, rules_version
from orchestrator.store import thresholds as history
from orchestrator.store.mappings import NewMapping
from orchestrator.store.rule_changes import Author
from orchestrator.store.thresholds import FloorChange, ThresholdChange
from orchestrator.store.transaction import Transaction
from orchestrator.tagging.plan import threshold_of
from orchestrator.tuning import effect, thresholds
from orchestrator.tuning.thresholds import FloorRequest, Preview

pytestmark = pytest.mark.anyio

GENERAL, CHARACTER = LabelCategory.GENERAL, LabelCategory.CHARACTER
DEFAULT, OFF = FloorWord.DEFAULT, FloorWord.OFF
ERI = Author("eri", 7)


@pytest.fixture
def remapper(board: SmallBoard) -> Remapper:
    return Remapper(board.settings, board.store)


async def say(board: SmallBoard, *requests: FloorRequest) -> ThresholdChange | None:
    return await thresholds.set_floors(board.store, board.settings, "wd14", 1, requests, author=ERI)


async def back(board: SmallBoard, to: int | None) -> ThresholdChange | None:
    return await thresholds.roll_back(board.store, "wd14", 1, to, author=ERI)


async def look(board: SmallBoard, *requests: FloorRequest, sample: int | None = None) -> Preview:
    return await thresholds.preview(board.store, board.settings, "wd14", 1, requests, sample=sample)


async def counting(board: SmallBoard) -> dict[str, int | None]:
    """The floor of every label but ratings."""
    model = await board.store.read(lambda tx: models.get(tx, board.settings, board.version_id))
    return {label.name: threshold_of(model.thresholds, label) for label in LABELS[1:]}


def label(name: str, floor: Floor) -> FloorRequest:
    return FloorRequest(floor, external_tag=name)


async def test_categories_labels_and_tags_are_said_with_a_history(board: SmallBoard) -> None:
    # Given a tag that two labels lead to
    other = NewMapping("danbooru", "unheard_of", MappingAction.MAP, board.tags["grin"].id)
    await board.store.write(lambda tx: mappings.upsert_many(tx, [other], actor_id=None))
    # When a category, a label, and the tag are said
    first = await say(board, FloorRequest(5000, category=GENERAL), label("hair", 7000))
    second = await say(board, FloorRequest(OFF, tag_id=board.tags["smile"].id))
    # Then the narrower counts, and both labels of the tag are off
    found = await counting(board)
    assert (found["long_hair"], found["hair"]) == (5000, 7000)
    assert (found["smile"], found["unheard_of"]) == (None, None)
    # And history says who changed what
    assert first is not None
    assert first.floors == (
        FloorChange(GENERAL, None, DEFAULT, 5000),
        FloorChange(GENERAL, "hair", DEFAULT, 7000),
    )
    changes = await board.store.read(lambda tx: history.list_changes(tx, model_version_id=board.version_id))
    assert changes == (second, first)
    assert {one.act.actor for one in changes} == {"eri"}
    # When it is said again, nothing changes
    stamp = await board.store.read(rules_version.current)
    assert await say(board, label("hair", 7000)) is None
    assert await board.store.read(rules_version.current) == stamp
    # The log and the events tell of both changes
    acts = await board.store.read(lambda tx: audit.of(tx, "wd14/1"))
    assert [one.action for one in acts] == ["thresholds.set", "thresholds.set"]

    async def events(tx: Transaction) -> list[dict[str, object]]:
        rows = await tx.fetch_rows("SELECT payload FROM outbox WHERE kind = 'thresholds.changed' ORDER BY id")
        return [json.loads(row[0]) for row in rows]

    told = await board.store.read(events)
    assert [(one["change"], one["floors"], one["user_id"]) for one in told] == [
        (first.act.id, 2, 7),
        (first.act.id + 1, 2, 7),
    ]


async def test_one_character_is_switched_on_alone(board: SmallBoard) -> None:
    assert (await counting(board))["hakurei_reimu"] is None
    await say(board, label("hakurei_reimu", 8500))
    assert (await counting(board))["hakurei_reimu"] == 8500
    # And with the category it goes on and off
    await say(board, FloorRequest(9000, category=CHARACTER), label("hakurei_reimu", DEFAULT))
    assert (await counting(board))["hakurei_reimu"] == 9000
    await say(board, FloorRequest(OFF, category=CHARACTER))
    assert (await counting(board))["hakurei_reimu"] is None


async def test_a_label_that_is_off_is_not_explored_either(board: SmallBoard, remapper: Remapper) -> None:
    # Given a score so high that it is near any threshold, on pictures of which some explore
    images = [await board.suggested({"smile": 9900}) for _ in range(2)]
    await say(board, label("smile", OFF))
    await remap(board, remapper)
    assert [await board.statuses(one) for one in images] == [{}, {}]


async def test_any_earlier_state_comes_back(board: SmallBoard) -> None:
    await board.store.write(
        lambda tx: history.set_score(tx, board.version_id, GENERAL, 4000, label=4, actor_id=None)
    )
    states = [await counting(board)]
    changes = [0]
    for requests in (
        (label("smile", 6000), label("hair", 7000)),
        (label("smile", OFF), FloorRequest(9000, category=CHARACTER)),
        (label("hair", DEFAULT), FloorRequest(2000, category=GENERAL)),
    ):
        change = await say(board, *requests)
        assert change is not None
        changes.append(change.act.id)
        states.append(await counting(board))
    # When each is asked for, newest and oldest in turn, Then it is as it was
    for number in (0, 3, 1, 2):
        to = changes[number] or (changes[1] - 1)
        done = await back(board, to)
        assert await counting(board) == states[number]
        assert done is None or done.act.back_to == to
    # Asked for again, nothing changes; without a number the newest change is undone
    assert await back(board, changes[2]) is None
    await say(board, label("blue_eyes", OFF))
    await back(board, None)
    assert await counting(board) == states[2]
    # Before all changes is before the one that set the installation up
    await back(board, 0)
    assert (await counting(board))["smile"] == (await counting(board))["hair"] == 3500


async def test_what_makes_no_sense_is_refused(board: SmallBoard) -> None:
    for request, code in (
        (label("simle", 5000), "unknown_label"),
        (label("general", 5000), "bad_threshold"),
        (FloorRequest(10_001, category=GENERAL), "bad_threshold"),
        (FloorRequest(5000, tag_id=404), "unknown_tag"),
    ):
        with pytest.raises(InvalidInput) as refusal:
            await say(board, request)
        assert refusal.value.code == code
        with pytest.raises(InvalidInput):
            await look(board, request)
    await board.store.write(lambda tx: mappings.delete_many(tx, [("danbooru", "hair")]))
    with pytest.raises(InvalidInput, match="no label of wd14 1 leads to 'hair'"):
        await say(board, FloorRequest(5000, tag_id=board.tags["hair"].id))
    other = await board.store.write(
        lambda tx: models.insert_version(tx, version(number=2), state=VersionState.STAGED)
    )
    (theirs,) = [
        await board.store.write(lambda tx: history.set_score(tx, other, GENERAL, 4000, actor_id=None))
    ]
    assert theirs is None
    (change,) = await board.store.read(lambda tx: history.list_changes(tx, model_version_id=other))
    for number in (change.act.id, 999_999):
        with pytest.raises(NotFound) as missing:
            await back(board, number)
        assert missing.value.code == "threshold_change_not_found"
    await board.store.write(lambda tx: models.retire(tx, board.version_id))
    await board.store.write(lambda tx: models.mark_removed(tx, board.version_id))
    with pytest.raises(Conflict, match="removed"):
        await say(board, label("hair", 5000))


async def test_a_preview_says_what_the_re_map_then_does(board: SmallBoard, remapper: Remapper) -> None:
    # Given images, of which one is decided, and a re-map that is due for another reason
    scores = ({"smile": 9100, "hair": 4000}, {"smile": 6000}, {"smile": 4000, "blue_eyes": 9000})
    images = [await board.suggested(one) for one in scores]
    await remap(board, remapper)
    await decide(board, images[0], "smile", Decision.REJECT)
    before = await stored(board)
    # When somebody looks at a change
    asked = (label("smile", 8000), label("hair", OFF))
    found = (await look(board, *asked)).effect
    # Then nothing is written, and the decided one does not count
    assert await stored(board) == before
    smile = next(one for one in found.tags if one.tag_id == board.tags["smile"].id)
    assert (found.looked, smile.removed, smile.comes) == (3, 2, ())
    assert sorted(smile.goes) == images[1:]
    assert (found.scale, found.removed_margin) == (1, 0)
    # And that is what happens
    await say(board, *asked)
    changes = (await remap(board, remapper)).changes
    assert (changes.images, changes.added, changes.removed, changes.updated) == (
        found.images,
        found.added,
        found.removed,
        found.updated,
    )
    # The way back would bring the same rows
    return_ = await thresholds.preview(board.store, board.settings, "wd14", 1, (), back_to=0, sample=None)
    assert (return_.effect.added, return_.effect.removed) == (found.removed, found.added)


async def test_a_sample_is_spread_over_all_images_and_says_so(board: SmallBoard, remapper: Remapper) -> None:
    for _ in range(8):
        await board.suggested({"smile": 6000})
    await remap(board, remapper)
    heard: list[tuple[int, int]] = []
    found = await thresholds.preview(
        board.store,
        board.settings,
        "wd14",
        1,
        [label("smile", OFF)],
        sample=4,
        progress=lambda looked, of: heard.append((looked, of)),
    )
    assert (found.effect.looked, found.effect.scale, found.effect.removed) == (4, 2, 4)
    assert found.effect.removed_margin > 0
    assert heard == [(4, 4)]
    # The same question has the same answer
    assert await look(board, label("smile", OFF), sample=4) == found
    # A version without a say does nothing, and says so
    await board.store.write(
        lambda tx: models.insert_version(tx, version(number=2), state=VersionState.STAGED)
    )
    staged = await thresholds.preview(
        board.store, board.settings, "wd14", 2, [label("smile", OFF)], sample=None
    )
    assert (staged.proposes, staged.effect.images) == (False, 0)


names = st.sampled_from([one.name for one in LABELS[1:]])
said = st.one_of(st.sampled_from([DEFAULT, OFF]), st.integers(0, 10_000))
requests = st.lists(
    st.one_of(
        st.builds(FloorRequest, said, category=st.sampled_from([GENERAL, CHARACTER])),
        st.builds(FloorRequest, said, external_tag=names),
    ),
    min_size=1,
    max_size=4,
)
pictures = st.lists(st.dictionaries(names, st.integers(500, 10_000), min_size=1), min_size=1, max_size=3)


@effort(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=pictures, first=requests, then=requests)
async def test_back_again_brings_exactly_the_old_pending_rows(
    board: SmallBoard,
    remapper: Remapper,
    found: list[dict[str, int]],
    first: list[FloorRequest],
    then: list[FloorRequest],
) -> None:
    """Given any thresholds and pictures, when thresholds change, the re-map follows, and they are rolled back
    and re-mapped, then the pending rows and their evidence are those of before; previews told both ways."""
    for one in found:
        await board.suggested(one)
    await say(board, *first)
    await remap(board, remapper)
    before = await stored(board)
    told = (await look(board, *then)).effect
    change = await say(board, *then)
    changes = (await remap(board, remapper)).changes
    assert (told.images, told.added, told.removed) == (changes.images, changes.added, changes.removed)
    if change is None:
        assert changes.images == 0
        return
    await back(board, None)
    await remap(board, remapper)
    assert await stored(board) == before
    await board.assert_counters_equal_recount()


def test_every_id_is_drawn_once_when_all_are_looked_at() -> None:
    drawn = [one for chunk in effect._chunks(7, 1234, 1.0) for one in chunk]
    assert drawn == list(range(7, 1241))
    some = [one for chunk in effect._chunks(7, 1234, 12.34) for one in chunk]
    assert len(some) == 100
    assert all(place * 12.34 < one - 6 <= (place + 1) * 12.34 + 1 for place, one in enumerate(some))
