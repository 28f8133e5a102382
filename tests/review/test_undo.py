"""Taking verdicts back: what is restored, what is left, and who may."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from small_board import SmallBoard

from orchestrator.errors import Conflict, Forbidden, NotFound
from orchestrator.records import Decision, ReviewOutcome, UndoneAs, UndoOutcome, User, VerdictRequest
from orchestrator.review import undo as undoing
from orchestrator.review.service import review, review_many
from orchestrator.review.undo import undo
from orchestrator.store import links
from orchestrator.store.links import LinkOrigin

pytestmark = pytest.mark.anyio

APPROVE, REJECT = Decision.APPROVE, Decision.REJECT


async def decide(
    board: SmallBoard, image_id: int, decisions: dict[str, Decision], *, by: User | None = None
) -> ReviewOutcome:
    rows = await board.rows(image_id)
    wanted = [
        VerdictRequest(rows[title].id, rows[title].version, decision) for title, decision in decisions.items()
    ]
    return await review(board.store, by or board.moderator, image_id, wanted)


async def take_back(
    board: SmallBoard,
    outcome: ReviewOutcome,
    *,
    by: User | None = None,
    suggestion_ids: Sequence[int] | None = None,
) -> UndoOutcome:
    assert outcome.batch_id is not None
    return await undo(board.store, by or board.moderator, outcome.batch_id, suggestion_ids=suggestion_ids)


async def statuses(board: SmallBoard, image_id: int) -> dict[str, str]:
    return {title: str(row.status) for title, row in (await board.rows(image_id)).items()}


async def test_a_batch_is_restored_with_its_cascades_and_links(board: SmallBoard) -> None:
    # Given an approval that cleared ancestors, and a rejection
    image_id = await board.suggested({"hair": 9000, "long_hair": 8000, "smile": 7000, "blue_eyes": 6000})
    before = await statuses(board, image_id)
    outcome = await decide(board, image_id, {"long hair": APPROVE, "smile": REJECT})
    assert (await statuses(board, image_id))["hair"] == "cleared"
    # When the batch is undone, then all is as before, and the log says who did it
    undone = await take_back(board, outcome, by=board.moderator)
    assert {one.outcome for one in undone.results} == {UndoneAs.RESTORED}
    assert await statuses(board, image_id) == before
    assert await board.linked(image_id) == set()
    await board.assert_counters_equal_recount()
    # And again changes nothing
    again = await take_back(board, outcome)
    assert (again.batch_id, again.results) == (None, ())


async def test_a_part_of_a_batch_takes_only_what_followed_from_it(board: SmallBoard) -> None:
    image_id = await board.suggested({"hair": 9000, "long_hair": 8000, "smile": 7000})
    rows = await board.rows(image_id)
    outcome = await decide(board, image_id, {"long hair": APPROVE, "smile": APPROVE})
    undone = await take_back(board, outcome, suggestion_ids=[rows["long hair"].id])
    assert {one.suggestion_id for one in undone.results} == {rows["long hair"].id, rows["hair"].id}
    assert await statuses(board, image_id) == {
        "hair": "pending",
        "long hair": "pending",
        "smile": "approved",
    }
    assert await board.linked(image_id) == {"smile"}
    # And the rest can be taken back later
    await take_back(board, outcome)
    assert await board.linked(image_id) == set()
    await board.assert_counters_equal_recount()


async def test_a_row_that_somebody_has_acted_on_since_is_left_and_named(board: SmallBoard) -> None:
    # Given two verdicts of one batch, one of them taken back and decided anew by somebody else
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 8000})
    rows = await board.rows(image_id)
    first = await decide(board, image_id, {"smile": APPROVE, "blue eyes": APPROVE}, by=board.tagger)
    await take_back(board, first, by=board.tagger, suggestion_ids=[rows["smile"].id])
    later = await decide(board, image_id, {"smile": REJECT}, by=board.moderator)
    assert later.batch_id is not None
    # When the rest of the first batch is undone, then the newer verdict stands
    await take_back(board, first, by=board.tagger)
    assert await statuses(board, image_id) == {"smile": "rejected", "blue eyes": "pending"}
    # And a batch whose row has been changed underneath says who holds it
    second = await decide(board, image_id, {"blue eyes": APPROVE}, by=board.tagger)
    await board.store.write(
        lambda tx: tx.execute(
            "UPDATE suggestions SET version = version + 1, decided_by = :who WHERE id = :id",
            who=board.moderator.id,
            id=rows["blue eyes"].id,
        )
    )
    (left,) = (await take_back(board, second, by=board.tagger)).results
    assert (left.outcome, left.decided_by) == (UndoneAs.SUPERSEDED, board.moderator.name)


async def test_a_link_stays_while_another_approval_asks_for_it(board: SmallBoard) -> None:
    # Given two suggestions that are spellings of one tag, approved one after the other by two people
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 8000})
    first = await decide(board, image_id, {"smile": APPROVE}, by=board.tagger)
    # When a link that people made themselves was there before, then undoing leaves it
    other = await board.suggested({"smile": 9000})
    smile = (await board.rows(other))["smile"].tag.id
    await board.store.write(
        lambda tx: links.link(tx, other, {smile}, user_id=board.uploader.id, origin=LinkOrigin.BOARD)
    )
    approved = await decide(board, other, {"smile": APPROVE})
    (result,) = (await take_back(board, approved)).results
    assert (result.outcome, result.unlinked) == (UndoneAs.REDUNDANT, False)
    assert await board.linked(other) == {"smile"}
    assert await statuses(board, other) == {"smile": "cleared"}
    # And where nobody else asks for it, it goes
    (result,) = (await take_back(board, first, by=board.tagger)).results
    assert (result.outcome, result.unlinked) == (UndoneAs.RESTORED, True)


async def test_a_batch_across_images_is_one_batch(board: SmallBoard) -> None:
    images = [await board.suggested({"smile": 9000}) for _ in range(3)]
    rows = [(await board.rows(image))["smile"] for image in images]
    wanted = [VerdictRequest(row.id, row.version, APPROVE) for row in rows]
    outcome = await review_many(board.store, board.tagger, wanted)
    assert [result.linked for result in outcome.results] == [True] * 3
    assert outcome.counts is None
    await take_back(board, outcome, by=board.tagger)
    assert [await statuses(board, image) for image in images] == [{"smile": "pending"}] * 3
    await board.assert_counters_equal_recount()


async def test_reviewing_across_images_needs_a_right_to_each(board: SmallBoard) -> None:
    mine = await board.suggested({"smile": 9000}, board.uploader)
    theirs = await board.suggested({"smile": 9000}, board.tagger)
    rows = [(await board.rows(image))["smile"] for image in (mine, theirs)]
    wanted = [VerdictRequest(row.id, row.version, APPROVE) for row in rows]
    with pytest.raises(Forbidden):
        await review_many(board.store, board.uploader, wanted)
    assert await board.linked(mine) == set()
    assert (await review_many(board.store, board.uploader, wanted[:1])).results[0].linked


async def test_own_verdicts_for_a_day_and_anybodys_for_moderators(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 8000})
    outcome = await decide(board, image_id, {"smile": APPROVE}, by=board.tagger)
    with pytest.raises(Forbidden) as caught:
        await take_back(board, outcome, by=board.uploader)
    assert caught.value.code == "not_your_batch"
    monkeypatch.setattr(undoing, "OWN_PERIOD", timedelta(0))
    with pytest.raises(Forbidden) as caught:
        await take_back(board, outcome, by=board.tagger)
    assert caught.value.code == "undo_too_late"
    await take_back(board, outcome, by=board.moderator)
    assert (await statuses(board, image_id))["smile"] == "pending"


async def test_an_undo_is_not_undone_and_an_unknown_batch_is_unknown(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    undone = await take_back(board, await decide(board, image_id, {"smile": APPROVE}))
    assert undone.batch_id is not None
    with pytest.raises(Conflict) as caught:
        await undo(board.store, board.moderator, undone.batch_id)
    assert caught.value.code == "undo_of_undo"
    with pytest.raises(NotFound):
        await undo(board.store, board.moderator, 999_999)


async def test_a_hidden_image_asks_nobody_again(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    outcome = await decide(board, image_id, {"smile": REJECT})
    await board.store.write(
        lambda tx: tx.execute("UPDATE images SET eligibility = 'deleted' WHERE id = :id", id=image_id)
    )
    (result,) = (await take_back(board, outcome)).results
    assert result.outcome is UndoneAs.REDUNDANT
    await board.assert_counters_equal_recount()
