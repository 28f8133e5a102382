"""Leases: nobody is handed what another holds, and nothing stays with who went away."""

import asyncio
from collections import Counter

import pytest
from queue_board import another_model, fill
from small_board import SmallBoard

from orchestrator import accounts
from orchestrator.errors import Conflict, Forbidden, NotFound
from orchestrator.records import Decision, Held, QueueOrder, Role, User, VerdictOutcome, VerdictRequest
from orchestrator.review.leases import Claim, claim, release, renew
from orchestrator.review.queues import QueuePage, QueueRequest, read_queue, read_worklist
from orchestrator.review.service import review_many
from orchestrator.store import leases
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio

MINUTES = 300.0


async def claimed(
    board: SmallBoard,
    user: User,
    limit: int = 50,
    *,
    title: str = "smile",
    whole: bool = False,
    key: str | None = None,
    **more: object,
) -> Claim:
    request = QueueRequest(tag_id=board.tags[title].id, limit=limit, **more)  # type: ignore[arg-type]
    return await claim(board.store, user, request, whole_tag=whole, duration=MINUTES, idempotency_key=key)


def ids(found: Claim | QueuePage) -> list[int]:
    return [row.id for row in found.rows]


def lease_id(found: Claim) -> int:
    assert found.lease is not None
    return found.lease.id


async def queue(board: SmallBoard, user: User, held: Held = Held.ANY) -> QueuePage:
    request = QueueRequest(tag_id=board.tags["smile"].id, held=held, limit=200)
    return await board.store.read(lambda tx: read_queue(tx, user, request))


async def run_out(board: SmallBoard, lease: int) -> None:
    """Let a lease be over since a second."""
    await board.store.write(
        lambda tx: tx.execute(
            "UPDATE leases SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE id = :id", id=lease
        )
    )


async def test_eight_who_claim_at_once_never_share_a_row(board: SmallBoard) -> None:
    """Given eight reviewers of one tag, when all claim pages of any size until there is nothing left, then
    every row was handed to exactly one."""
    rows = await fill(board, [4000 + n % 50 for n in range(260)])
    rows += await fill(board, [3000] * 20, exploration=True)
    people = [
        await accounts.create_user(board.store, name=f"reviewer {n}", role=Role.TAGGER) for n in range(8)
    ]

    async def work(number: int) -> list[int]:
        mine: list[int] = []
        while found := ids(
            await claimed(board, people[number], 7 + number, order=list(QueueOrder)[number % 3])
        ):
            mine += found
        return mine

    handed = await asyncio.gather(*(work(number) for number in range(8)))
    assert Counter(row for mine in handed for row in mine) == Counter(rows)
    assert sum(bool(mine) for mine in handed) > 1
    stored = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT r.suggestion_id, l.user_id FROM leased_suggestions r JOIN leases l ON l.id = r.lease_id"
        )
    )
    assert dict(stored) == {
        row: person.id for person, mine in zip(people, handed, strict=True) for row in mine
    }


async def test_a_page_is_handed_out_in_the_order_asked_for_and_once(board: SmallBoard) -> None:
    await fill(board, [6000, 9000, 4800, 7000])
    other = await another_model(board)
    (of_other,) = await fill(board, [5000], version_id=other)

    first = await claimed(board, board.tagger, 2)
    second = await claimed(board, board.tagger, 2, order=QueueOrder.UNCERTAINTY, min_confidence=4900)
    third = await claimed(board, board.moderator, 2, model="wd14")

    assert [row.confidence for row in first.rows] == [9000, 7000]
    assert [row.confidence for row in second.rows] == [5000, 6000]
    assert of_other in ids(second)
    assert [row.confidence for row in third.rows] == [4800]
    assert {row.holder for row in first.rows} == {board.tagger.name}
    assert first.held == ()
    assert [(lease.holder, lease.rows) for lease in third.held] == [(board.tagger.name, 2)] * 2


async def test_a_queue_that_others_hold_is_not_finished(board: SmallBoard) -> None:
    """Given everything held by somebody, then nothing is handed out, and everywhere it says who holds it."""
    rows = await fill(board, [9000, 8000])
    theirs = await claimed(board, board.moderator)
    assert sorted(ids(theirs)) == sorted(rows)

    nothing = await claimed(board, board.tagger)
    assert (nothing.lease, nothing.rows) == (None, ())
    assert [(lease.holder, lease.rows) for lease in nothing.held] == [(board.moderator.name, 2)]

    seen = await queue(board, board.tagger)
    assert sorted(ids(seen)) == sorted(rows)
    assert {(row.holder, row.expires_at) for row in seen.rows} == {
        (board.moderator.name, nothing.held[0].expires_at)
    }
    free = await queue(board, board.tagger, Held.FREE)
    assert (free.rows, free.pending) == ((), 2)
    assert [lease.holder for lease in free.held] == [board.moderator.name]
    assert sorted(ids(await queue(board, board.moderator, Held.MINE))) == sorted(rows)
    assert ids(await queue(board, board.tagger, Held.MINE)) == []

    listed = await board.store.read(lambda tx: read_worklist(tx, board.tagger))
    (row,) = listed.rows
    assert (row.waiting.pending, [lease.rows for lease in row.held]) == (2, [2])
    own = await board.store.read(lambda tx: read_worklist(tx, board.moderator))
    assert own.rows[0].held == ()


async def test_who_lets_a_lease_run_out_loses_it_to_the_next(board: SmallBoard) -> None:
    rows = await fill(board, [9000, 8000, 7000])
    theirs = await claimed(board, board.moderator)
    await run_out(board, lease_id(theirs))

    mine = await claimed(board, board.tagger, 2)
    assert ids(mine) == rows[:2]
    with pytest.raises(Conflict) as late:
        await renew(board.store, board.moderator, lease_id(theirs), duration=MINUTES)
    assert late.value.code == "lease_expired"
    assert ids(await claimed(board, board.moderator)) == rows[2:]
    assert (await release(board.store, board.moderator, lease_id(theirs))) is None
    assert sorted(ids(await queue(board, board.tagger, Held.MINE))) == sorted(rows[:2])


async def test_a_lease_that_is_being_renewed_is_not_taken_over(board: SmallBoard) -> None:
    """Given a lease about to run out, when its holder renews it and another claims before that is stored,
    then the other waits for it and gets nothing."""
    await fill(board, [9000])
    theirs = await claimed(board, board.moderator)
    await run_out(board, lease_id(theirs))
    renewing, waited = asyncio.Event(), asyncio.Event()

    async def slowly(tx: Transaction) -> None:
        await leases.prolong(tx, lease_id(theirs), duration=MINUTES)
        renewing.set()
        await waited.wait()

    async def waiting(tx: Transaction) -> bool:
        ((_, waits),) = await tx.fetch_rows("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
        return int(waits) > 0

    renewal = asyncio.create_task(board.store.write(slowly))
    await renewing.wait()
    taking = asyncio.create_task(claimed(board, board.tagger))
    try:
        while not await board.store.read(waiting):
            assert not taking.done(), taking
    finally:
        waited.set()
    await renewal
    nothing = await taking
    assert nothing.lease is None
    assert [lease.holder for lease in nothing.held] == [board.moderator.name]


async def test_rows_that_somebody_works_on_are_passed_over_without_waiting(board: SmallBoard) -> None:
    first, second = await fill(board, [9000, 8000])
    locked, done = asyncio.Event(), asyncio.Event()

    async def judging(tx: Transaction) -> None:
        await tx.execute("UPDATE suggestions SET version = version + 1 WHERE id = :id", id=first)
        locked.set()
        await done.wait()

    work = asyncio.create_task(board.store.write(judging))
    await locked.wait()
    assert ids(await claimed(board, board.tagger)) == [second]
    done.set()
    await work
    assert ids(await claimed(board, board.tagger)) == [first]


async def test_a_renewed_lease_runs_from_now(board: SmallBoard) -> None:
    await fill(board, [9000])
    mine = await claimed(board, board.tagger)
    assert mine.lease is not None
    longer = await renew(board.store, board.tagger, mine.lease.id, duration=2 * MINUTES)
    assert (longer.expires_at - mine.lease.expires_at).total_seconds() >= MINUTES
    assert (longer.id, longer.rows) == (mine.lease.id, 1)


async def test_what_is_released_is_handed_out_again(board: SmallBoard) -> None:
    rows = await fill(board, [9000, 8000])
    mine = await claimed(board, board.tagger)
    released = await release(board.store, board.tagger, lease_id(mine))
    assert released is not None
    assert released.rows == 2
    assert ids(await claimed(board, board.moderator)) == rows
    for act in (
        release(board.store, board.tagger, lease_id(mine)),
        renew(board.store, board.tagger, lease_id(mine), duration=MINUTES),
    ):
        with pytest.raises(NotFound) as unknown:
            await act
        assert unknown.value.code == "lease_not_found"


async def test_a_lease_is_its_holders_but_a_moderator_may_end_it(board: SmallBoard) -> None:
    await fill(board, [9000])
    theirs = await claimed(board, board.tagger)
    other = await accounts.create_user(board.store, name="another tagger", role=Role.TAGGER)
    for act in (
        release(board.store, other, lease_id(theirs)),
        renew(board.store, other, lease_id(theirs), duration=MINUTES),
        renew(board.store, board.moderator, lease_id(theirs), duration=MINUTES),
    ):
        with pytest.raises(Forbidden) as refused:
            await act
        assert refused.value.code == "not_your_lease"
    assert await release(board.store, board.moderator, lease_id(theirs)) is not None
    assert await board.store.read(leases.live) == []


async def test_a_whole_tag_is_leased_while_nobody_else_holds_any_of_it(board: SmallBoard) -> None:
    await fill(board, [9000, 8000])
    part = await claimed(board, board.moderator, 1)
    refused = await claimed(board, board.tagger, whole=True)
    assert refused.lease is None
    assert [lease.holder for lease in refused.held] == [board.moderator.name]

    await release(board.store, board.moderator, lease_id(part))
    whole = await claimed(board, board.tagger, whole=True)
    assert whole.lease is not None
    assert (whole.lease.whole_tag, whole.lease.rows, whole.rows) == (True, 2, ())
    again = await claimed(board, board.tagger, whole=True)
    assert lease_id(again) == whole.lease.id

    assert (await claimed(board, board.moderator)).lease is None
    assert (await claimed(board, board.moderator, whole=True)).lease is None
    assert (await queue(board, board.moderator, Held.FREE)).rows == ()
    assert len((await queue(board, board.tagger, Held.MINE)).rows) == 2
    listed = await board.store.read(lambda tx: read_worklist(tx, board.moderator))
    assert [(lease.whole_tag, lease.rows) for lease in listed.rows[0].held] == [(True, 2)]

    await run_out(board, whole.lease.id)
    assert len((await claimed(board, board.moderator)).rows) == 2


@pytest.mark.parametrize("run", range(5))
async def test_a_tag_and_a_part_of_it_are_never_handed_to_two(board: SmallBoard, run: int) -> None:
    """Given one who claims a tag and others who claim pages of it at the same moment, then either the one
    has it or the others do."""
    await fill(board, [9000 - n for n in range(12)])
    people = [
        await accounts.create_user(board.store, name=f"reviewer {n}", role=Role.TAGGER) for n in range(4)
    ]
    order = [*people[1:], people[0]] if run % 2 else people
    found = await asyncio.gather(*(claimed(board, person, 4, whole=person is people[0]) for person in order))
    held = await board.store.read(leases.live)
    whole = [lease for lease in held if lease.whole_tag]
    assert len(held) == sum(one.lease is not None for one in found)
    assert not whole or len(held) == 1


async def test_somebody_elses_verdict_on_a_leased_row_counts(board: SmallBoard) -> None:
    """Given a row that one holds, when another decides it, then that stands, the lease holds a row less, and
    the holder's own verdict is a conflict that says who decided."""
    await fill(board, [9000, 8000])
    mine = await claimed(board, board.tagger)
    row = mine.rows[0]
    verdict = VerdictRequest(row.id, row.version, Decision.REJECT)

    theirs = await review_many(board.store, board.moderator, [verdict])
    assert theirs.results[0].outcome is VerdictOutcome.APPLIED
    own = await review_many(board.store, board.tagger, [verdict])
    assert (own.results[0].outcome, own.results[0].decided_by) == (
        VerdictOutcome.CONFLICT,
        board.moderator.name,
    )
    assert [lease.rows for lease in await board.store.read(leases.live)] == [1]


async def test_a_lost_answer_is_given_again_and_nothing_more_is_handed_out(board: SmallBoard) -> None:
    await fill(board, [9000, 8000, 7000])
    first = await claimed(board, board.tagger, 2, key="c-1")
    again = await claimed(board, board.tagger, 2, key="c-1")
    assert again == first
    with pytest.raises(Conflict):
        await claimed(board, board.tagger, 1, key="c-1")
    assert len((await claimed(board, board.moderator)).rows) == 1


async def test_leases_of_long_ago_are_forgotten(board: SmallBoard) -> None:
    await fill(board, [9000])
    old = await claimed(board, board.tagger)
    await board.store.write(
        lambda tx: tx.execute(
            "UPDATE leases SET expires_at = UTC_TIMESTAMP(6) - INTERVAL :kept SECOND", kept=leases.KEPT + 1
        )
    )
    new = await claimed(board, board.moderator)
    assert len(new.rows) == 1
    assert (
        await board.store.read(
            lambda tx: tx.fetch_rows("SELECT id FROM leases WHERE id = :id", id=lease_id(old))
        )
        == []
    )
