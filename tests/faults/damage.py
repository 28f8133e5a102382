"""The faults: processes killed, kept away or stopped, a queue that forgets, a disk without room."""

import os
import resource
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psutil
import redis
from running_board import RunningBoard

from orchestrator.local.parts import PartName
from orchestrator.local.processes import ProcessId

Find = Callable[[RunningBoard], ProcessId]

VICTIMS: Mapping[str, Find] = {
    "worker": lambda board: board.child(PartName.WORKER_LIVE, "orchestrator.worker"),
    "worker's master": lambda board: board.process(PartName.WORKER_LIVE),
    "API": lambda board: board.process(PartName.API),
    "Triton": lambda board: board.process(PartName.TRITON),
    "Triton's backend": lambda board: board.child(PartName.TRITON, "triton_python_backend_stub"),
    "keeper": lambda board: board.process(PartName.KEEPER),
    "MariaDB": lambda board: board.process(PartName.MARIADB),
    "Redis": lambda board: board.process(PartName.REDIS),
}


def kill(process: ProcessId) -> None:
    """Kill -9, and see it gone."""
    assert process.is_alive()
    process.signal(signal.SIGKILL)
    assert process.wait(10)


@contextmanager
def stopped(process: ProcessId) -> Iterator[None]:
    """Stop a process for the length of the block: its connections stay, and nothing answers on them."""
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


@contextmanager
def away(board: RunningBoard, part: PartName) -> Iterator[None]:
    """Kill a part and keep it from being started again for the length of the block."""
    run = board.stack.run()
    assert run is not None
    process = board.process(part)
    with stopped(run.supervisor):
        kill(process)
        yield


def forget(board: RunningBoard) -> None:
    """Make Redis forget everything."""
    client = redis.Redis.from_url(board.stack.environment()["TAGDESK_REDIS_URL"])
    try:
        assert client.flushall()
    finally:
        client.close()


@contextmanager
def no_room(board: RunningBoard, size: int) -> Iterator[None]:
    """Let the API write no file longer than `size` bytes for the length of the block.

    A limit of the process (RLIMIT_FSIZE) needs no rights and no file system of its own, so it works for root
    and for everybody else alike; writing fails as on a full disk, halfway through the file. The API's log
    begins anew, so that only pictures meet the limit.
    """
    process = psutil.Process(board.process(PartName.API).pid)
    os.truncate(board.stack.instance.log_file(PartName.API), 0)
    before = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        process.rlimit(resource.RLIMIT_FSIZE, before)
