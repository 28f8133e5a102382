"""What the board says of an image: who is asked about it, and what comes back when it is shown again."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from small_board import TITLES, SmallBoard, version

from orchestrator.errors import Forbidden, NotFound
from orchestrator.records import Decision, Eligibility, User, VerdictRequest, VersionState
from orchestrator.review.eligibility import EligibilityOutcome, set_eligibility
from orchestrator.review.service import review
from orchestrator.review.tagging import TagChange, TagNames, change_tags
from orchestrator.store import consistency, models, rules
from orchestrator.tagging.plan import TaggingPlan

pytestmark = pytest.mark.anyio

ACTIVE, SPOILER, REPOST, DELETED = Eligibility
SCORES = {"smile": 9100, "blue_eyes": 8000, "hair": 7000, "long_hair": 6000}


async def say(
    board: SmallBoard, image_id: int, eligibility: Eligibility, *, by: User | None = None
) -> EligibilityOutcome:
    inputs = await board.store.read(lambda tx: rules.plan_inputs(tx, board.settings))
    plan = TaggingPlan.build(inputs)
    return await set_eligibility(board.store, by or board.moderator, image_id, eligibility, plan)


async def decide(board: SmallBoard, image_id: int, title: str, decision: Decision) -> None:
    row = (await board.rows(image_id))[title]
    await review(board.store, board.moderator, image_id, [VerdictRequest(row.id, row.version, decision)])


async def shown(board: SmallBoard, image_id: int) -> dict[str, tuple[object, ...]]:
    """All that people see of an image's suggestions, but for the rows' ids and versions."""
    return {
        title: (row.status, row.score, row.confidence, row.evidence, row.decided_by, row.decided_at)
        for title, row in (await board.rows(image_id)).items()
    }


@pytest.mark.parametrize("hidden", [REPOST, DELETED])
async def test_a_hidden_image_loses_what_is_pending_and_gets_it_back_when_shown(
    board: SmallBoard, hidden: Eligibility
) -> None:
    # Given an image with decided and pending suggestions
    image_id = await board.suggested(SCORES)
    await decide(board, image_id, "smile", Decision.APPROVE)
    await decide(board, image_id, "blue eyes", Decision.REJECT)
    before = await shown(board, image_id)
    # When the board hides it, then nobody is asked about it any more, and what was decided stays
    outcome = await say(board, image_id, hidden)
    assert (outcome.before, outcome.eligibility, outcome.removed) == (ACTIVE, hidden, 2)
    assert await board.statuses(image_id) == {"smile": "approved", "blue eyes": "rejected"}
    await board.assert_counters_equal_recount()
    # And when it is shown again, then all is as it was, from the stored scores alone
    outcome = await say(board, image_id, SPOILER)
    assert (outcome.restored, outcome.queued, outcome.counts.pending) == (2, False, 2)
    assert await shown(board, image_id) == before
    await board.assert_counters_equal_recount()


async def test_a_spoiler_is_asked_about_like_any_other(board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    before = await board.rows(image_id)
    outcome = await say(board, image_id, SPOILER)
    assert (outcome.removed, outcome.restored) == (0, 0)
    assert await board.rows(image_id) == before


async def test_what_was_tagged_meanwhile_is_not_asked_about(board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    await say(board, image_id, DELETED)
    names = TagNames(ids=(board.tags["long hair"].id,))
    await change_tags(board.store, board.moderator, image_id, TagChange.ADD, names)
    await say(board, image_id, ACTIVE)
    assert await board.statuses(image_id) == {"smile": "pending", "blue eyes": "pending"}


async def test_the_rules_of_the_day_decide_what_comes_back(board: SmallBoard) -> None:
    """Given that the version has been taken out of use meanwhile, then what it said does not come back."""
    image_id = await board.suggested(SCORES)
    await say(board, image_id, DELETED)
    await board.store.write(lambda tx: models.retire(tx, board.version_id))
    assert (await say(board, image_id, ACTIVE)).restored == 0


async def test_a_version_that_never_saw_the_image_will(board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    await say(board, image_id, DELETED)
    await board.store.write(lambda tx: models.insert_version(tx, version("other"), state=VersionState.ACTIVE))
    outcome = await say(board, image_id, ACTIVE)
    assert (outcome.queued, outcome.restored) == (True, 4)
    assert (await board.claim(image_id)).id == image_id


async def test_an_image_that_was_never_analysed_waits_for_its_analysis(board: SmallBoard) -> None:
    image_id = await board.register()
    await say(board, image_id, REPOST)
    outcome = await say(board, image_id, ACTIVE)
    assert (outcome.restored, outcome.queued) == (0, False)
    await board.analyse(image_id, SCORES)
    assert len(await board.rows(image_id)) == 4


async def test_only_moderators_say_so_and_of_known_images(board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    for who in (board.uploader, board.tagger, board.engineer):
        with pytest.raises(Forbidden):
            await say(board, image_id, DELETED, by=who)
    with pytest.raises(NotFound):
        await say(board, 999_999, DELETED)


async def test_who_said_what_is_on_record_once(board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    await say(board, image_id, DELETED)
    await say(board, image_id, DELETED)
    told = await board.store.read(
        lambda tx: tx.fetch_rows("SELECT kind FROM outbox WHERE kind = 'image.eligibility_changed'")
    )
    audited = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT actor, action FROM audit_log WHERE subject = :s", s=f"image {image_id}"
        )
    )
    assert (len(told), audited) == (1, [(board.moderator.name, "set_eligibility")])


titles = st.sampled_from(sorted(TITLES.values()))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(Eligibility)),
        st.tuples(st.just("approve"), titles),
        st.tuples(st.just("reject"), titles),
        st.tuples(st.just("add"), st.lists(titles, max_size=3)),
        st.tuples(st.just("remove"), st.lists(titles, max_size=3)),
        st.tuples(st.just("exactly"), st.lists(titles, max_size=3)),
        st.tuples(st.just("analyse"), st.booleans()),
    ),
    max_size=8,
)


@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
async def test_whatever_people_do_the_invariants_hold(
    board: SmallBoard, steps: list[tuple[str, object]]
) -> None:
    """Given verdicts, tagging, hiding and analyses in any order, then counters equal a recount, nobody is
    asked about what the image has, and the log gives every status."""
    image_id = await board.suggested(SCORES)
    for what, how in steps:
        match what:
            case "say":
                await say(board, image_id, how)  # type: ignore[arg-type]
            case "approve" | "reject":
                row = (await board.rows(image_id)).get(how)  # type: ignore[call-overload]
                if row is not None and row.status == "pending":
                    await decide(board, image_id, row.tag.title, Decision(what))
            case "analyse":
                await board.analyse(image_id, SCORES, explicit=bool(how))
            case _:
                ids = tuple(board.tags[title].id for title in how)  # type: ignore[attr-defined]
                await change_tags(board.store, board.moderator, image_id, TagChange(what), TagNames(ids=ids))
    assert await board.store.read(consistency.violations) == ()
