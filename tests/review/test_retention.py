"""Raw predictions are dropped as their version's policy says; nothing that counts goes with them."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from remapping import decide, remap, stored
from small_board import LABELS, SmallBoard, version

from orchestrator import pruner as keeping
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.pruner import Pruner
from orchestrator.records import (
    Decision,
    Eligibility,
    FloorWord,
    LabelCategory,
    RawPolicy,
    VersionState,
)
from orchestrator.registry import retention
from orchestrator.remap.plan import read_plan
from orchestrator.remapper import Remapper
from orchestrator.review.eligibility import set_eligibility
from orchestrator.store import audit, consistency, models, raw_retention, thresholds
from orchestrator.store.raw_retention import Retention, Stored
from orchestrator.store.rule_changes import Author
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio

ERI = Author("eri", 7)
SCORES = {"smile": 9100, "blue_eyes": 8000, "hair": 7000, "unheard_of": 600}


@pytest.fixture
def remapper(board: SmallBoard) -> Remapper:
    return Remapper(board.settings, board.store)


@pytest.fixture
def pruner(board: SmallBoard) -> Pruner:
    return Pruner(board.store, budget=60.0)


async def said(board: SmallBoard, **how: object) -> None:
    await retention.set_policy(board.store, "wd14", 1, author=ERI, **how)  # type: ignore[arg-type]


async def of_first(board: SmallBoard) -> Retention:
    return (await board.store.read(raw_retention.load))[board.version_id]


async def images_with_scores(board: SmallBoard, version_id: int) -> list[int]:
    async def work(tx: Transaction) -> list[int]:
        rows = await tx.fetch_rows(
            "SELECT DISTINCT image_id FROM raw_predictions WHERE model_version_id = :id ORDER BY 1",
            id=version_id,
        )
        looked = await tx.fetch_rows(
            "SELECT image_id FROM analyses WHERE model_version_id = :id ORDER BY 1", id=version_id
        )
        assert rows == looked
        return [row[0] for row in rows]

    return await board.store.read(work)


async def newer_version(board: SmallBoard, image_ids: list[int]) -> int:
    """Make version 2 active, and have it look at these images; returns its id."""

    async def work(tx: Transaction) -> int:
        made = await models.insert_version(tx, version(number=2), state=VersionState.STAGED)
        await models.set_active(tx, made)
        values = [(image_id, made) for image_id in image_ids]
        await tx.insert_many("analyses", ("image_id", "model_version_id"), values)
        await tx.insert_many(
            "raw_predictions",
            ("image_id", "model_version_id", "label", "score"),
            [(*value, 4, 9000) for value in values],
        )
        return made

    return await board.store.write(work)


async def test_what_a_newer_version_has_looked_at_goes_and_the_rest_stays(
    board: SmallBoard, pruner: Pruner, remapper: Remapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "TOUCHED_TOGETHER", 2)
    images = [await board.suggested(SCORES) for _ in range(7)]
    newer = await newer_version(board, images[1:])
    await remap(board, remapper)
    before = await stored(board)
    await said(board, policy=RawPolicy.DROP)
    # When the keeper dies in the third step
    real, steps = raw_retention.drop, 0

    async def dying(tx: Transaction, *arguments: object) -> int:
        nonlocal steps
        steps += 1
        gone = await real(tx, *arguments)  # type: ignore[arg-type]
        if steps == 3:
            raise RuntimeError("the power is gone")
        return gone

    monkeypatch.setattr(raw_retention, "drop", dying)
    with pytest.raises(RuntimeError, match="power"):
        await pruner.work()
    assert (await of_first(board)).looked_to == images[4]
    assert await images_with_scores(board, board.version_id) == [images[0], *images[5:]]
    # Then the next one goes on, and what was dropped is counted once
    assert await Pruner(board.store, budget=60.0).work() == 2
    assert await images_with_scores(board, board.version_id) == [images[0]]
    assert await images_with_scores(board, newer) == images[1:]
    found = await of_first(board)
    assert (found.dropped_images, found.dropped_rows) == (6, 6 * len(SCORES))
    # And no suggestion changes, for none went by them
    assert (await remap(board, remapper)).changes.images == 0
    assert await stored(board) == before
    assert await board.store.read(consistency.violations) == ()
    # The next pass comes after a pause only
    assert await pruner.work() == 0


async def test_the_newest_are_kept_and_the_policy_can_be_changed(board: SmallBoard, pruner: Pruner) -> None:
    images = [await board.suggested(SCORES) for _ in range(5)]
    await newer_version(board, images)
    await said(board, policy=RawPolicy.NEWEST, newest=3)
    await pruner.work()
    assert await images_with_scores(board, board.version_id) == images[2:]
    # When fewer are to be kept, the keeper begins at once; when all are, it stops
    await said(board, policy=RawPolicy.NEWEST, newest=2)
    await said(board, policy=RawPolicy.KEEP)
    await pruner.work()
    assert await images_with_scores(board, board.version_id) == images[2:]
    await said(board, policy=RawPolicy.NEWEST, newest=9)
    await pruner.work()
    assert await images_with_scores(board, board.version_id) == images[2:]
    acts = await board.store.read(lambda tx: audit.of(tx, "wd14/1"))
    assert [one.action for one in acts] == ["model.raw_retention"] * 4
    # Sizes are exact for few images
    assert await board.store.read(lambda tx: raw_retention.stored(tx, board.version_id)) == Stored(3, 12)


async def test_a_version_that_is_in_use_keeps_its_own_unless_somebody_insists(
    board: SmallBoard, pruner: Pruner
) -> None:
    images = [await board.suggested(SCORES) for _ in range(2)]
    for how in ({"policy": RawPolicy.DROP}, {"policy": RawPolicy.NEWEST, "newest": 1}):
        with pytest.raises(Conflict) as refusal:
            await said(board, **how)
        assert refusal.value.code == "raw_in_use"
    for wrong in ({"policy": RawPolicy.NEWEST}, {"policy": RawPolicy.DROP, "newest": 1}):
        with pytest.raises(InvalidInput) as refusal:
            await said(board, **wrong)
        assert refusal.value.code == "bad_retention"
    # When a retired version whose scores are to be dropped comes into use again, Then they stay
    newer = await newer_version(board, images)
    await said(board, policy=RawPolicy.DROP)
    await board.store.write(lambda tx: models.roll_back(tx, "wd14"))
    await pruner.work()
    assert await images_with_scores(board, board.version_id) == images
    # And a version that only ever looked has nothing that counts
    await board.store.write(lambda tx: models.retire(tx, newer))
    await said(board, policy=RawPolicy.KEEP)
    await said(board, policy=RawPolicy.NEWEST, newest=1, force=True)
    await pruner.work()
    assert await images_with_scores(board, board.version_id) == images[1:]


async def test_a_re_map_goes_by_evidence_where_scores_are_gone(
    board: SmallBoard, pruner: Pruner, remapper: Remapper
) -> None:
    # Given an image with a decision, and another that is hidden
    image_id, hidden = await board.suggested(SCORES), await board.suggested(SCORES)
    await remap(board, remapper)
    await decide(board, image_id, "blue eyes", Decision.REJECT)
    plan = await read_plan(board.store, board.settings)
    await set_eligibility(board.store, board.moderator, hidden, Eligibility.DELETED, plan)
    before = await stored(board)
    # When somebody insists on dropping what the active version said
    await said(board, policy=RawPolicy.DROP, force=True)
    assert await pruner.work() == 2
    assert await images_with_scores(board, board.version_id) == []
    # Then nothing vanishes, and rules still apply to what is pending
    await remap(board, remapper)
    assert await stored(board) == before
    key = LabelCategory.GENERAL, 4
    await board.store.write(lambda tx: thresholds.change(tx, board.version_id, {key: FloorWord.OFF}, ERI))
    await remap(board, remapper)
    assert await board.statuses(image_id) == {"hair": "pending", "blue eyes": "rejected"}
    # What went with its scores comes back by analysis only
    await board.store.write(lambda tx: thresholds.change(tx, board.version_id, {key: FloorWord.DEFAULT}, ERI))
    await remap(board, remapper)
    assert "smile" not in await board.statuses(image_id)
    await said(board, policy=RawPolicy.KEEP)
    await board.analyse(image_id, SCORES)
    assert (await board.statuses(image_id))["smile"] == "pending"
    # And an image that is shown again is looked at again, for its scores are gone
    shown = await set_eligibility(board.store, board.moderator, hidden, Eligibility.ACTIVE, plan)
    assert (shown.queued, shown.restored) == (True, 0)


async def test_a_roll_back_to_a_version_without_scores_keeps_the_queue(
    board: SmallBoard, pruner: Pruner, remapper: Remapper
) -> None:
    images = [await board.suggested(SCORES)]
    await newer_version(board, images)
    await remap(board, remapper)
    before = await board.statuses(images[0])
    assert before == {"smile": "pending"}
    await said(board, policy=RawPolicy.DROP)
    await pruner.work()
    await board.store.write(lambda tx: models.roll_back(tx, "wd14"))
    await remap(board, remapper)
    assert await board.statuses(images[0]) == before


names = st.sampled_from([one.name for one in LABELS[1:]])
pictures = st.lists(st.dictionaries(names, st.integers(500, 10_000), min_size=1), min_size=1, max_size=3)


@effort(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=pictures, decision=st.sampled_from(Decision))
async def test_dropping_takes_no_suggestion_away(
    board: SmallBoard,
    pruner: Pruner,
    remapper: Remapper,
    found: list[dict[str, int]],
    decision: Decision,
) -> None:
    """Given any pictures, one of whose suggestions is decided, when the scores are dropped by force and the
    re-map follows, then every suggestion and its evidence is as it was."""
    await said(board, policy=RawPolicy.KEEP)
    for one in found:
        image_id = await board.suggested(one)
    await remap(board, remapper)
    for title, status in (await board.statuses(image_id)).items():
        if status == "pending":
            await decide(board, image_id, title, decision)
            break
    await remap(board, remapper)
    before = await stored(board)
    await said(board, policy=RawPolicy.DROP, force=True)
    await pruner.work()
    assert await images_with_scores(board, board.version_id) == []
    assert (await remap(board, remapper)).changes.images == 0
    assert await stored(board) == before
