"""A backfill through which worker, Triton, Redis, MariaDB and the keeper are each killed once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TypeVar

import pymysql
from damage import VICTIMS, forget, kill
from outcome import Stored, assert_unharmed
from running_board import RunningBoard, until
from sources import Source
from traffic import Traffic

from orchestrator.backfill import runs
from orchestrator.local.parts import PartName
from orchestrator.settings import load_settings
from orchestrator.store.unit_of_work import Store

T = TypeVar("T")

IMAGES = 300


def with_store(work: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        store = await Store.connect(load_settings())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def test_a_backfill_survives_the_death_of_everything(
    board: RunningBoard, pictures: tuple[Source, ...], undisturbed: Mapping[str, Stored]
) -> None:
    # Given images that were looked at before, some of which failed
    with Traffic(board, pictures, IMAGES, review=False) as traffic:
        traffic.finish(timeout=300)
    first, last = min(traffic.sources), max(traffic.sources)
    ((low, high),) = board.rows(
        "SELECT MIN(id), MAX(id) FROM images WHERE external_id BETWEEN %s AND %s", first, last
    )
    # When all of them are looked at again
    begun = with_store(lambda store: runs.start(store, [f"ids={low}-{high}"]))

    def ended() -> int:
        try:
            rows = board.rows("SELECT done + failed FROM backfills WHERE id = %s", begun.id)
        except pymysql.MySQLError:
            return 0
        return int(str(rows[0][0]))

    # And one part after the other is killed meanwhile
    victims = {
        "worker": lambda: kill(board.child(PartName.WORKER_BACKFILL, "orchestrator.worker")),
        "Triton": lambda: kill(VICTIMS["Triton"](board)),
        "Redis": lambda: kill(VICTIMS["Redis"](board)),
        "what Redis knew": lambda: forget(board),
        "MariaDB": lambda: kill(VICTIMS["MariaDB"](board)),
        "keeper": lambda: kill(VICTIMS["keeper"](board)),
    }
    for number, strike in enumerate(victims.values(), start=1):
        until(
            lambda number=number: ended() >= number * IMAGES // (len(victims) + 2),  # type: ignore[misc]
            f"{number} parts of {len(victims) + 2} of the backfill have ended",
            timeout=120,
        )
        board.heal()
        strike()
    assert ended() < IMAGES, "they were killed too late to mean anything"

    def done() -> bool:
        try:
            return board.rows("SELECT state FROM backfills WHERE id = %s", begun.id) == (("done",),)
        except pymysql.MySQLError:
            return False

    # Then the backfill ends, with every image counted once
    until(done, "the backfill is done", timeout=180)
    expected = [undisturbed[source.name].image[0] for source in traffic.sources.values()]
    assert board.rows("SELECT total, sent, done, failed FROM backfills WHERE id = %s", begun.id) == (
        (IMAGES, 0, expected.count("done"), expected.count("failed")),
    )
    # Each was really looked at again, and the rows are those of an undisturbed run
    ((oldest,),) = board.rows(
        "SELECT MIN(analysed_at) FROM images WHERE state = 'done' AND id BETWEEN %s AND %s", low, high
    )
    assert isinstance(oldest, datetime)
    assert oldest > begun.created_at.replace(tzinfo=None)
    assert_unharmed(board, traffic, undisturbed)
    board.heal()
