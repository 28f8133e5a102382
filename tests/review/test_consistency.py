"""The invariants of the review hold whatever people and machines do at once; and a breach is found."""

import asyncio
import random

import pytest
from small_board import SmallBoard

from orchestrator.records import Decision, SuggestionStatus, VerdictOutcome, VerdictRequest
from orchestrator.review.service import review_many
from orchestrator.review.undo import undo
from orchestrator.store import consistency
from orchestrator.store.consistency import Violation

pytestmark = pytest.mark.anyio

SCORES = {"hair": 9000, "long_hair": 8000, "very_long_hair": 7000, "smile": 6000, "blue_eyes": 5500}
IMAGES, ROUNDS = 6, 12


async def broken(board: SmallBoard) -> tuple[Violation, ...]:
    return await board.store.read(consistency.violations)


async def test_reviewers_undoers_and_analyses_at_once_break_nothing(board: SmallBoard) -> None:
    # Given images that everybody is at, on a server that refuses stale reads as MariaDB 11.6 does
    images = [await board.suggested(SCORES) for _ in range(IMAGES)]
    acknowledged: list[tuple[int, int]] = []
    batches: list[int] = []

    async def reviewer(number: int) -> None:
        rng = random.Random(number)
        for _ in range(ROUNDS):
            rows = [row for image in images for row in (await board.rows(image)).values()]
            pending = [row for row in rows if row.status is SuggestionStatus.PENDING] or rows
            chosen = rng.sample(pending, min(3, len(pending)))
            wanted = [VerdictRequest(row.id, row.version, rng.choice([*Decision])) for row in chosen]
            outcome = await review_many(board.store, board.moderator, wanted)
            acknowledged.extend(
                (one.suggestion_id, one.version or 0)
                for one in outcome.results
                if one.outcome is VerdictOutcome.APPLIED
            )
            if outcome.batch_id is not None:
                batches.append(outcome.batch_id)

    async def undoer() -> None:
        rng = random.Random(99)
        for _ in range(ROUNDS):
            if batches:
                await undo(board.store, board.moderator, rng.choice(batches))
            await asyncio.sleep(0)

    async def analyser() -> None:
        rng = random.Random(7)
        for _ in range(ROUNDS):
            await board.analyse(rng.choice(images), {name: rng.randint(4000, 9999) for name in SCORES})

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(reviewer(number))
        group.create_task(undoer())
        group.create_task(analyser())

    # Then every invariant holds, and every acknowledged verdict is in the log, once
    assert await broken(board) == ()
    logged = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT suggestion_id, to_version FROM verdicts WHERE decision IN ('approve', 'reject')"
        )
    )
    assert sorted(acknowledged) == sorted((row[0], row[1]) for row in logged)


@pytest.mark.parametrize(
    ("breach", "invariant"),
    [
        ("UPDATE tag_counters SET amount = amount + 1 LIMIT 1", "counters equal a recount"),
        ("DELETE FROM tag_links", "every approved tag is linked"),
        (
            "INSERT INTO tag_links (image_id, tag_id, origin) SELECT image_id, tag_id, 'board'"
            " FROM suggestions WHERE status = 'pending' LIMIT 1",
            "no pending row is of an applied tag or its ancestor",
        ),
        (
            "UPDATE verdicts SET from_status = 'rejected' WHERE decision = 'undo'",
            "the log of a row is unbroken",
        ),
        (
            "UPDATE suggestions SET status = 'rejected' WHERE status = 'approved'",
            "the log gives the status of every row",
        ),
    ],
    ids=["counters", "links", "pending", "log", "statuses"],
)
async def test_a_breach_is_found_and_named(board: SmallBoard, breach: str, invariant: str) -> None:
    # Given a sound board with an approval, an undo and open rows
    image_id = await board.suggested(SCORES)
    rows = await board.rows(image_id)
    for title in ("smile", "blue eyes"):
        row = rows[title]
        outcome = await review_many(
            board.store, board.moderator, [VerdictRequest(row.id, row.version, Decision.APPROVE)]
        )
    assert outcome.batch_id is not None
    await undo(board.store, board.moderator, outcome.batch_id)
    assert await broken(board) == ()
    # When a row is changed behind everybody's back, then it is found
    await board.store.write(lambda tx: tx.execute(breach))
    assert invariant in {one.invariant for one in await broken(board)}
