"""Explorations in the store: pending rows for the queues, which no list of an image shows."""

from dataclasses import replace

import pytest
from small_board import SmallBoard

from orchestrator.records import (
    Decision,
    Resolution,
    SuggestionCounts,
    SuggestionStatus,
    VerdictRequest,
)
from orchestrator.review.service import review
from orchestrator.review.undo import undo
from orchestrator.store import image_queue, images, pending, suggestions
from orchestrator.store.image_queue import ImageFilter

pytestmark = pytest.mark.anyio


async def analyse(
    board: SmallBoard, image_id: int, scores: dict[str, int], tried: dict[str, int], *, explicit: bool = False
) -> None:
    """Store an analysis that suggests `scores` and tries `tried`."""
    await board.store.write(
        lambda tx: images.requeue(tx, image_id, explicit=explicit, priority="backfill")  # type: ignore[arg-type]
    )
    claimed = await board.claim(image_id)
    resolution: Resolution = replace(
        board.resolution(scores),
        explorations=tuple(replace(one, exploration=True) for one in board.resolution(tried).suggestions),
    )
    analysis = board.analysis(scores | tried)
    assert await board.store.write(lambda tx: suggestions.persist(tx, claimed, analysis, resolution))


async def stored(board: SmallBoard, image_id: int) -> dict[str, tuple[int, str, bool, int]]:
    """By title: id, status, whether it explores, row version."""
    titles = {tag.id: title for title, tag in board.tags.items()}
    rows = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT tag_id, id, status, exploration, version FROM suggestions WHERE image_id = :id",
            id=image_id,
        )
    )
    return {titles[row[0]]: (row[1], row[2], bool(row[3]), row[4]) for row in rows}


async def test_an_exploration_is_a_pending_row_that_lists_of_its_image_leave_out(board: SmallBoard) -> None:
    image_id = await board.register()
    await analyse(board, image_id, {"smile": 9000}, {"blue_eyes": 3000})

    assert {t: row[1:3] for t, row in (await stored(board, image_id)).items()} == {
        "smile": ("pending", False),
        "blue eyes": ("pending", True),
    }
    assert set(await board.rows(image_id)) == {"smile"}
    assert await board.store.read(lambda tx: suggestions.counts(tx, image_id)) == SuggestionCounts(1, 0, 0)
    assert await board.store.read(lambda tx: pending.counts(tx, [image_id])) == {image_id: 1}
    await board.assert_counters_equal_recount()


async def test_an_image_with_nothing_but_explorations_is_in_no_queue_of_images(board: SmallBoard) -> None:
    image_id = await board.register()
    await analyse(board, image_id, {}, {"blue_eyes": 3000})
    other = await board.suggested({"smile": 9000})

    for where in (ImageFilter(pending=True), ImageFilter(pending=True, uploader_ids=(board.uploader.id,))):
        keys = await board.store.read(lambda tx, w=where: image_queue.page(tx, w, after=None, limit=5))  # type: ignore[misc]
        assert keys.ids == (other,)
    listed = await board.store.read(lambda tx: images.list_images(tx, pending_only=True))
    assert [image.id for image in listed] == [other]
    assert await board.store.read(lambda tx: pending.neighbours(tx, other, uploader_id=None)) == (None, None)


async def test_an_exploration_is_judged_and_undone_like_any_row(board: SmallBoard) -> None:
    image_id = await board.register()
    await analyse(board, image_id, {}, {"blue_eyes": 3000})
    suggestion_id, _, _, row_version = (await stored(board, image_id))["blue eyes"]

    outcome = await review(
        board.store,
        board.moderator,
        image_id,
        [VerdictRequest(suggestion_id, row_version, Decision.APPROVE)],
    )
    assert await board.linked(image_id) == {"blue eyes"}
    assert (await board.rows(image_id))["blue eyes"].status is SuggestionStatus.APPROVED
    await board.assert_counters_equal_recount()

    assert outcome.batch_id is not None
    await undo(board.store, board.moderator, outcome.batch_id)
    assert (await stored(board, image_id))["blue eyes"][1:3] == ("pending", True)
    await board.assert_counters_equal_recount()


async def test_what_a_later_analysis_is_sure_of_explores_no_more(board: SmallBoard) -> None:
    image_id = await board.register()
    await analyse(board, image_id, {}, {"blue_eyes": 3000, "smile": 3000, "hair": 3000})
    before = await stored(board, image_id)
    await analyse(board, image_id, {"blue_eyes": 3600}, {"smile": 3000})
    after = await stored(board, image_id)

    assert after["blue eyes"][1:] == ("pending", False, before["blue eyes"][3] + 1)
    assert after["smile"] == before["smile"]
    assert "hair" not in after
    assert set(await board.rows(image_id)) == {"blue eyes"}
    await board.assert_counters_equal_recount()


async def test_nobody_is_asked_again_by_an_exploration(board: SmallBoard) -> None:
    """Given a rejected row, and an approved one whose link people removed, when an analysis that a person
    asked for tries both, then both stay decided."""
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 9000})
    rows = await board.rows(image_id)
    verdicts = [
        VerdictRequest(rows["smile"].id, 1, Decision.APPROVE),
        VerdictRequest(rows["blue eyes"].id, 1, Decision.REJECT),
    ]
    await review(board.store, board.moderator, image_id, verdicts)
    await board.store.write(lambda tx: tx.execute("DELETE FROM tag_links WHERE image_id = :i", i=image_id))

    await analyse(board, image_id, {}, {"smile": 3000, "blue_eyes": 3000}, explicit=True)
    assert await board.statuses(image_id) == {"smile": "approved", "blue eyes": "rejected"}
