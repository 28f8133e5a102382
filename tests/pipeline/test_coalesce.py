"""Single calls become calls for many, and nobody suffers for another's item."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pipeline.coalesce import Coalescer

pytestmark = pytest.mark.anyio


class Desk:
    """Work that doubles numbers, refuses negative ones, and can be held up."""

    def __init__(self, *, most: int = 4, parallel: int = 1, linger: float = 0.0) -> None:
        self.calls: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.double = Coalescer[int, int](
            self._work,
            most=lambda: most,
            parallel=parallel,
            shared=lambda error: isinstance(error, ConnectionError),
            linger=linger,
        )

    async def _work(self, items: Sequence[int]) -> Sequence[int]:
        self.calls.append(list(items))
        await self.open.wait()
        if any(item < -100 for item in items):
            raise ConnectionError("away")
        if any(item < 0 for item in items):
            raise ValueError(f"negative: {items}")
        return [2 * item for item in items]

    async def ask(self, *items: int, alone: Sequence[int] = ()) -> list[int | BaseException]:
        asked = [asyncio.create_task(self.double.submit(item, alone=item in alone)) for item in items]
        await asyncio.sleep(0)
        self.open.set()
        return await asyncio.gather(*asked, return_exceptions=True)


async def test_what_waits_while_one_is_under_way_goes_together() -> None:
    # Given work that is held up with the first item
    desk = Desk()
    desk.open.clear()
    # When others come meanwhile
    answers = await desk.ask(1, 2, 3, 4, 5, 6)
    # Then the first went at once and alone, the others by as many as a call may have
    assert answers == [2, 4, 6, 8, 10, 12]
    assert desk.calls == [[1], [2, 3, 4, 5], [6]]


async def test_with_time_to_linger_the_first_waits_for_company() -> None:
    # Given work that lingers, for longer than the test would wait
    desk = Desk(linger=3600)
    # When as many come as a call may have
    answers = await desk.ask(1, 2, 3, 4)
    # Then they went together, and at once
    assert answers == [2, 4, 6, 8]
    assert desk.calls == [[1, 2, 3, 4]]


async def test_who_lingers_in_vain_goes_all_the_same() -> None:
    # Given work that lingers for a moment
    desk = Desk(linger=0.01)
    # When too few come to fill a call
    # Then they are answered
    assert await desk.ask(1, 2) == [2, 4]
    assert desk.calls == [[1, 2]]


async def test_who_keeps_to_himself_goes_alone_and_at_once() -> None:
    # Given an item that was to blame for something before
    desk = Desk(linger=3600)
    # When it comes among others that fill a call with it
    answers = await desk.ask(1, 7, 2, 3, 4, 5, alone=[7])
    # Then it had a call of its own
    assert answers == [2, 14, 4, 6, 8, 10]
    assert [7] in desk.calls


async def test_one_bad_item_fails_alone() -> None:
    # Given a call with one item that is refused
    desk = Desk(linger=3600)
    # When it comes with three others
    first, bad, third, fourth = await desk.ask(1, -2, 3, 4)
    # Then only that one fails: each was tried again alone
    assert (first, third, fourth) == (2, 6, 8)
    assert isinstance(bad, ValueError)
    assert desk.calls == [[1, -2, 3, 4], [1], [-2], [3], [4]]


async def test_an_error_that_concerns_all_is_everybodys() -> None:
    # Given work that nobody can have just now
    desk = Desk(linger=3600)
    # When four come
    answers = await desk.ask(-101, 1, 2, 3)
    # Then all hear it, and nothing is asked again
    assert all(isinstance(answer, ConnectionError) for answer in answers)
    assert len(desk.calls) == 1


async def test_who_leaves_takes_the_item_back() -> None:
    # Given two that wait behind one under way
    desk = Desk()
    desk.open.clear()
    first = asyncio.create_task(desk.double.submit(1))
    leaving = asyncio.create_task(desk.double.submit(2))
    staying = asyncio.create_task(desk.double.submit(3))
    await asyncio.sleep(0)
    # When one of them is cancelled
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    desk.open.set()
    # Then it is not asked about
    assert await asyncio.gather(first, staying) == [2, 6]
    assert desk.calls == [[1], [3]]


@given(
    items=st.lists(st.integers(-50, 50), max_size=30),
    alone=st.sets(st.integers(-50, 50), max_size=5),
    most=st.integers(1, 6),
    parallel=st.integers(1, 3),
    linger=st.sampled_from([0.0, 0.001]),
)
def test_everybody_gets_the_own_answer_whatever_the_company(
    items: list[int], alone: set[int], most: int, parallel: int, linger: float
) -> None:
    async def run() -> tuple[list[int | BaseException], list[list[int]]]:
        desk = Desk(most=most, parallel=parallel, linger=linger)
        return await desk.ask(*items, alone=sorted(alone)), desk.calls

    answers, calls = asyncio.run(run())
    for item, answer in zip(items, answers, strict=True):
        assert isinstance(answer, ValueError) if item < 0 else answer == 2 * item
    assert all(len(call) <= most for call in calls)
    assert all(len(call) == 1 for call in calls if alone.intersection(call))
