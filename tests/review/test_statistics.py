"""Statistics: sums a moment behind the reviews that equal a recount of what stands."""

import asyncio
import random
from collections import Counter
from datetime import date

import pytest
from queue_board import another_model, fill
from small_board import SmallBoard

from orchestrator.errors import Forbidden, InvalidInput
from orchestrator.records import Decision, Dimension, RejectReason, TagType, VerdictRequest
from orchestrator.review import bulk, bulk_undo
from orchestrator.review.bulk import BulkOrder
from orchestrator.review.confirmation import Confirmations
from orchestrator.review.jobs import JobRunner
from orchestrator.review.service import review_many
from orchestrator.review.statistics import Line, StatisticsRequest, Summer, Table, read_statistics
from orchestrator.review.tagging import TagChange, TagNames, change_tags
from orchestrator.review.undo import undo
from orchestrator.store import consistency, statistics, verdicts
from orchestrator.store.statistics import ALL_TIME, Alike, Sums, gathered
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio

APPROVE, REJECT = Decision.APPROVE, Decision.REJECT
SCORES = {"hair": 9000, "long_hair": 8000, "very_long_hair": 7000, "smile": 6000, "blue_eyes": 5500}


class Died(Exception):
    """A summer that dies in the middle of its transaction."""


async def shown(board: SmallBoard, by: Dimension, **more: object) -> Table:
    request = StatisticsRequest(by=by, **more)  # type: ignore[arg-type]
    return await board.store.read(lambda tx: read_statistics(tx, board.moderator, request))


async def total(board: SmallBoard) -> Sums:
    (line,) = (await shown(board, Dimension.TOTAL)).lines
    return line.sums


async def decide(board: SmallBoard, decision: Decision, *ids: int, reason: RejectReason | None = None) -> int:
    """Decide on rows that nobody has touched; returns the batch."""
    note = "because" if reason is RejectReason.OTHER else None
    wanted = [VerdictRequest(one, 1, decision, reason, note) for one in ids]
    outcome = await review_many(board.store, board.tagger, wanted)
    assert outcome.batch_id is not None
    return outcome.batch_id


async def sum_up(board: SmallBoard) -> int:
    return await Summer(board.store).sum_up()


async def assert_recount(board: SmallBoard) -> None:
    """The sums are what stands in the log, by a statement of this test's own."""
    rows = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT decision, reason, COUNT(*) FROM verdicts WHERE undone_by IS NULL"
            " AND decision IN ('approve', 'reject', 'imply', 'clear') GROUP BY 1, 2"
        )
    )
    real = Counter({(act, reason): count for act, reason, count in rows})
    found = await total(board)
    assert found.approved == real["approve", None]
    assert (found.implied, found.cleared) == (real["imply", None], real["clear", None])
    assert {one: getattr(found, one) for one in RejectReason} == {
        one: real["reject", one] for one in RejectReason
    }
    assert await board.store.read(statistics.differing) == []


async def test_every_dimension_says_who_decided_what_and_how(board: SmallBoard) -> None:
    """Given verdicts of all kinds, when they are summed up, then each dimension tells them apart, most
    decided first, with what is still pending where a counter knows."""
    other = await another_model(board)
    smiles = await fill(board, [9500, 9100, 4000])
    hair = await fill(board, [9500], "hair", version_id=other)
    explored = await fill(board, [3000, 3100], exploration=True)
    await decide(board, APPROVE, smiles[0], hair[0], explored[0])
    await decide(board, REJECT, smiles[1], reason=RejectReason.NOT_WANTED)
    await decide(board, REJECT, explored[1])

    before = await shown(board, Dimension.TOTAL)
    assert (before.lines[0].sums, before.lines[0].pending, before.waiting) == (Sums(), 1, 3)
    assert before.behind_since is not None
    assert await sum_up(board) == 3
    assert await sum_up(board) == 0

    after = await shown(board, Dimension.TOTAL)
    assert (after.waiting, after.behind_since) == (0, None)
    assert after.lines == (
        Line(Sums(approved=3, not_wanted=1, wrong=1, explored_approved=1, explored_rejected=1), pending=1),
    )
    by_tag = (await shown(board, Dimension.TAG)).lines
    assert [(one.tag and one.tag.title, one.sums.decided, one.pending) for one in by_tag] == [
        ("smile", 4, 1),
        ("hair", 1, 0),
    ]
    by_model = (await shown(board, Dimension.MODEL)).lines
    assert [(one.model, one.sums.decided) for one in by_model] == [(("wd14", 1), 4), (("other", 1), 1)]
    (by_type,) = (await shown(board, Dimension.TYPE)).lines
    assert (by_type.type, by_type.sums.decided, by_type.pending) == (TagType.THEME, 5, 1)
    (by_reviewer,) = (await shown(board, Dimension.REVIEWER)).lines
    assert (by_reviewer.reviewer, by_reviewer.sums.approved) == (board.tagger.name, 3)
    buckets = {one.bucket: one for one in (await shown(board, Dimension.BUCKET)).lines}
    assert len(buckets) == 20
    assert (buckets[9500, 10000].sums.approved, buckets[9000, 9500].sums.not_wanted) == (2, 1)
    assert (buckets[4000, 4500].pending, buckets[3000, 3500].sums.decided) == (1, 2)
    (by_day,) = (await shown(board, Dimension.DAY)).lines
    assert by_day.sums == after.lines[0].sums
    await assert_recount(board)


async def test_days_bound_what_is_summed(board: SmallBoard) -> None:
    ids = await fill(board, [9000, 8000, 7000])
    for one, day in zip(ids, (3, 4, 5), strict=True):
        batch = await decide(board, APPROVE, one)
        await board.store.write(
            lambda tx, batch=batch, day=day: tx.execute(
                "UPDATE verdicts SET created_at = :at WHERE batch_id = :id", id=batch, at=f"2026-01-{day:02}"
            )
        )
    await sum_up(board)
    days = (await shown(board, Dimension.DAY)).lines
    assert [one.day for one in days] == [date(2026, 1, 5), date(2026, 1, 4), date(2026, 1, 3)]
    for since, until, approved in ((4, 5, 2), (4, 4, 1), (None, 3, 1), (5, None, 1), (6, 9, 0)):
        period = {
            "since": since and date(2026, 1, since),
            "until": until and date(2026, 1, until),
        }
        (line,) = (await shown(board, Dimension.TOTAL, **period)).lines
        assert line.sums.approved == approved
        tags = (await shown(board, Dimension.TAG, **period)).lines
        assert sum(one.sums.approved for one in tags) == approved
    with pytest.raises(InvalidInput) as wrong:
        await shown(board, Dimension.DAY, since=date(2026, 1, 5), until=date(2026, 1, 4))
    assert wrong.value.code == "bad_period"


async def test_lines_come_page_by_page(board: SmallBoard) -> None:
    """Given tags with different numbers of verdicts, and equal ones, then pages of one show each tag once."""
    titles = {"smile": 3, "hair": 2, "blue eyes": 2, "long hair": 1}
    for title, count in titles.items():
        await decide(board, REJECT, *await fill(board, [9000] * count, title))
    await sum_up(board)
    seen: list[str] = []
    after = None
    while True:
        table = await shown(board, Dimension.TAG, limit=1, after=after)
        seen += [one.tag.title for one in table.lines if one.tag is not None]
        if table.next is None:
            break
        after = table.next
    ties = sorted(("hair", "blue eyes"), key=lambda title: board.tags[title].id)
    assert seen == ["smile", *ties, "long hair"]


async def test_what_is_taken_back_counts_no_more(board: SmallBoard) -> None:
    """Given verdicts with a cascade, when they are undone in part and then whole, before and after they were
    summed up, then the sums are of what stands."""
    image = await board.suggested(SCORES)
    rows = await board.rows(image)
    batch = await decide(board, APPROVE, rows["very long hair"].id, rows["smile"].id)
    await sum_up(board)
    assert await total(board) == Sums(approved=2, cleared=2)
    await undo(board.store, board.moderator, batch, suggestion_ids=[rows["very long hair"].id])
    await sum_up(board)
    assert await total(board) == Sums(approved=1)
    later = await decide(board, REJECT, rows["blue eyes"].id)
    await undo(board.store, board.moderator, later)
    await undo(board.store, board.moderator, batch)
    assert await sum_up(board) == 3
    assert await total(board) == Sums()
    await assert_recount(board)


async def test_the_boards_own_tagging_is_told_apart(board: SmallBoard) -> None:
    image = await board.suggested(SCORES)
    names = TagNames(ids=(board.tags["long hair"].id,))
    tagged = await change_tags(board.store, board.uploader, image, TagChange.ADD, names)
    await sum_up(board)
    assert await total(board) == Sums(implied=1, cleared=1)
    assert tagged.batch_id is not None
    await undo(board.store, board.moderator, tagged.batch_id)
    await sum_up(board)
    assert await total(board) == Sums()


async def test_a_batch_that_grows_is_summed_up_as_it_grows(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a job, when sums are drawn up after each of its chunks, then each of its lines counts once; and
    so when it is taken back by a job."""
    for module in (bulk, bulk_undo):
        monkeypatch.setattr(module, "AT_ONCE", 1)
    monkeypatch.setattr(bulk_undo, "CHUNK", 2)
    monkeypatch.setitem(bulk.judge_chunk.__kwdefaults__, "limit", 2)
    await fill(board, [9000, 8000, 7000, 6000, 5000])
    order, seal = BulkOrder(APPROVE, min_confidence=1), Confirmations.from_settings(board.settings)
    look = await bulk.look(board.store, board.moderator, order, seal)
    assert look.confirmation is not None
    job = await bulk.confirm(board.store, board.moderator, order, look.confirmation, seal)
    runner = JobRunner(board.store, budget=0.001)
    approved = []
    while await runner.work():
        await sum_up(board)
        approved.append((await total(board)).approved)
        await assert_recount(board)
    assert approved[-1] == 5
    assert len(approved) > 1
    await bulk_undo.take_back(board.store, board.moderator, job.batch_id)
    while await runner.work():
        await sum_up(board)
        await assert_recount(board)
    assert await total(board) == Sums()


async def test_a_batch_that_commits_late_is_not_passed_over(board: SmallBoard) -> None:
    """Given a batch whose id was given before another's and that commits after that one was summed up, then
    it is summed up next."""
    ids = await fill(board, [9000, 8000])
    opened, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(tx: Transaction) -> None:
        locked = await verdicts.lock_images(tx, (await verdicts.images_of(tx, [ids[0]])).values())
        rows = await verdicts.rows(tx, [ids[0]])
        batch = await verdicts.open_batch(tx, user_id=board.tagger.id, kind="review")
        entry = verdicts.LogEntry(
            row=rows[ids[0]],
            act=verdicts.Act.REJECT,
            to_status=rows[ids[0]].status,
            reason=RejectReason.WRONG,
        )
        await verdicts.append(tx, batch, [entry], user_id=board.tagger.id, at=locked.now)
        opened.set()
        await go_on.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(board.store.write(slowly))
        await opened.wait()
        await decide(board, APPROVE, ids[1])
        assert await sum_up(board) == 1
        assert await total(board) == Sums(approved=1)
        go_on.set()
    assert await sum_up(board) == 1
    assert await total(board) == Sums(approved=1, wrong=1)


async def test_summers_and_reviewers_at_once_count_everything_once(board: SmallBoard) -> None:
    """Given several who sum up while people decide and undo, and one who dies in the middle, then in the end
    the sums equal a recount."""
    images = [await board.suggested(SCORES) for _ in range(6)]
    batches: list[int] = []
    done = asyncio.Event()

    async def reviewer(number: int) -> None:
        rng = random.Random(number)
        for _ in range(10):
            rows = [row for image in images for row in (await board.rows(image)).values()]
            chosen = rng.sample(rows, 3)
            wanted = [VerdictRequest(row.id, row.version, rng.choice([*Decision])) for row in chosen]
            outcome = await review_many(board.store, board.moderator, wanted)
            if outcome.batch_id is not None:
                batches.append(outcome.batch_id)
            if batches:
                await undo(board.store, board.moderator, rng.choice(batches))

    async def summer() -> None:
        while not done.is_set():
            await sum_up(board)
            await asyncio.sleep(0)

    async def dying() -> None:
        async def half(tx: Transaction) -> None:
            await statistics.sum_up(tx, limit=5)
            raise Died

        while not done.is_set():
            with pytest.raises(Died):
                await board.store.write(half)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        summers = [group.create_task(one) for one in (summer(), summer(), dying())]
        async with asyncio.TaskGroup() as people:
            for number in range(3):
                people.create_task(reviewer(number))
        done.set()
    assert all(one.done() for one in summers)
    await sum_up(board)
    await assert_recount(board)
    assert await board.store.read(consistency.violations) == ()


async def test_sums_that_were_spoiled_are_found_and_drawn_up_anew(board: SmallBoard) -> None:
    await decide(board, APPROVE, *await fill(board, [9000, 8000]))
    await sum_up(board)
    await board.store.write(
        lambda tx: tx.execute("UPDATE review_rollups SET approved = 7 WHERE dimension = 'tag'")
    )
    (found,) = await board.store.read(consistency.violations)
    assert found.invariant == "statistics equal a recount"
    assert any("all time" in one for one in found.examples)
    await board.store.write(statistics.begin_anew)
    assert await board.store.read(consistency.violations) == ()
    await sum_up(board)
    await assert_recount(board)
    assert (await total(board)).approved == 2


async def test_who_may_look(board: SmallBoard) -> None:
    for who in (board.uploader, board.tagger):
        with pytest.raises(Forbidden):
            await board.store.read(lambda tx, who=who: read_statistics(tx, who, StatisticsRequest()))
    await board.store.read(lambda tx: read_statistics(tx, board.engineer, StatisticsRequest()))


def test_a_line_counts_once_in_each_dimension_on_its_day_and_over_all_time() -> None:
    day = date(2026, 1, 5)
    lines = [
        Alike(day, 3, 7, TagType.SOURCE, 19, 5, "approved", True, 4),
        Alike(day, 3, 7, TagType.SOURCE, 19, 5, "approved", False, -1),
        Alike(day, 3, 8, TagType.THEME, 2, 5, "not_wanted", True, 2),
    ]
    found = gathered(lines)
    for when in (day, ALL_TIME):
        assert found[Dimension.TOTAL, when, 0] == Counter(
            approved=3, explored_approved=4, not_wanted=2, explored_rejected=2
        )
        assert found[Dimension.TAG, when, 7] == Counter(approved=3, explored_approved=4)
        assert found[Dimension.TYPE, when, 1] == Counter(not_wanted=2, explored_rejected=2)
    assert len(found) == 2 * (1 + 1 + 2 + 2 + 2 + 1)
