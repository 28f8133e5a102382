"""Two versions on the images that both have looked at, against what people said."""

from dataclasses import replace

import pytest
from compared_board import ComparedBoard, Scores
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from orchestrator.comparison import compare as comparing
from orchestrator.comparison.estimate import Estimate, Kind
from orchestrator.comparison.report import Agreement, Queue
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import Eligibility, LabelCategory, MappingAction, RejectReason, TagType
from orchestrator.remapper import read_plan
from orchestrator.review.eligibility import set_eligibility
from orchestrator.store import mappings, thresholds
from orchestrator.store.mappings import NewMapping

pytestmark = pytest.mark.anyio


def value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else round(estimate.value, 6)


async def test_two_images_and_all_that_is_said_of_them(compared: ComparedBoard) -> None:
    # Given two images that the versions see differently, and people's judgements
    one, other = await compared.judge_some()
    # When they are compared
    found = await compared.compare()
    # Then each number is what one counts by hand
    assert (found.images, found.same, found.judged) == (2, 0, 2)
    assert found.agreement == Agreement(both=1, only_m=2, only_n=2)
    assert found.agreement.share == 0.2
    assert [value(part) for part in (found.paired.m.precision, found.paired.m.recall, found.f1_m)] == [
        0.5
    ] * 3
    assert [value(part) for part in (found.paired.n.precision, found.paired.n.recall, found.f1_n)] == [
        1.0
    ] * 3
    assert [value(found.paired.m.unprompted), value(found.paired.n.unprompted)] == [0.0, 1.0]
    assert value(found.f1_difference) == 0.5
    # And people would be asked about long hair only: all the rest is decided or applied
    assert found.queue == Queue(added=1, dropped=0)
    by_title = {tag.tag.title: tag for tag in found.tags}
    assert by_title["long hair"].queue == Queue(added=1, dropped=0)
    assert by_title["smile"].agreement == Agreement(both=1, only_m=1, only_n=0)
    assert by_title["blue eyes"].paired.judged == 2
    assert [type_.type for type_ in found.types] == [TagType.THEME]
    assert found.types[0].paired == found.paired
    # And the most changed image comes first, with what people said
    assert [image.image_id for image in found.changed] == [other, one]
    of_one = found.changed[1]
    assert [(tag.tag.title, tag.confidence, tag.said) for tag in of_one.dropped] == [
        ("blue eyes", 8000, Kind.REJECTED)
    ]
    assert [(tag.tag.title, tag.said) for tag in of_one.added] == [("long hair", None)]


async def test_scores_drift_by_label_and_category(compared: ComparedBoard) -> None:
    await compared.seen({"smile": 9000, "unheard_of": 4000}, {"smile": 8000, "blue_eyes": 2000})
    await compared.seen({"smile": 5000}, {"smile": 6000})
    found = await compared.compare()
    labels = {label.name: label for label in found.labels}
    assert labels["smile"].tag is not None
    assert labels["smile"].tag.title == "smile"
    assert (labels["smile"].drift.pairs, labels["smile"].drift.change) == (2, 0.0)
    assert labels["smile"].drift.spread == pytest.approx(0.1)
    assert labels["unheard_of"].tag is None
    assert labels["unheard_of"].drift.change == pytest.approx(-0.4)  # below the floor is as good as 0
    general = next(one for one in found.categories if one.category is LabelCategory.GENERAL)
    assert general.drift.pairs == 4
    assert general.drift.change == pytest.approx((-0.4 + 0.2) / 4)
    assert (general.only_m, general.only_n) == (0, 0)
    # steps of 0.05 from -1: 4 pairs at -0.4, -0.1, +0.1, +0.2
    assert {at: amount for at, amount in enumerate(general.histogram) if amount} == {
        12: 1,
        18: 1,
        22: 1,
        24: 1,
    }


async def test_curves_count_what_reaches_a_threshold(compared: ComparedBoard) -> None:
    await compared.judge_some()
    found = await compared.compare()
    assert [curve.type for curve in found.curves] == [None, TagType.THEME]
    points = {point.threshold: point for point in found.curves[0].points}
    # M: smile 0.9 approved, blue eyes 0.8 rejected; the applied blue eyes not at all. N: 0.8, -, 0.7
    low, high = points[0.5], points[0.85]
    assert (low.precision_m, low.recall_m, low.precision_n, low.recall_n) == (0.5, 0.5, 1.0, 1.0)
    assert (high.precision_m, high.recall_m, high.precision_n, high.recall_n) == (1.0, 0.5, None, 0.0)


async def test_mappings_and_thresholds_decide_not_raw_scores(compared: ComparedBoard) -> None:
    """Given versions with equal scores, when one of them has a higher threshold, then that is a difference;
    and what a mapping ignores is none."""
    image = await compared.seen({"smile": 6000, "blue_eyes": 6000}, {"smile": 6000, "blue_eyes": 6000})
    assert (await compared.compare()).agreement.share == 1.0
    store = compared.board.store
    ignore = NewMapping("danbooru", "blue_eyes", MappingAction.IGNORE, None)

    async def work(tx):  # type: ignore[no-untyped-def]
        await thresholds.set_score(tx, compared.second, LabelCategory.GENERAL, 7000, actor_id=None)
        await mappings.upsert_many(tx, [ignore], actor_id=None)

    await store.write(work)
    found = await compared.compare()
    assert found.agreement == Agreement(only_m=1)
    (changed,) = found.changed
    assert changed.image_id == image
    assert [tag.tag.title for tag in changed.dropped] == ["smile"]


async def test_a_tag_below_says_the_one_above(compared: ComparedBoard) -> None:
    image = await compared.seen({"hair": 5000}, {"long_hair": 9500})
    await compared.approve(image, "hair")
    found = await compared.compare()
    assert (value(found.paired.m.recall), value(found.paired.n.recall)) == (1.0, 1.0)


async def test_what_speaks_for_nobody_is_no_judgement(compared: ComparedBoard) -> None:
    """Given a redundant rejection, and a tag that was rejected and then applied, then there is no negative;
    a tag that no version can say is not missed."""
    image = await compared.seen({"smile": 9000, "blue_eyes": 9000}, {"smile": 9000, "blue_eyes": 9000})
    await compared.reject(image, "smile", RejectReason.REDUNDANT)
    await compared.reject(image, "blue eyes")
    await compared.apply(image, "blue eyes")
    await compared.apply(image, "grin")  # an alias of smile
    found = await compared.compare()
    assert found.paired.m.precision is None
    assert value(found.paired.m.recall) == 1.0
    assert value(found.paired.m.unprompted) == 1.0


async def test_only_images_that_both_have_looked_at(
    compared: ComparedBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an image of one version only, a hidden one, and three of both, of which the second version sees
    # nothing in one
    board = compared.board
    ids = [await compared.seen({"smile": 9000}, n) for n in ({"smile": 9000}, {}, {"smile": 9000})]
    await board.suggested({"smile": 9000})
    hidden = await compared.seen({"smile": 9000}, {"smile": 9000})
    plan = await read_plan(board.store, board.settings)
    await set_eligibility(board.store, board.moderator, hidden, Eligibility.DELETED, plan)
    monkeypatch.setattr(comparing, "TOGETHER", 2)
    heard: list[tuple[int, int]] = []
    # When they are compared, chunk by chunk
    found = await comparing.compare(
        board.store, board.settings, "wd14", 1, 2, progress=lambda done, all_: heard.append((done, all_))
    )
    # Then those three count, and progress says so
    assert (found.images, found.same) == (3, 2)
    assert [image.image_id for image in found.changed] == [ids[1]]
    assert [done for done, _ in heard] == [2, 3]
    # And a sample is of the newest
    assert (await compared.compare(images=1)).agreement.share == 1.0
    assert (await compared.compare(images=2)).same == 1


async def test_versions_that_are_not_there(compared: ComparedBoard) -> None:
    with pytest.raises(NotFound):
        await compared.compare(1, 7)
    with pytest.raises(InvalidInput):
        await compared.compare(images=0)
    empty = await compared.compare()
    assert (empty.images, empty.judged, empty.f1_m, empty.f1_difference) == (0, 0, None, None)
    assert empty.agreement.share == 1.0


labels = st.sampled_from(["smile", "blue_eyes", "hair", "long_hair", "unheard_of"])
scores = st.dictionaries(labels, st.integers(500, 10_000), min_size=1)
acts = st.lists(st.sampled_from(["approve", "reject", "redundant", "apply"]), max_size=3)


@effort(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=st.lists(st.tuples(scores, scores, acts), min_size=1, max_size=2))
async def test_a_version_equals_itself_and_turning_the_two_round_negates(
    compared: ComparedBoard, seen: list[tuple[Scores, Scores, list[str]]]
) -> None:
    """Given any images and judgements, then a version against itself agrees in all, changes nothing and is
    as good; and comparing N with M says the opposite of comparing M with N."""
    for m, n, what in seen:
        await _judge(compared, await compared.seen(m, n), what)
    itself = await compared.compare(2, 2)
    assert itself.agreement.share == 1.0
    assert itself.same == itself.images > 0
    assert itself.queue == Queue()
    assert itself.changed == ()
    assert all(label.drift.spread == 0 for label in itself.labels)
    if itself.f1_difference is not None:
        assert itself.f1_difference.value == 0
        assert {itself.f1_difference.low, itself.f1_difference.high} <= {None, 0.0}
    there, back = await compared.compare(1, 2), await compared.compare(2, 1)
    assert back.queue == Queue(added=there.queue.dropped, dropped=there.queue.added)
    assert back.paired.m == there.paired.n
    assert back.changed == tuple(
        replace(image, added=image.dropped, dropped=image.added) for image in there.changed
    )
    if there.f1_difference is not None and back.f1_difference is not None:
        assert back.f1_difference.value == pytest.approx(-there.f1_difference.value)


async def _judge(compared: ComparedBoard, image_id: int, acts: list[str]) -> None:
    pending = sorted(await compared.board.rows(image_id))
    for title, act in zip(pending, acts, strict=False):
        if (await compared.board.rows(image_id))[title].status != "pending":
            continue
        if act == "approve":
            await compared.approve(image_id, title)
        elif act == "apply":
            await compared.apply(image_id, title)
        else:
            reason = RejectReason.REDUNDANT if act == "redundant" else RejectReason.WRONG
            await compared.reject(image_id, title, reason)
