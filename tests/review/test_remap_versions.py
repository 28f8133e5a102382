"""Re-map after a promotion or a way back: pending rows follow the active version where it has looked."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from small_board import LABELS, SmallBoard, version

from orchestrator.records import (
    Decision,
    RawPrediction,
    RunState,
    SuggestionStatus,
    VerdictRequest,
    VersionState,
)
from orchestrator.remap import runs
from orchestrator.remap.runs import Scope
from orchestrator.remapper import Remapper
from orchestrator.review.service import review
from orchestrator.store import consistency, models, remaps, shadows

pytestmark = pytest.mark.anyio

NUMBERS = {label.name: label.index for label in LABELS}


async def another(board: SmallBoard, number: int) -> int:
    """Register a version as staged."""
    return await board.store.write(
        lambda tx: models.insert_version(tx, version(number=number), state=VersionState.STAGED)
    )


async def shadowed(board: SmallBoard, version_id: int, image_id: int, scores: dict[str, int]) -> bool:
    """Store what a version sees as a shadow."""
    if (await board.store.read(lambda tx: models.get(tx, board.settings, version_id))).state == "staged":
        await board.store.write(lambda tx: shadows.begin(tx, version_id, 10_000))
    raw = [RawPrediction(version_id, NUMBERS[name], score) for name, score in scores.items()]
    return await board.store.write(
        lambda tx: shadows.store_scores(tx, image_id, version_id, sha256="ab" * 32, raw=raw, rating="general")
    )


async def remap(board: SmallBoard) -> None:
    remapper = Remapper(board.settings, board.store)
    begun = await runs.start(board.store, Scope())
    for _ in range(50):
        await remapper.work()
        if (await board.store.read(lambda tx: remaps.get(tx, begun.id))).state is not RunState.RUNNING:
            return
    raise AssertionError("the re-map does not end")


async def pending(board: SmallBoard, image_id: int) -> dict[str, tuple[int, int]]:
    """Title → version number and score of what is pending."""
    return {
        title: (row.model_version, row.score)
        for title, row in (await board.rows(image_id)).items()
        if row.status is SuggestionStatus.PENDING
    }


async def test_pending_rows_follow_a_promotion_and_the_way_back(board: SmallBoard) -> None:
    # Given three images, of which a shadow has looked at two and saw nothing in one
    both, blind, one = [await board.suggested({"smile": 9000, "blue_eyes": 8000}) for _ in range(3)]
    await remap(board)
    second = await another(board, 2)
    assert await shadowed(board, second, both, {"smile": 7000, "hair": 6000})
    assert await shadowed(board, second, blind, {})
    first = {"smile": (1, 9000), "blue eyes": (1, 8000)}
    # Then nothing has changed for anybody, also after a re-map
    await remap(board)
    assert [await pending(board, image) for image in (both, blind, one)] == [first] * 3
    # When it is promoted, then its word counts where it has looked, and the old one's elsewhere
    await board.store.write(lambda tx: models.set_active(tx, second))
    await remap(board)
    assert await pending(board, both) == {"smile": (2, 7000), "hair": (2, 6000)}
    assert await pending(board, blind) == {}
    assert await pending(board, one) == first
    # And when it is taken back, everything is as it was
    await board.store.write(lambda tx: models.roll_back(tx, "wd14"))
    await remap(board)
    assert [await pending(board, image) for image in (both, blind, one)] == [first] * 3
    await board.assert_counters_equal_recount()


async def test_of_versions_that_are_out_of_use_the_last_one_counts(board: SmallBoard) -> None:
    """Given a version that was promoted and taken back, when a third one is promoted, then on images that it
    has not seen the one counts that people had last; and never one that only looked."""
    image = await board.suggested({"smile": 9000})
    second, third, looker = [await another(board, number) for number in (2, 3, 4)]
    for number in (second, looker):
        await shadowed(board, number, image, {"hair": 6000})
    await board.store.write(lambda tx: models.retire(tx, looker))
    await board.store.write(lambda tx: models.set_active(tx, second))
    await board.store.write(lambda tx: models.roll_back(tx, "wd14"))
    await board.store.write(lambda tx: models.set_active(tx, third))
    await remap(board)
    assert await pending(board, image) == {"smile": (1, 9000)}


async def test_what_a_version_said_stays_said_while_it_is_a_shadow(board: SmallBoard) -> None:
    # Given a version that was promoted, looked at an image as the only one of its name, and was taken back
    second = await another(board, 2)
    theme = await board.store.write(
        lambda tx: models.insert_version(tx, version("theme"), state=VersionState.ACTIVE)
    )
    await board.store.write(lambda tx: models.set_active(tx, second))
    image = await replace(board, version_id=second).suggested({"hair": 6000})
    await board.store.write(
        lambda tx: tx.insert_many("analyses", ("image_id", "model_version_id"), [(image, theme)])
    )
    await board.store.write(lambda tx: models.roll_back(tx, "wd14"))
    await remap(board)
    before = await pending(board, image)
    assert before == {"hair": (2, 6000)}
    # When it is a shadow, for more evidence, and no more, then what people are asked stays as it is
    await board.store.write(lambda tx: shadows.begin(tx, second, 1_000))
    await remap(board)
    assert await pending(board, image) == before
    assert await board.store.write(lambda tx: shadows.end(tx, second, actor="ada"))
    await remap(board)
    assert await pending(board, image) == before


async def test_scores_of_a_shadow_are_stored_once_and_only_of_the_same_picture(board: SmallBoard) -> None:
    image = await board.suggested({"smile": 9000})
    second = await another(board, 2)
    for score in (7000, 6000):
        assert await shadowed(board, second, image, {"smile": score})
    (found,) = await board.store.read(shadows.running)
    assert (found.images, found.share) == (1, 10_000)
    raw = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT model_version_id, score FROM raw_predictions WHERE image_id = :id ORDER BY 1", id=image
        )
    )
    assert raw == [(board.version_id, 9000), (second, 6000)]
    assert await board.store.read(lambda tx: shadows.seen_by_both(tx, board.version_id, second)) == 1
    # Another picture, or a shadow that has ended
    await board.store.write(lambda tx: tx.execute("UPDATE images SET sha256 = REPEAT('x', 32)"))
    assert not await shadowed(board, second, image, {"smile": 5000})
    await board.store.write(lambda tx: tx.execute("UPDATE images SET sha256 = UNHEX(REPEAT('ab', 32))"))
    assert await board.store.write(lambda tx: shadows.end(tx, second, actor="ada"))
    await board.store.write(lambda tx: models.retire(tx, second))
    assert not await shadowed(board, second, image, {"smile": 5000})


scores = st.dictionaries(st.sampled_from(["smile", "blue_eyes", "hair"]), st.integers(3000, 9900))
acts = st.lists(
    st.one_of(
        st.sampled_from(["promote", "roll back", "retire", "remap"]).map(lambda act: (act, {})),
        st.tuples(st.just("shadow"), scores),
        st.tuples(st.sampled_from(["approve", "reject"]), st.just({})),
    ),
    min_size=3,
    max_size=8,
)


@effort(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=scores, acts=acts)
async def test_decisions_stand_whatever_is_promoted_and_taken_back(
    board: SmallBoard, first: dict[str, int], acts: list[tuple[str, dict[str, int]]]
) -> None:
    image = await board.suggested(first)
    second = await board.store.read(lambda tx: models.find(tx, "wd14", 2))
    number = await another(board, 2) if second is None else second.id
    decided: dict[str, object] = {}
    for act, scores in acts:
        rows = await board.rows(image)
        waiting = [row for row in rows.values() if row.status is SuggestionStatus.PENDING]
        active = await board.store.read(lambda tx: models.active(tx, board.settings))
        match act:
            case "promote":
                await board.store.write(lambda tx: models.set_active(tx, number))
            case "roll back":
                await board.store.write(lambda tx: models.set_active(tx, board.version_id))
            case "retire" if active:
                await board.store.write(lambda tx, one=active[0]: models.retire(tx, one.id))
            case "remap":
                await remap(board)
            case "shadow":
                await shadowed(board, number, image, scores)
            case "approve" | "reject" if waiting:
                row = min(waiting, key=lambda one: one.id)
                request = VerdictRequest(row.id, row.version, Decision(act))
                await review(board.store, board.moderator, image, [request])
        now = {
            title: (row.id, row.status, row.decided_by, row.decided_at, row.model_version, row.score)
            for title, row in (await board.rows(image)).items()
            if row.status in (SuggestionStatus.APPROVED, SuggestionStatus.REJECTED)
        }
        assert decided.items() <= now.items()
        decided = now
    assert await board.store.read(consistency.violations) == ()
    await board.assert_counters_equal_recount()
