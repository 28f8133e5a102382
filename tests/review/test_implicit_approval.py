"""What people tag outside the desk: which suggestions that answers, and what the log says of it."""

import json

import pytest
from small_board import SmallBoard

from orchestrator.errors import Conflict, Forbidden, InvalidInput, NotFound
from orchestrator.records import Decision, UndoneAs, User, VerdictRequest
from orchestrator.review.service import review
from orchestrator.review.tagging import TagChange, TaggingOutcome, TagNames, change_tags
from orchestrator.review.undo import undo
from orchestrator.store import batches
from orchestrator.store.verdicts import Act

pytestmark = pytest.mark.anyio

EXACTLY, ADD, REMOVE = TagChange


async def tag(
    board: SmallBoard,
    image_id: int,
    change: TagChange,
    *titles: str,
    by: User | None = None,
    key: str | None = None,
) -> TaggingOutcome:
    names = TagNames(ids=tuple(board.tags[title].id for title in titles))
    who = by or board.uploader
    return await change_tags(board.store, who, image_id, change, names, idempotency_key=key)


async def decide(board: SmallBoard, image_id: int, title: str, decision: Decision) -> int:
    row = (await board.rows(image_id))[title]
    outcome = await review(
        board.store, board.moderator, image_id, [VerdictRequest(row.id, row.version, decision)]
    )
    assert outcome.batch_id is not None
    return outcome.batch_id


async def acts(board: SmallBoard) -> list[tuple[str, str, str, str]]:
    """What the log says: act, tag, state before and after."""
    rows = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT v.decision, t.title, v.from_status, v.to_status FROM verdicts v"
            " JOIN tags t ON t.id = v.tag_id ORDER BY v.id"
        )
    )
    return [tuple(row) for row in rows]  # type: ignore[misc]


async def origins(board: SmallBoard, image_id: int) -> dict[str, str]:
    rows = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT t.title, l.origin FROM tag_links l JOIN tags t ON t.id = l.tag_id WHERE l.image_id = :id",
            id=image_id,
        )
    )
    return dict(rows)


async def test_a_tag_that_people_put_there_approves_its_suggestion_and_no_other(board: SmallBoard) -> None:
    # Given suggestions of several tags, when the board tells of two of those and of one nobody suggested
    image_id = await board.suggested({"smile": 9000, "hair": 8000, "long_hair": 7000, "blue_eyes": 6000})
    rows = await board.rows(image_id)
    outcome = await tag(board, image_id, ADD, "smile", "long hair", "very long hair")
    # Then exactly the matching rows are approved, what they make redundant is cleared, the rest is open
    assert await board.statuses(image_id) == {
        "smile": "approved",
        "long hair": "approved",
        "hair": "cleared",
        "blue eyes": "pending",
    }
    assert set(outcome.approved) == {rows["smile"].id, rows["long hair"].id}
    assert outcome.cleared == (rows["hair"].id,)
    assert {one.title for one in outcome.added} == {"smile", "long hair", "very long hair"}
    assert await origins(board, image_id) == dict.fromkeys(("smile", "long hair", "very long hair"), "board")
    # And the log marks them apart from verdicts
    assert sorted(await acts(board)) == [
        ("clear", "hair", "pending", "cleared"),
        ("imply", "long hair", "pending", "approved"),
        ("imply", "smile", "pending", "approved"),
    ]
    assert (outcome.counts.pending, outcome.counts.approved) == (1, 2)
    await board.assert_counters_equal_recount()


async def test_a_tag_that_was_there_already_answers_nothing(board: SmallBoard) -> None:
    image_id = await board.register()
    await tag(board, image_id, ADD, "smile")
    await board.analyse(image_id, {"smile": 9000, "blue_eyes": 8000})
    again = await tag(board, image_id, ADD, "smile")
    assert (again.batch_id, again.added, again.approved, again.cleared) == (None, (), (), ())
    assert await board.statuses(image_id) == {"blue eyes": "pending"}
    assert await acts(board) == []


async def test_an_alias_stands_for_its_canonical_tag_also_by_the_boards_own_id(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    external = board.tags["grin"].external_id
    assert external is not None
    outcome = await change_tags(
        board.store, board.uploader, image_id, ADD, TagNames(external_ids=(external,))
    )
    assert await board.linked(image_id) == {"smile"}
    assert await board.statuses(image_id) == {"smile": "approved"}
    assert [(one.named.title, one.canonical.title) for one in outcome.aliases] == [("grin", "smile")]


async def test_exactly_these_tags_takes_the_others_away(board: SmallBoard) -> None:
    # Given an approved tag and one that people put there
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 8000})
    await decide(board, image_id, "smile", Decision.APPROVE)
    await tag(board, image_id, ADD, "hair")
    before = (await board.rows(image_id))["smile"]
    # When the board says that it has another one only
    outcome = await tag(board, image_id, EXACTLY, "blue eyes")
    # Then that is so, the approval stands although its tag is gone, and the log says what became of the tag
    assert await board.linked(image_id) == {"blue eyes"}
    assert {one.title for one in outcome.removed} == {"smile", "hair"}
    assert outcome.unlinked == (before.id,)
    after = (await board.rows(image_id))["smile"]
    assert (after.status, after.version, after.decided_by) == (
        "approved",
        before.version + 1,
        board.moderator.name,
    )
    assert (await acts(board))[-2:] == [
        ("imply", "blue eyes", "pending", "approved"),
        ("unlink", "smile", "approved", "approved"),
    ]
    await board.assert_counters_equal_recount()
    # And saying so again changes nothing
    again = await tag(board, image_id, EXACTLY, "blue eyes")
    assert (again.batch_id, again.added, again.removed) == (None, (), ())


async def test_taking_a_canonical_tag_away_takes_its_aliases_links_too(board: SmallBoard) -> None:
    image_id = await board.register()
    grin = board.tags["grin"].id
    await board.store.write(
        lambda tx: tx.execute(
            "INSERT INTO tag_links (image_id, tag_id, origin) VALUES (:image, :tag, 'import')",
            image=image_id,
            tag=grin,
        )
    )
    await board.store.write(
        lambda tx: tx.execute(
            "INSERT INTO tag_counters (tag_id, measure, bucket, amount) VALUES (:tag, 'links', 0, 1)",
            tag=grin,
        )
    )
    outcome = await tag(board, image_id, REMOVE, "smile")
    assert [one.title for one in outcome.removed] == ["grin"]
    assert await board.linked(image_id) == set()
    await board.assert_counters_equal_recount()


async def test_a_rejection_stands_whatever_people_tag(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    await decide(board, image_id, "smile", Decision.REJECT)
    outcome = await tag(board, image_id, ADD, "smile")
    assert (outcome.approved, outcome.batch_id) == ((), None)
    assert await board.statuses(image_id) == {"smile": "rejected"}
    assert await board.linked(image_id) == {"smile"}


async def test_the_batch_can_be_undone_with_the_links_that_it_made(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000, "hair": 8000, "long_hair": 7000})
    before = await board.statuses(image_id)
    outcome = await tag(board, image_id, ADD, "smile", "long hair", by=board.tagger)
    assert outcome.batch_id is not None
    batch_id = outcome.batch_id
    assert (await board.store.read(lambda tx: batches.get(tx, batch_id))).kind == "board"
    undone = await undo(board.store, board.tagger, batch_id)
    assert {one.outcome for one in undone.results} == {UndoneAs.RESTORED}
    assert await board.statuses(image_id) == before
    assert await board.linked(image_id) == set()
    await board.assert_counters_equal_recount()


async def test_undoing_an_approval_leaves_what_people_tagged_and_what_they_took_away(
    board: SmallBoard,
) -> None:
    # Given a tag that was approved, taken away by the board and put back by it
    image_id = await board.suggested({"smile": 9000})
    batch_id = await decide(board, image_id, "smile", Decision.APPROVE)
    gone = await tag(board, image_id, REMOVE, "smile")
    await tag(board, image_id, ADD, "smile")
    # When the approval, and then the removal, are undone, then people's word stands
    (result,) = (await undo(board.store, board.moderator, batch_id)).results
    assert result.outcome is UndoneAs.SUPERSEDED
    assert gone.batch_id is not None
    assert (await undo(board.store, board.moderator, gone.batch_id)).results == ()
    assert await board.linked(image_id) == {"smile"}
    assert await board.statuses(image_id) == {"smile": "approved"}
    await board.assert_counters_equal_recount()


async def test_asking_for_another_analysis_reopens_what_lost_its_tag_and_says_so(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    await decide(board, image_id, "smile", Decision.APPROVE)
    await tag(board, image_id, REMOVE, "smile")
    await board.analyse(image_id, {"smile": 9000}, explicit=True, asked_by=board.tagger)
    assert await board.statuses(image_id) == {"smile": "pending"}
    row = (await board.rows(image_id))["smile"]
    (line,) = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT v.decision, v.from_status, v.to_status, v.to_version, u.name, b.kind FROM verdicts v"
            " JOIN users u ON u.id = v.user_id JOIN review_batches b ON b.id = v.batch_id"
            " WHERE v.decision = 'reopen'"
        )
    )
    assert line == ("reopen", "approved", "pending", row.version, board.tagger.name, "reopen")
    await board.assert_counters_equal_recount()


async def test_what_nobody_is_known_to_have_asked_for_is_reopened_in_the_approvers_name(
    board: SmallBoard,
) -> None:
    image_id = await board.suggested({"smile": 9000})
    await decide(board, image_id, "smile", Decision.APPROVE)
    await tag(board, image_id, REMOVE, "smile")
    await board.analyse(image_id, {"smile": 9000}, explicit=True)
    (who,) = await board.store.read(
        lambda tx: tx.fetch_rows("SELECT user_id FROM verdicts WHERE decision = 'reopen'")
    )
    assert who == (board.moderator.id,)


async def test_the_outside_is_told_what_changed(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    outcome = await tag(board, image_id, ADD, "smile", "hair")
    (event,) = await board.store.read(
        lambda tx: tx.fetch_rows("SELECT payload FROM outbox WHERE kind = 'image.tags_changed'")
    )
    told = json.loads(event[0])
    assert told["added"] == sorted(board.tags[title].id for title in ("smile", "hair"))
    assert (told["image_id"], told["removed"], told["batch_id"]) == (image_id, [], outcome.batch_id)
    assert [(one["act"], one["link_created"]) for one in told["verdicts"]] == [(Act.IMPLY, True)]


async def test_the_same_request_under_the_same_key_is_answered_once(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    first = await tag(board, image_id, ADD, "smile", key="once")
    assert await tag(board, image_id, ADD, "smile", key="once") == first
    with pytest.raises(Conflict) as caught:
        await tag(board, image_id, REMOVE, "smile", key="once")
    assert caught.value.code == "idempotency_key_reused"


async def test_who_may_not_review_an_image_may_not_tag_it(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000}, board.tagger)
    for who in (board.uploader, board.engineer):
        with pytest.raises(Forbidden):
            await tag(board, image_id, ADD, "smile", by=who)
    with pytest.raises(NotFound):
        await tag(board, 999_999, ADD, "smile", by=board.moderator)


async def test_unknown_tags_change_nothing_at_all(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    smile = board.tags["smile"].id
    for names in (TagNames(ids=(smile, 999_999)), TagNames(ids=(smile,), external_ids=(999_999,))):
        with pytest.raises(InvalidInput) as caught:
            await change_tags(board.store, board.uploader, image_id, ADD, names)
        assert caught.value.code == "unknown_tag"
    assert await board.linked(image_id) == set()
    with pytest.raises(InvalidInput) as caught:
        await change_tags(board.store, board.uploader, image_id, ADD, TagNames(ids=tuple(range(1, 502))))
    assert caught.value.code == "too_many_tags"


async def test_two_pending_rows_of_one_canonical_tag_are_answered_together(board: SmallBoard) -> None:
    """Given rows on a tag and on its alias, when people tag it, then one is approved and one is cleared."""
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 8000})
    eyes, grin = board.tags["blue eyes"].id, board.tags["grin"].id
    await board.store.write(
        lambda tx: tx.execute(
            "UPDATE suggestions SET tag_id = :grin WHERE tag_id = :eyes", grin=grin, eyes=eyes
        )
    )
    outcome = await tag(board, image_id, ADD, "grin")
    assert await board.statuses(image_id) == {"smile": "approved", "grin": "cleared"}
    assert len(outcome.approved) == len(outcome.cleared) == 1
