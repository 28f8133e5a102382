"""Tags that change under rows that speak of them: aliases, parents, and what becomes of the rows."""

import asyncio

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from small_board import TITLES, SmallBoard

from orchestrator.errors import Forbidden, InvalidInput, NotFound, TagdeskError
from orchestrator.records import Decision, TagType, UndoneAs, User, VerdictRequest
from orchestrator.review import tag_edits
from orchestrator.review.service import review
from orchestrator.review.tag_edits import Aligner, NewTag, TagEdit, TagEditOutcome, create_tag, edit_tag
from orchestrator.review.tagging import TagChange, TagNames, change_tags
from orchestrator.review.undo import undo
from orchestrator.store import alignment, batches, consistency, suggestions, tags
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio


async def edit(board: SmallBoard, title: str, change: TagEdit, *, by: User | None = None) -> TagEditOutcome:
    return await edit_tag(board.store, by or board.moderator, board.tags[title].id, change)


async def alias(board: SmallBoard, title: str, of: str | None) -> TagEditOutcome:
    return await edit(board, title, TagEdit(alias_of=None if of is None else board.tags[of].id))


async def parent(board: SmallBoard, title: str, above: str | None) -> TagEditOutcome:
    return await edit(board, title, TagEdit(parent_id=None if above is None else board.tags[above].id))


async def decide(board: SmallBoard, image_id: int, title: str, decision: Decision) -> None:
    row = (await board.rows(image_id))[title]
    await review(board.store, board.moderator, image_id, [VerdictRequest(row.id, row.version, decision)])


async def add(board: SmallBoard, image_id: int, *titles: str) -> None:
    names = TagNames(ids=tuple(board.tags[title].id for title in titles))
    await change_tags(board.store, board.moderator, image_id, TagChange.ADD, names)


async def assert_sound(board: SmallBoard) -> None:
    assert await board.store.read(consistency.violations) == ()


async def test_pending_rows_of_a_tag_that_becomes_an_alias_move_to_the_canonical_tag(
    board: SmallBoard,
) -> None:
    image_id = await board.suggested({"blue_eyes": 9000})
    before = (await board.rows(image_id))["blue eyes"]
    outcome = await alias(board, "blue eyes", "smile")
    after = (await board.rows(image_id))["smile"]
    # Then the row is the same, at a version that nobody has seen
    assert (after.id, after.version, after.evidence) == (before.id, before.version + 1, before.evidence)
    assert (outcome.aligned.moved, outcome.left) == (1, 0)
    assert outcome.tag.tag.alias_of == board.tags["smile"].id
    await assert_sound(board)
    # And a verdict on what was seen before is a conflict
    stale = VerdictRequest(before.id, before.version, Decision.APPROVE)
    (result,) = (await review(board.store, board.moderator, image_id, [stale])).results
    assert result.outcome == "conflict"


async def test_of_two_rows_of_one_canonical_tag_the_surest_stays_with_the_evidence_of_both(
    board: SmallBoard,
) -> None:
    surer = await board.suggested({"blue_eyes": 9000, "smile": 6000})
    weaker = await board.suggested({"blue_eyes": 6000, "smile": 9000})
    outcome = await alias(board, "blue eyes", "smile")
    for image_id in (surer, weaker):
        (row,) = (await board.rows(image_id)).values()
        assert (row.tag.title, row.confidence) == ("smile", 9000)
        assert {one.external_tag for one in row.evidence} == {"blue_eyes", "smile"}
    assert (outcome.aligned.moved, outcome.aligned.removed) == (1, 2)
    await assert_sound(board)


async def test_nobody_is_asked_again_through_an_alias(board: SmallBoard) -> None:
    """Given a decided row and a pending one that turns out to say the same, then the first answers both."""
    rejected = await board.suggested({"blue_eyes": 9000, "smile": 6000})
    await decide(board, rejected, "smile", Decision.REJECT)
    applied = await board.suggested({"blue_eyes": 9000})
    await add(board, applied, "smile")
    await alias(board, "blue eyes", "smile")
    assert await board.statuses(rejected) == {"smile": "rejected"}
    assert await board.statuses(applied) == {}
    await assert_sound(board)


async def test_a_link_on_the_new_alias_answers_for_the_canonical_tag_and_its_ancestors(
    board: SmallBoard,
) -> None:
    image_id = await board.suggested({"hair": 9000, "long_hair": 6000, "smile": 5000})
    await add(board, image_id, "blue eyes")
    await alias(board, "blue eyes", "long hair")
    assert await board.statuses(image_id) == {"smile": "pending"}
    await assert_sound(board)


async def test_a_new_parent_of_an_applied_tag_is_not_asked_about(board: SmallBoard) -> None:
    below = await board.suggested({"smile": 9000, "blue_eyes": 8000})
    await add(board, below, "very long hair")
    elsewhere = await board.suggested({"smile": 9000})
    outcome = await parent(board, "hair", "smile")
    assert outcome.aligned.removed == 1
    assert await board.statuses(below) == {"blue eyes": "pending"}
    assert await board.statuses(elsewhere) == {"smile": "pending"}
    await assert_sound(board)


async def test_an_approval_whose_tag_now_means_another_is_marked_in_the_log(board: SmallBoard) -> None:
    # Given a suggestion of an alias that was approved, so that the canonical tag was linked
    image_id = await board.suggested({"blue_eyes": 9000})
    await board.store.write(lambda tx: tags.set_alias(tx, board.tags["blue eyes"].id, board.tags["smile"].id))
    await decide(board, image_id, "blue eyes", Decision.APPROVE)
    assert await board.linked(image_id) == {"smile"}
    # When the alias becomes a tag of its own, then its approval stands without its tag, and the log says so
    outcome = await alias(board, "blue eyes", None)
    assert outcome.aligned.unlinked == 1
    assert await board.statuses(image_id) == {"blue eyes": "approved"}
    await assert_sound(board)
    # And bringing the rows in line once more says nothing more
    again = await board.store.write(
        lambda tx: alignment.note(
            tx, board.tags["blue eyes"].id, alias_changed=True, user_id=board.moderator.id
        )
    )
    assert (await tag_edits.bring_in_line(board.store, again))[0].unlinked == 0


async def test_what_a_change_leaves_undone_the_keeper_finishes(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a change that concerns more images than are seen to at once
    monkeypatch.setattr(tag_edits, "AT_ONCE", 2)
    monkeypatch.setattr(tag_edits, "CHUNK", 1)
    image_ids = [await board.suggested({"blue_eyes": 9000}) for _ in range(5)]
    outcome = await alias(board, "blue eyes", "smile")
    assert (outcome.aligned.moved, outcome.left) == (2, 3)
    # When the keeper looks, then the rest follows, and there is nothing left to do
    aligner = Aligner(board.store)
    assert await aligner.finish_changes() == 1
    assert [await board.statuses(image_id) for image_id in image_ids] == [{"smile": "pending"}] * 5
    assert await aligner.finish_changes() == 0
    await assert_sound(board)


async def test_an_analysis_by_rules_that_have_changed_meanwhile_is_stored_by_those_of_now(
    board: SmallBoard,
) -> None:
    # Given an image whose rules ran before a tag became an alias of one that the image has
    image_id = await board.register()
    await add(board, image_id, "smile")
    claimed = await board.claim(image_id)
    await alias(board, "blue eyes", "smile")
    await alias(board, "hair", None)
    assert await board.persist(claimed, {"blue_eyes": 9000, "hair": 8000})
    assert await board.statuses(image_id) == {"hair": "pending"}
    # And of two proposals that have become one the surer is stored
    other = await board.register()
    assert await board.persist(await board.claim(other), {"blue_eyes": 6000, "smile": 7000})
    (row,) = (await board.rows(other)).values()
    assert (row.tag.title, row.confidence, len(row.evidence)) == ("smile", 7000, 2)
    await assert_sound(board)


async def test_a_change_waits_for_what_is_under_way_and_then_finds_its_rows(board: SmallBoard) -> None:
    # Given an analysis that has stored a row and is not committed yet
    image_id = await board.register()
    await add(board, image_id, "smile")
    claimed = await board.claim(image_id)
    stored, may_commit = asyncio.Event(), asyncio.Event()
    found = {"blue_eyes": 9000}

    async def slowly(tx: Transaction) -> None:
        assert await suggestions.persist(tx, claimed, board.analysis(found), board.resolution(found))
        stored.set()
        await may_commit.wait()

    analysis = asyncio.create_task(board.store.write(slowly))
    await stored.wait()
    # When the row's tag becomes an alias of a tag that the image has
    change = asyncio.create_task(alias(board, "blue eyes", "smile"))
    while not (change.done() or await waiting(board)):
        pass
    may_commit.set()
    await analysis
    # Then the change comes after, and nobody is asked
    assert (await change).aligned.removed == 1
    assert await board.statuses(image_id) == {}
    await assert_sound(board)


async def waiting(board: SmallBoard) -> bool:
    """Whether a change of tags waits to have the rules alone."""
    rows = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT 1 FROM information_schema.processlist"
            " WHERE db = DATABASE() AND time_ms > 200"
            " AND info LIKE 'SELECT version FROM rules_version%FOR UPDATE'"
        )
    )
    return bool(rows)


async def test_a_verdict_taken_back_does_not_ask_what_another_row_asks(board: SmallBoard) -> None:
    image_id = await board.suggested({"blue_eyes": 9000, "smile": 8000})
    row = (await board.rows(image_id))["blue eyes"]
    wanted = [VerdictRequest(row.id, row.version, Decision.REJECT)]
    outcome = await review(board.store, board.moderator, image_id, wanted)
    await alias(board, "blue eyes", "smile")
    assert outcome.batch_id is not None
    (result,) = (await undo(board.store, board.moderator, outcome.batch_id)).results
    assert result.outcome is UndoneAs.REDUNDANT
    assert await board.statuses(image_id) == {"blue eyes": "cleared", "smile": "pending"}
    await assert_sound(board)


async def test_changes_that_make_no_sense_change_nothing(board: SmallBoard) -> None:
    someone = await create_tag(board.store, board.moderator, NewTag("someone", TagType.ARTIST))
    smile, hair, long = (board.tags[title].id for title in ("smile", "hair", "long hair"))
    before = await board.store.read(tags.load_all)
    for title, change, code in (
        ("smile", TagEdit(alias_of=smile), "alias_chain"),
        ("blue eyes", TagEdit(alias_of=board.tags["grin"].id), "alias_chain"),
        ("smile", TagEdit(alias_of=someone.tag.id), "alias_type"),
        ("long hair", TagEdit(alias_of=smile), "alias_in_hierarchy"),
        ("hair", TagEdit(parent_id=long), "hierarchy_cycle"),
        ("smile", TagEdit(alias_of=hair, parent_id=hair), "alias_in_hierarchy"),
        ("grin", TagEdit(parent_id=hair), "alias_in_hierarchy"),
        ("smile", TagEdit(parent_id=someone.tag.id), "parent_type"),
        ("smile", TagEdit(title="grin"), "tag_exists"),
        ("smile", TagEdit(title=" "), "bad_title"),
    ):
        with pytest.raises(InvalidInput) as caught:
            await edit(board, title, change)
        assert caught.value.code == code
    with pytest.raises(NotFound):
        await edit_tag(board.store, board.moderator, 999_999, TagEdit(title="x"))
    with pytest.raises(NotFound):
        await edit(board, "smile", TagEdit(parent_id=999_999))
    assert await board.store.read(tags.load_all) == before


async def test_a_leaf_leaves_the_hierarchy_and_becomes_an_alias_at_once(board: SmallBoard) -> None:
    change = TagEdit(parent_id=None, alias_of=board.tags["smile"].id, title="beam")
    outcome = await edit(board, "very long hair", change)
    tag = outcome.tag.tag
    assert (tag.title, tag.alias_of, tag.parent_id) == ("beam", board.tags["smile"].id, None)


async def test_only_moderators_change_tags(board: SmallBoard) -> None:
    for who in (board.uploader, board.tagger, board.engineer):
        with pytest.raises(Forbidden):
            await edit(board, "smile", TagEdit(title="x"), by=who)
        with pytest.raises(Forbidden):
            await create_tag(board.store, who, NewTag("x", TagType.THEME))


async def test_a_tag_is_made_once_under_one_key(board: SmallBoard) -> None:
    new = NewTag("grinning", TagType.THEME, external_id=900, alias_of=board.tags["smile"].id)
    made = await create_tag(board.store, board.moderator, new, idempotency_key="once")
    assert made.tag.alias_of == board.tags["smile"].id
    assert await create_tag(board.store, board.moderator, new, idempotency_key="once") == made
    with pytest.raises(InvalidInput) as caught:
        await create_tag(board.store, board.moderator, new)
    assert caught.value.code == "tag_exists"


titles = st.sampled_from(sorted(TITLES.values()))
labels = st.sampled_from(["hair", "long_hair", "very_long_hair", "smile", "blue_eyes"])
scores = st.dictionaries(labels, st.integers(4_000, 10_000), min_size=1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("alias"), titles, st.none() | titles),
        st.tuples(st.just("parent"), titles, st.none() | titles),
        st.tuples(st.just("tag"), titles, st.sampled_from(TagChange)),
        st.tuples(st.just("decide"), titles, st.sampled_from(Decision)),
        st.tuples(st.just("analyse"), scores, st.booleans()),
        st.tuples(st.just("undo"), st.integers(0, 3), st.none()),
    ),
    min_size=1,
    max_size=10,
)


async def take(board: SmallBoard, image_ids: list[int], step: tuple[str, object, object]) -> None:
    """Do one thing to all images, as far as it can be done."""
    match step:
        case "alias", str(title), of:
            await alias(board, title, of)  # type: ignore[arg-type]
        case "parent", str(title), above:
            await parent(board, title, above)  # type: ignore[arg-type]
        case "tag", str(title), TagChange() as change:
            for image_id in image_ids:
                names = TagNames(ids=(board.tags[title].id,))
                await change_tags(board.store, board.moderator, image_id, change, names)
        case "decide", str(title), Decision() as decision:
            for image_id in image_ids:
                row = (await board.rows(image_id)).get(title)
                if row is not None:
                    wanted = [VerdictRequest(row.id, row.version, decision)]
                    await review(board.store, board.moderator, image_id, wanted)
        case "undo", int(back), _:
            known = await board.store.read(lambda tx: batches.of_user(tx, board.moderator.id, limit=back + 1))
            if len(known) > back and known[back].kind != "undo":
                await undo(board.store, board.moderator, known[back].id)
        case "analyse", dict(found), bool(explicit):
            for image_id in image_ids:
                await board.analyse(image_id, found, explicit=explicit)


async def reset(board: SmallBoard) -> None:
    """Undo what other examples did to the tags."""
    for title in TITLES.values():
        await alias(board, title, None)
        await parent(board, title, None)
    await parent(board, "long hair", "hair")
    await parent(board, "very long hair", "long hair")


@effort(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, first=scores, second=scores)
async def test_whatever_becomes_of_tags_the_invariants_hold(
    board: SmallBoard,
    steps: list[tuple[str, object, object]],
    first: dict[str, int],
    second: dict[str, int],
) -> None:
    """Given changes of tags, tagging, verdicts and analyses in any order, then counters equal a recount,
    nobody is asked about what an image has or through two rows at once, and the log gives every status."""
    await reset(board)
    image_ids = [await board.suggested(first), await board.suggested(second)]
    for step in steps:
        try:
            await take(board, image_ids, step)
        except InvalidInput as error:
            assert error.code.startswith(("alias", "hierarchy"))
    await assert_sound(board)
    twice = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT s.image_id, COALESCE(t.alias_of, t.id) AS canonical FROM suggestions s"
            " JOIN tags t ON t.id = s.tag_id WHERE s.status = 'pending'"
            " GROUP BY s.image_id, canonical HAVING COUNT(*) > 1"
        )
    )
    assert twice == []


async def test_people_and_models_at_work_while_tags_change(board: SmallBoard) -> None:
    """Given analyses, verdicts and tagging of the same images beside changes of the tags that they speak of,
    when all have ended, then the invariants hold."""
    everything = {"hair": 8000, "long_hair": 7000, "very_long_hair": 6000, "smile": 8500, "blue_eyes": 7500}
    image_ids = [await board.suggested(everything) for _ in range(6)]

    async def analysing() -> None:
        for _ in range(4):
            for image_id in image_ids:
                await board.analyse(image_id, everything, explicit=True)

    async def deciding() -> None:
        for turn in range(8):
            for image_id in image_ids:
                for row in (await board.rows(image_id)).values():
                    decision = (Decision.APPROVE, Decision.REJECT)[(turn + row.id) % 5 == 0]
                    wanted = [VerdictRequest(row.id, row.version, decision)]
                    await review(board.store, board.moderator, image_id, wanted)
                    break

    async def tagging() -> None:
        for turn in range(8):
            for image_id in image_ids:
                title = sorted(TITLES.values())[(turn + image_id) % len(TITLES)]
                names = TagNames(ids=(board.tags[title].id,))
                await change_tags(board.store, board.moderator, image_id, tuple(TagChange)[turn % 3], names)

    async def changing() -> None:
        for _ in range(4):
            for what, title, other in (
                (alias, "blue eyes", "smile"),
                (parent, "hair", "smile"),
                (alias, "blue eyes", "long hair"),
                (parent, "hair", None),
                (alias, "blue eyes", None),
            ):
                await what(board, title, other)

    done = await asyncio.gather(analysing(), deciding(), tagging(), changing(), return_exceptions=True)
    assert [one for one in done if isinstance(one, Exception) and not isinstance(one, TagdeskError)] == []
    assert [one for one in done if isinstance(one, TagdeskError)] == []
    await assert_sound(board)
