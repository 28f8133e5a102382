"""Re-map: pending suggestions follow the rules of the day from stored scores; decisions stay."""

import asyncio

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from remapping import decide, remap, stored
from small_board import TITLES, SmallBoard

from orchestrator import remapper as keeping
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.records import (
    Decision,
    Eligibility,
    ImageContext,
    LabelCategory,
    MappingAction,
    Priority,
    RunState,
    SuggestionStatus,
    VerdictRequest,
)
from orchestrator.remap import chunk, runs
from orchestrator.remap.plan import read_plan
from orchestrator.remap.runs import Scope
from orchestrator.remapper import Remapper
from orchestrator.review.eligibility import set_eligibility
from orchestrator.review.service import review
from orchestrator.review.tag_edits import Aligner, TagEdit, edit_tag
from orchestrator.store import consistency, images, links, mappings, models, remaps, suggestions, thresholds
from orchestrator.store.mappings import NewMapping
from orchestrator.store.remaps import Remap
from orchestrator.store.transaction import Transaction
from orchestrator.tagging.resolve import resolve

pytestmark = pytest.mark.anyio

SCORES = {"smile": 9100, "blue_eyes": 8000, "hair": 7000, "long_hair": 6000}


@pytest.fixture
def remapper(board: SmallBoard) -> Remapper:
    return Remapper(board.settings, board.store)


async def map_to(board: SmallBoard, label: str, title: str | None, weight: int = 10_000) -> None:
    """Map a label to a tag, or ignore it."""
    action = MappingAction.IGNORE if title is None else MappingAction.MAP
    tag_id = None if title is None else board.tags[title].id
    new = NewMapping("danbooru", label, action, tag_id, weight)
    await board.store.write(lambda tx: mappings.upsert_many(tx, [new], actor_id=None))


async def persist_anew(board: SmallBoard, image_id: int, scores: dict[str, int]) -> None:
    """Store an analysis of these scores as the pipeline does it."""
    plan = await read_plan(board.store, board.settings)
    await board.store.write(lambda tx: images.requeue(tx, image_id, explicit=False, priority=Priority.LIVE))
    claimed = await board.claim(image_id)
    analysis = board.analysis(scores)
    applied = await board.store.read(lambda tx: links.applied_ids(tx, image_id))
    context = ImageContext(has_alpha=False, applied=applied, sha256=analysis.sha256)
    resolution = resolve(plan, context, analysis.raw)
    assert await board.store.write(lambda tx: suggestions.persist(tx, claimed, analysis, resolution))


async def test_pending_rows_follow_a_mapping_and_decided_ones_stay(
    board: SmallBoard, remapper: Remapper
) -> None:
    # Given suggestions of which one is rejected
    image_id = await board.suggested(SCORES)
    await decide(board, image_id, "blue eyes", Decision.REJECT)
    await remap(board, remapper)
    # When a label comes to mean another tag, and a decided one's label is ignored
    await map_to(board, "smile", "very long hair")
    await map_to(board, "blue_eyes", None)
    found = await remap(board, remapper)
    # Then the pending row follows, and the decision stands
    statuses = await board.statuses(image_id)
    assert "smile" not in statuses
    assert statuses["very long hair"] == "pending"
    assert statuses["blue eyes"] == "rejected"
    assert (found.state, found.looked, found.changes.images) == (RunState.DONE, 1, 1)
    # (So sure of very long hair, nobody is asked about hair and long hair.)
    assert (found.changes.added, found.changes.removed) == (1, 3)
    await board.assert_counters_equal_recount()
    # And doing so again changes nothing
    before = await stored(board)
    again = await remap(board, remapper)
    assert (again.changes.images, await stored(board)) == (0, before)


async def test_a_dry_run_says_what_would_change_and_changes_nothing(
    board: SmallBoard, remapper: Remapper
) -> None:
    await board.suggested(SCORES)
    await remap(board, remapper)
    before = await stored(board)
    await map_to(board, "smile", "very long hair")
    looked: list[int] = []
    plan = await read_plan(board.store, board.settings)
    summary = await runs.dry_run(board.store, plan, Scope(), progress=looked.append)
    assert (await stored(board), sum(looked), summary.looked) == (before, 1, 1)
    comes = {tag_id: (comes, goes) for tag_id, comes, goes in summary.tags}
    assert comes[board.tags["very long hair"].id] == (1, 0)
    assert comes[board.tags["smile"].id] == (0, 1)
    # And it says what really happens
    assert (await remap(board, remapper)).changes == summary.changes


async def test_only_images_or_tags_that_are_named(board: SmallBoard, remapper: Remapper) -> None:
    first, second = await board.suggested(SCORES), await board.suggested(SCORES)
    await remap(board, remapper)
    await map_to(board, "smile", None)
    await remap(board, remapper, Scope(images=(second,)))
    assert "smile" in await board.statuses(first)
    assert "smile" not in await board.statuses(second)
    await map_to(board, "blue_eyes", None)
    await remap(board, remapper, Scope(tags=(board.tags["long hair"].id,)))
    assert "smile" in await board.statuses(first)
    await remap(board, remapper, Scope(tags=(board.tags["smile"].id,)))
    assert not {"smile", "blue eyes"} & (await board.statuses(first)).keys()
    assert "blue eyes" in await board.statuses(second)
    for scope, code in ((Scope(tags=(404,)), "unknown_tag"), (Scope((1,), (2,)), "bad_scope")):
        with pytest.raises(InvalidInput) as refusal:
            await runs.start(board.store, scope)
        assert refusal.value.code == code


async def test_hidden_images_and_scores_of_versions_that_are_gone_are_left_alone(
    board: SmallBoard, remapper: Remapper
) -> None:
    hidden, kept = await board.suggested(SCORES), await board.suggested(SCORES)
    await remap(board, remapper)
    plan = await read_plan(board.store, board.settings)
    await set_eligibility(board.store, board.moderator, hidden, Eligibility.DELETED, plan)
    await board.store.write(lambda tx: models.retire(tx, board.version_id))
    before = await stored(board)
    # When nothing newer has looked, what a retired version said stays
    await remap(board, remapper)
    assert await stored(board) == before
    # And when the version is removed, too
    await board.store.write(lambda tx: models.mark_removed(tx, board.version_id))
    assert (await remap(board, remapper)).changes.images == 0
    assert (await board.statuses(kept))["smile"] == "pending"


async def test_pause_resume_and_cancel(board: SmallBoard, remapper: Remapper) -> None:
    await board.suggested(SCORES)
    begun = await runs.start(board.store, Scope())
    await runs.pause(board.store, begun.id)
    assert await remapper.work() == 0
    await runs.resume(board.store, begun.id)
    await remapper.work()
    done = await board.store.read(lambda tx: remaps.get(tx, begun.id))
    assert done.state is RunState.DONE
    with pytest.raises(Conflict, match="done"):
        await runs.cancel(board.store, begun.id)
    other = await runs.start(board.store, Scope())
    assert (await runs.cancel(board.store, other.id)).state is RunState.CANCELLED
    assert await remapper.work() == 0


async def test_everything_is_re_mapped_once_after_the_rules_have_been_left_alone(board: SmallBoard) -> None:
    # Given a keeper that waits for a fifth of a second
    patient = Remapper(board.settings.model_copy(update={"remap_after": 0.2}), board.store)
    await board.suggested(SCORES)
    await patient.work()
    assert await board.store.read(lambda tx: remaps.newest(tx, limit=5)) == []

    async def until_done(count: int) -> list[Remap]:
        async with asyncio.timeout(20):
            while True:
                await patient.work()
                found = await board.store.read(lambda tx: remaps.newest(tx, limit=5))
                if len(found) == count and found[0].state is RunState.DONE:
                    return found
                await asyncio.sleep(0.02)

    # Then it re-maps everything, once
    await until_done(1)
    assert await patient.work() == 0
    # And again after several changes, once
    await map_to(board, "smile", None)
    await map_to(board, "blue_eyes", None)
    (newest, _) = await until_done(2)
    assert newest.asked == {"scope": "all"}
    assert newest.changes.removed == 2


async def test_who_dies_on_the_way_changes_nothing_and_leaves_the_rest_to_the_next(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "TOUCHED_TOGETHER", 1)
    monkeypatch.setattr(runs, "TOGETHER", 2)
    ids = [await board.suggested(SCORES) for _ in range(5)]
    remapper = Remapper(board.settings, board.store, budget=0.0)
    await remap(board, Remapper(board.settings, board.store))
    await map_to(board, "smile", None)
    begun = await runs.start(board.store, Scope())
    # When the transaction of the third step fails at its end
    real, steps = remaps.advance, 0

    async def dying(tx: Transaction, remap_id: int, **more: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise OSError("the power is gone")
        await real(tx, remap_id, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(remaps, "advance", dying)
    monkeypatch.setattr(remapper, "_budget", 60.0)
    async with asyncio.timeout(30):
        while (
            found := await board.store.read(lambda tx: remaps.get(tx, begun.id))
        ).state is RunState.RUNNING:
            await remapper.work()
    # Then all are done all the same, and counted once
    assert steps > 3
    assert (found.looked, found.changes.images, found.changes.removed) == (5, 5, 5)
    assert not [one for one in ids if "smile" in await board.statuses(one)]


async def test_rules_that_change_under_way_are_not_mixed(
    board: SmallBoard, remapper: Remapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = await board.suggested(SCORES)
    await remap(board, remapper)
    await map_to(board, "smile", None)
    real, looks = chunk.look, 0

    async def look(*arguments: object) -> object:
        nonlocal looks
        looks += 1
        found = await real(*arguments)  # type: ignore[arg-type]
        if looks == 1:
            await map_to(board, "smile", "smile")
        return found

    monkeypatch.setattr(keeping, "look", look)
    assert (await remap(board, remapper)).changes.images == 0
    assert looks >= 2
    assert (await board.statuses(image_id))["smile"] == "pending"


labels = st.sampled_from(sorted(SCORES))
titles = st.none() | st.sampled_from(sorted(TITLES.values()))
changes = st.lists(
    st.one_of(
        st.tuples(st.just("map"), labels, titles, st.integers(1000, 10_000)),
        st.tuples(st.just("floor"), st.integers(1000, 9500)),
        st.tuples(st.just("alias"), st.sampled_from(sorted(TITLES.values())), titles),
        st.tuples(st.just("parent"), st.sampled_from(sorted(TITLES.values())), titles),
    ),
    min_size=1,
    max_size=4,
)
scores = st.dictionaries(labels, st.integers(3_000, 10_000), min_size=1)
decisions = st.lists(st.sampled_from(Decision), max_size=3)


@effort(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(scores, min_size=2, max_size=3), changes=changes, decisions=decisions)
async def test_a_re_map_leaves_what_analysing_each_image_again_would(
    board: SmallBoard,
    remapper: Remapper,
    found: list[dict[str, int]],
    changes: list[tuple[object, ...]],
    decisions: list[Decision],
) -> None:
    """Given images of which some suggestions are decided, when mappings, thresholds, aliases and parents
    change beside reviewers and a re-map follows, then decisions stand, the invariants hold, and persisting
    each image's scores anew changes nothing more."""
    ids = [await board.suggested(one) for one in found]
    await remap(board, remapper, Scope(images=tuple(ids)))
    for change in changes:
        await _change(board, change)
    begun = await runs.start(board.store, Scope(images=tuple(ids)))

    async def decide_some() -> None:
        for decision in decisions:
            rows = [row for one in ids for row in (await board.rows(one)).values()]
            pending = [row for row in rows if row.status is SuggestionStatus.PENDING]
            if pending:
                row = pending[0]
                await review(
                    board.store,
                    board.moderator,
                    row.image_id,
                    [VerdictRequest(row.id, row.version, decision)],
                )

    await asyncio.gather(decide_some(), remapper.work())
    await Aligner(board.store).finish_changes()
    decided = [row for row in await stored(board) if row[2] in ("approved", "rejected")]
    await remap(board, remapper, Scope(images=tuple(ids)))
    assert (await board.store.read(lambda tx: remaps.get(tx, begun.id))).state is RunState.DONE
    after = await stored(board)
    assert {row[:8] for row in decided} <= {row[:8] for row in after}
    assert await board.store.read(consistency.violations) == ()
    for image_id, one in zip(ids, found, strict=True):
        await persist_anew(board, image_id, one)
    assert await stored(board) == after


async def _change(board: SmallBoard, change: tuple[object, ...]) -> None:
    try:
        match change:
            case "map", str(label), title, int(weight):
                await map_to(board, label, None if title is None else str(title), weight)
            case "floor", int(floor):
                await board.store.write(
                    lambda tx: thresholds.set_score(
                        tx, board.version_id, LabelCategory.GENERAL, floor, actor_id=None
                    )
                )
            case "alias", str(title), of:
                target = None if of is None else board.tags[str(of)].id
                await edit_tag(board.store, board.moderator, board.tags[title].id, TagEdit(alias_of=target))
            case "parent", str(title), above:
                target = None if above is None else board.tags[str(above)].id
                await edit_tag(board.store, board.moderator, board.tags[title].id, TagEdit(parent_id=target))
    except (InvalidInput, Conflict) as error:
        assert error.code in ("alias_chain", "alias_in_hierarchy", "hierarchy_cycle"), error
