"""kill -9 of every process in the middle of a run, with uploads and reviews going on."""

import signal
from collections.abc import Callable, Mapping

import pytest
from outcome import Stored, assert_unharmed
from running_board import RunningBoard
from sources import Source
from traffic import Traffic

from orchestrator.local.parts import PartName
from orchestrator.local.processes import ProcessId

IMAGES = 60

VICTIMS: Mapping[str, Callable[[RunningBoard], ProcessId]] = {
    "worker": lambda board: board.child(PartName.WORKER_LIVE, "orchestrator.worker"),
    "worker's master": lambda board: board.process(PartName.WORKER_LIVE),
    "API": lambda board: board.process(PartName.API),
    "Triton": lambda board: board.process(PartName.TRITON),
    "Triton's backend": lambda board: board.child(PartName.TRITON, "triton_python_backend_stub"),
    "keeper": lambda board: board.process(PartName.KEEPER),
    "MariaDB": lambda board: board.process(PartName.MARIADB),
    "Redis": lambda board: board.process(PartName.REDIS),
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_costs_only_time(
    board: RunningBoard, pictures: tuple[Source, ...], undisturbed: Mapping[str, Stored], victim: str
) -> None:
    # Given a run in its midst
    with Traffic(board, pictures, IMAGES) as traffic:
        traffic.wait_for(IMAGES // 6)
        process = VICTIMS[victim](board)
        # When a process is killed
        process.signal(signal.SIGKILL)
        assert process.wait(5)
        assert traffic.settled() < IMAGES, "it was killed too late to mean anything"
        # Then every call is acknowledged in the end, and every image comes to its end
        traffic.finish()
    # And the rows are those of an undisturbed run, with every acknowledged verdict once
    assert_unharmed(board, traffic, undisturbed)
    board.heal()
