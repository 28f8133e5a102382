"""kill -9 of every process in the middle of a run, with uploads and reviews going on."""

from collections.abc import Mapping

import pytest
from damage import VICTIMS, kill
from outcome import Stored, assert_unharmed
from running_board import RunningBoard
from sources import Source
from traffic import Traffic

IMAGES = 60


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_costs_only_time(
    board: RunningBoard, pictures: tuple[Source, ...], undisturbed: Mapping[str, Stored], victim: str
) -> None:
    # Given a run in its midst
    with Traffic(board, pictures, IMAGES) as traffic:
        traffic.wait_for(IMAGES // 6)
        # When a process is killed
        kill(VICTIMS[victim](board))
        assert traffic.settled() < IMAGES, "it was killed too late to mean anything"
        # Then every call is acknowledged in the end, and every image comes to its end
        traffic.finish()
    assert traffic.acknowledged
    # And the rows are those of an undisturbed run, with every acknowledged verdict once
    assert_unharmed(board, traffic, undisturbed)
    board.heal()
