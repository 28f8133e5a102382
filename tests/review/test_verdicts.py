"""Reviewing an image: what a verdict changes, what it refuses, and what it says."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from small_board import TITLES, SmallBoard

from orchestrator.errors import Conflict, Forbidden, InvalidInput, NotFound
from orchestrator.records import (
    Decision,
    RejectReason,
    ReviewOutcome,
    Role,
    SuggestionCounts,
    User,
    VerdictOutcome,
    VerdictRequest,
    VerdictResult,
)
from orchestrator.review.service import review
from orchestrator.store import links
from orchestrator.store.transaction import Row

pytestmark = pytest.mark.anyio

APPROVE, REJECT = Decision.APPROVE, Decision.REJECT


async def request(board: SmallBoard, image_id: int, title: str, decision: Decision) -> VerdictRequest:
    """A verdict on what the reviewer sees now."""
    row = (await board.rows(image_id))[title]
    return VerdictRequest(row.id, row.version, decision)


async def decide(
    board: SmallBoard, image_id: int, title: str, decision: Decision, actor: User | None = None
) -> VerdictResult:
    wanted = await request(board, image_id, title, decision)
    outcome = await review(board.store, actor or board.moderator, image_id, [wanted])
    return outcome.results[0]


async def log(board: SmallBoard) -> list[Row]:
    return await board.store.read(lambda tx: tx.fetch_all("SELECT * FROM verdicts ORDER BY id"))


async def events(board: SmallBoard) -> list[dict[str, object]]:
    rows = await board.store.read(lambda tx: tx.fetch_all("SELECT kind, payload FROM outbox ORDER BY id"))
    assert {row["kind"] for row in rows} <= {"suggestions.reviewed"}
    return [json.loads(row["payload"]) for row in rows]


async def test_approving_links_the_tag_and_says_so(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 8000})

    wanted = await request(board, image_id, "smile", APPROVE)
    outcome = await review(board.store, board.moderator, image_id, [wanted])

    (result,) = outcome.results
    assert (result.outcome, result.status, result.version) == (VerdictOutcome.APPLIED, "approved", 2)
    assert (result.tag, result.linked, result.cleared) == (board.tags["smile"], True, ())
    assert result.decided_by == board.moderator.name
    assert outcome.counts == SuggestionCounts(pending=1, approved=1, rejected=0)
    row = (await board.rows(image_id))["smile"]
    assert (row.status, row.version, row.decided_by) == ("approved", 2, board.moderator.name)
    assert row.decided_at == result.decided_at
    assert await board.linked(image_id) == {"smile"}
    await board.assert_counters_equal_recount()


async def test_every_verdict_is_logged_with_what_the_reviewer_saw(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    row = (await board.rows(image_id))["smile"]
    verdict = VerdictRequest(row.id, row.version, REJECT, RejectReason.OTHER, "a grimace")

    outcome = await review(board.store, board.tagger, image_id, [verdict])

    (line,) = await log(board)
    seen = {
        "batch_id": outcome.batch_id,
        "suggestion_id": row.id,
        "image_id": image_id,
        "tag_id": board.tags["smile"].id,
        "user_id": board.tagger.id,
        "decision": "reject",
        "reason": "other",
        "note": "a grimace",
        "from_status": "pending",
        "to_status": "rejected",
        "from_version": 1,
        "to_version": 2,
        "score": 9000,
        "model_version_id": board.version_id,
        "undone_by": None,
    }
    assert {name: line[name] for name in seen} == seen


async def test_a_review_leaves_one_event_for_the_outside(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 8000})
    wanted = [await request(board, image_id, title, APPROVE) for title in ("smile", "blue eyes")]

    outcome = await review(board.store, board.moderator, image_id, wanted)

    (event,) = await events(board)
    assert (event["batch_id"], event["user_id"]) == (outcome.batch_id, board.moderator.id)
    assert {verdict["image_id"] for verdict in event["verdicts"]} == {image_id}
    assert [item["linked_tag_id"] for item in event["verdicts"]] == [  # type: ignore[index, attr-defined]
        board.tags["smile"].id,
        board.tags["blue eyes"].id,
    ]


async def test_a_rejection_without_a_reason_means_wrong(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})

    result = await decide(board, image_id, "smile", REJECT)

    assert (result.status, result.linked) == ("rejected", False)
    assert [line["reason"] for line in await log(board)] == ["wrong"]
    assert await board.linked(image_id) == set()


async def test_approving_a_child_clears_its_pending_ancestors(board: SmallBoard) -> None:
    image_id = await board.suggested({"hair": 9000, "long_hair": 8000, "very_long_hair": 7000})
    rows = await board.rows(image_id)

    result = await decide(board, image_id, "very long hair", APPROVE)

    assert set(result.cleared) == {rows["hair"].id, rows["long hair"].id}
    assert await board.statuses(image_id) == {
        "hair": "cleared",
        "long hair": "cleared",
        "very long hair": "approved",
    }
    cascades = [line for line in await log(board) if line["decision"] == "clear"]
    assert {line["cause_suggestion_id"] for line in cascades} == {result.suggestion_id}
    assert await board.linked(image_id) == {"very long hair"}
    await board.assert_counters_equal_recount()


async def test_explicit_verdicts_come_before_cascades_in_any_order(board: SmallBoard) -> None:
    image_id = await board.suggested({"hair": 9000, "long_hair": 8000, "very_long_hair": 7000})
    titles = [("very long hair", APPROVE), ("hair", APPROVE), ("long hair", REJECT)]
    wanted = [await request(board, image_id, title, decision) for title, decision in titles]

    outcome = await review(board.store, board.moderator, image_id, wanted)

    assert {result.outcome for result in outcome.results} == {VerdictOutcome.APPLIED}
    assert await board.statuses(image_id) == {
        "hair": "approved",
        "long hair": "rejected",
        "very long hair": "approved",
    }
    await board.assert_counters_equal_recount()


async def make_alias_of_long_hair(board: SmallBoard) -> None:
    """`blue eyes`, which has suggestions, turns out to be a synonym of `long hair`."""
    await board.store.write(
        lambda tx: tx.execute(
            "UPDATE tags SET alias_of = :canonical WHERE id = :id",
            canonical=board.tags["long hair"].id,
            id=board.tags["blue eyes"].id,
        )
    )


async def test_approving_an_alias_links_its_canonical_tag(board: SmallBoard) -> None:
    image_id = await board.suggested({"blue_eyes": 9000, "long_hair": 8000, "hair": 7000})
    await make_alias_of_long_hair(board)

    result = await decide(board, image_id, "blue eyes", APPROVE)

    assert result.tag is not None
    assert result.tag.title == "long hair"
    assert await board.linked(image_id) == {"long hair"}
    assert await board.statuses(image_id) == {
        "blue eyes": "approved",
        "long hair": "cleared",
        "hair": "cleared",
    }
    await board.assert_counters_equal_recount()


async def test_two_names_of_one_tag_make_one_link(board: SmallBoard) -> None:
    image_id = await board.suggested({"blue_eyes": 9000, "long_hair": 8000})
    await make_alias_of_long_hair(board)
    wanted = [await request(board, image_id, title, APPROVE) for title in ("blue eyes", "long hair")]

    outcome = await review(board.store, board.moderator, image_id, wanted)

    assert [result.linked for result in outcome.results] == [True, False]
    assert await board.linked(image_id) == {"long hair"}
    await board.assert_counters_equal_recount()


async def test_a_tag_that_is_linked_already_is_approved_without_a_new_link(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    smile = board.tags["smile"].id
    await board.store.write(
        lambda tx: links.link(tx, image_id, [smile], user_id=None, origin=links.LinkOrigin.BOARD)
    )

    result = await decide(board, image_id, "smile", APPROVE)

    assert (result.outcome, result.linked) == (VerdictOutcome.APPLIED, False)


async def test_the_same_decision_again_changes_nothing(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    wanted = await request(board, image_id, "smile", APPROVE)
    first = await review(board.store, board.moderator, image_id, [wanted])

    again = await review(board.store, board.moderator, image_id, [wanted])

    (result,) = again.results
    assert (result.outcome, result.status, result.version) == (VerdictOutcome.UNCHANGED, "approved", 2)
    assert result.decided_at == first.results[0].decided_at
    assert again.batch_id is None
    assert len(await log(board)) == len(await events(board)) == 1
    await board.assert_counters_equal_recount()


async def test_a_stale_version_is_refused_and_the_rest_goes_through(board: SmallBoard) -> None:
    # Given a reviewer who looks at two rows, one of which another analysis then changes
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 8000})
    wanted = [await request(board, image_id, title, APPROVE) for title in ("smile", "blue eyes")]
    await board.analyse(image_id, {"smile": 6000, "blue_eyes": 8000})

    outcome = await review(board.store, board.moderator, image_id, wanted)

    stale, fine = outcome.results
    assert (stale.outcome, stale.status, stale.version) == (VerdictOutcome.CONFLICT, "pending", 2)
    assert fine.outcome is VerdictOutcome.APPLIED
    assert await board.statuses(image_id) == {"smile": "pending", "blue eyes": "approved"}
    await board.assert_counters_equal_recount()


async def test_a_lost_race_names_who_decided_what_and_when(board: SmallBoard) -> None:
    # Given two reviewers who see the same row
    image_id = await board.suggested({"smile": 9000})
    wanted = await request(board, image_id, "smile", APPROVE)
    against = VerdictRequest(wanted.suggestion_id, wanted.version, REJECT)

    # When both decide at once
    outcomes = await asyncio.gather(
        review(board.store, board.moderator, image_id, [wanted]),
        review(board.store, board.tagger, image_id, [against]),
    )

    # Then one verdict stands, and the other hears whose it is
    results = [outcome.results[0] for outcome in outcomes]
    (winner,) = (result for result in results if result.outcome is VerdictOutcome.APPLIED)
    (loser,) = (result for result in results if result.outcome is VerdictOutcome.CONFLICT)
    assert (loser.status, loser.version) == (winner.status, winner.version)
    assert (loser.decided_by, loser.decided_at) == (winner.decided_by, winner.decided_at)
    assert len(await log(board)) == 1
    await board.assert_counters_equal_recount()


async def test_a_decided_row_is_not_decided_again_by_another(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    await decide(board, image_id, "smile", APPROVE)

    for decision in Decision:
        result = await decide(board, image_id, "smile", decision, board.tagger)
        assert (result.outcome, result.decided_by) == (VerdictOutcome.CONFLICT, board.moderator.name)

    assert await board.linked(image_id) == {"smile"}


async def test_reviewers_and_an_analysis_at_once_leave_everything_consistent(board: SmallBoard) -> None:
    # Given several images with the same tags, each reviewed by two people while it is analysed again
    scores = {"hair": 9000, "long_hair": 8000, "smile": 7000, "blue_eyes": 6000}
    ids = [await board.suggested(scores) for _ in range(6)]

    async def judge(image_id: int, actor: User, decision: Decision) -> list[VerdictOutcome]:
        rows = await board.rows(image_id)
        wanted = [VerdictRequest(row.id, row.version, decision) for row in rows.values()]
        outcome = await review(board.store, actor, image_id, wanted)
        return [result.outcome for result in outcome.results]

    outcomes = await asyncio.gather(
        *(judge(image_id, board.moderator, APPROVE) for image_id in ids),
        *(judge(image_id, board.tagger, REJECT) for image_id in reversed(ids)),
        *(board.analyse(image_id, scores | {"smile": 7500}) for image_id in ids),
    )

    # Then each row was decided at most once, and every count is right
    applied = [outcome for part in outcomes if part for outcome in part if outcome is VerdictOutcome.APPLIED]
    decided = [line for line in await log(board) if line["decision"] != "clear"]
    assert len(applied) == len(decided)
    assert len({line["suggestion_id"] for line in decided}) == len(decided)
    await board.assert_counters_equal_recount()


async def test_an_unknown_suggestion_or_one_of_another_image_is_not_found(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    other = await board.suggested({"smile": 9000})
    foreign = await request(board, other, "smile", APPROVE)

    outcome = await review(board.store, board.moderator, image_id, [foreign, VerdictRequest(404, 1, APPROVE)])

    assert [result.outcome for result in outcome.results] == [VerdictOutcome.NOT_FOUND] * 2
    assert await board.statuses(other) == {"smile": "pending"}


async def test_an_uploader_reviews_own_images_only(board: SmallBoard) -> None:
    own = await board.suggested({"smile": 9000}, board.uploader)
    anothers = await board.suggested({"smile": 9000}, board.tagger)

    assert (await decide(board, own, "smile", APPROVE, board.uploader)).outcome is VerdictOutcome.APPLIED
    with pytest.raises(Forbidden):
        await decide(board, anothers, "smile", APPROVE, board.uploader)
    assert await board.statuses(anothers) == {"smile": "pending"}


@pytest.mark.parametrize("role", [Role.ENGINEER])
async def test_roles_that_do_not_review_are_forbidden(board: SmallBoard, role: Role) -> None:
    image_id = await board.suggested({"smile": 9000}, board.engineer)

    with pytest.raises(Forbidden):
        await decide(board, image_id, "smile", APPROVE, board.engineer)


async def test_an_unknown_image_is_not_found(board: SmallBoard) -> None:
    with pytest.raises(NotFound):
        await review(board.store, board.moderator, 404, [VerdictRequest(1, 1, APPROVE)])


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ([], "bad_review_size"),
        ([VerdictRequest(n, 1, APPROVE) for n in range(501)], "bad_review_size"),
        ([VerdictRequest(1, 1, APPROVE), VerdictRequest(1, 1, REJECT)], "judged_twice"),
        ([VerdictRequest(1, 1, APPROVE, RejectReason.WRONG)], "bad_reason"),
        ([VerdictRequest(1, 1, REJECT, RejectReason.OTHER)], "note_missing"),
        ([VerdictRequest(1, 1, REJECT, RejectReason.OTHER, " ")], "note_missing"),
        ([VerdictRequest(1, 1, REJECT, RejectReason.WRONG, "x" * 501)], "note_too_long"),
    ],
)
async def test_a_senseless_review_is_refused_whole(
    board: SmallBoard, requests: list[VerdictRequest], code: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await review(board.store, board.moderator, 1, requests)

    assert caught.value.code == code


async def test_a_repeat_under_the_same_key_gets_the_first_answer(board: SmallBoard) -> None:
    image_id = await board.suggested({"hair": 9000, "long_hair": 8000})
    wanted = [await request(board, image_id, "long hair", APPROVE), VerdictRequest(404, 1, APPROVE)]
    first = await review(board.store, board.moderator, image_id, wanted, idempotency_key="k1")

    again = await review(board.store, board.moderator, image_id, wanted, idempotency_key="k1")

    assert again == first
    assert len(await events(board)) == 1


async def test_repeats_at_once_are_applied_once(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    wanted = [await request(board, image_id, "smile", APPROVE)]

    answers: list[ReviewOutcome] = await asyncio.gather(
        *(review(board.store, board.moderator, image_id, wanted, idempotency_key="k1") for _ in range(5))
    )

    assert answers.count(answers[0]) == 5
    assert answers[0].results[0].outcome is VerdictOutcome.APPLIED
    assert len(await log(board)) == 1


async def test_a_key_belongs_to_one_request_of_one_person(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 9000})
    smile, eyes = [await request(board, image_id, title, APPROVE) for title in ("smile", "blue eyes")]
    await review(board.store, board.moderator, image_id, [smile], idempotency_key="k1")

    with pytest.raises(Conflict) as caught:
        await review(board.store, board.moderator, image_id, [eyes], idempotency_key="k1")
    assert caught.value.code == "idempotency_key_reused"
    assert (await board.statuses(image_id))["blue eyes"] == "pending"

    others = await review(board.store, board.tagger, image_id, [eyes], idempotency_key="k1")
    assert others.results[0].outcome is VerdictOutcome.APPLIED


async def test_a_refused_review_leaves_its_key_free(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000}, board.tagger)
    wanted = [await request(board, image_id, "smile", APPROVE)]
    with pytest.raises(Forbidden):
        await review(board.store, board.uploader, image_id, wanted, idempotency_key="k1")

    mine = await board.suggested({"smile": 9000}, board.uploader)
    own = [await request(board, mine, "smile", APPROVE)]
    outcome = await review(board.store, board.uploader, mine, own, idempotency_key="k1")

    assert outcome.results[0].outcome is VerdictOutcome.APPLIED


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_has_a_sensible_length(board: SmallBoard, key: str) -> None:
    image_id = await board.suggested({"smile": 9000})
    wanted = [await request(board, image_id, "smile", APPROVE)]

    with pytest.raises(InvalidInput):
        await review(board.store, board.moderator, image_id, wanted, idempotency_key=key)


verdicts = st.lists(
    st.tuples(
        st.sampled_from(sorted(TITLES.values())), st.sampled_from(Decision), st.integers(0, 1), st.booleans()
    ),
    max_size=8,
)


@effort(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=verdicts)
async def test_the_log_replayed_gives_every_status_and_no_pending_row_is_redundant(
    board: SmallBoard, steps: list[tuple[str, Decision, int, bool]]
) -> None:
    names = {"hair": 9000, "long_hair": 8000, "very_long_hair": 7000, "smile": 6000, "blue_eyes": 5000}
    image_id = await board.suggested(names)
    people = (board.moderator, board.tagger)
    before = {row.id: str(row.status) for row in (await board.rows(image_id)).values()}

    for title, decision, person, keyed in steps:
        wanted = await request(board, image_id, title, decision)
        key = f"{image_id} {title} {decision}" if keyed else None
        try:
            await review(board.store, people[person], image_id, [wanted], idempotency_key=key)
        except Conflict as error:
            assert error.code == "idempotency_key_reused"

    replayed = dict(before)
    for line in await log(board):
        if line["image_id"] == image_id:
            assert replayed[line["suggestion_id"]] == line["from_status"]
            replayed[line["suggestion_id"]] = line["to_status"]
    rows = await board.rows(image_id)
    assert replayed == {row.id: str(row.status) for row in rows.values()}
    assert await board.linked(image_id) == {title for title, row in rows.items() if row.status == "approved"}
    chain = ["hair", "long hair", "very long hair"]
    deepest = max((chain.index(title) for title in chain if rows[title].status == "approved"), default=0)
    assert not [title for title in chain[:deepest] if rows[title].status == "pending"]
    await board.assert_counters_equal_recount()
