"""The line of versions that roll backs follow: whatever is promoted again, it leads further back and ends."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from small_board import SmallBoard, version

from orchestrator.errors import Conflict
from orchestrator.records import VersionState
from orchestrator.store import models
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio

NAME = "line"
BACK = 0
"""Among the numbers of versions to promote: a roll back."""


class Undone(Exception):
    """Ends a transaction without a trace."""


async def acted(board: SmallBoard, acts: Sequence[int], *, back: int) -> list[int]:
    """The versions that `back` further roll backs lead to, or as many as there are, after these acts."""
    reached: list[int] = []

    async def work(tx: Transaction) -> None:
        ids = {
            number: await models.insert_version(tx, version(NAME, number), state=VersionState.STAGED)
            for number in range(1, 5)
        }
        for act in acts:
            if act != BACK:
                await models.set_active(tx, ids[act])
            else:
                await step(tx)
        for _ in range(back):
            if (number := await step(tx)) is None:
                break
            reached.append(number)
        raise Undone

    with pytest.raises(Undone):
        await board.store.write(work)
    return reached


async def step(tx: Transaction) -> int | None:
    """Roll back; None when there is nothing before."""
    try:
        return (await models.roll_back(tx, NAME))[1].version
    except Conflict as refusal:
        assert refusal.code == "nothing_before"
        return None


async def test_going_back_goes_further_back(board: SmallBoard) -> None:
    assert await acted(board, [1, 2, 3], back=9) == [2, 1]


async def test_a_version_that_was_promoted_once_more_is_met_once(board: SmallBoard) -> None:
    assert await acted(board, [1, 2, 3, 1], back=9) == [3, 2]
    assert await acted(board, [1, 2, 3, 1, BACK, BACK, 1, 3], back=9) == [1, 2]


@effort(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.integers(BACK, 4), min_size=1, max_size=10))
async def test_no_line_is_a_circle(board: SmallBoard, acts: list[int]) -> None:
    reached = await acted(board, acts, back=9)
    assert len(set(reached)) == len(reached) < 4
