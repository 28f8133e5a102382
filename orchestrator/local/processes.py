"""Processes by identity: a number and a start time, since numbers come again."""

import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.local.instance import MARKER_VARIABLE

_POLL = 0.05


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, never another one that got its number later. `started`: seconds since the epoch."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """Return the identity of the process that has this number now."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def is_alive(self) -> bool:
        """Whether it still runs; one that ended and only waits to be noticed does not."""
        try:
            process = psutil.Process(self.pid)
            # The clock's last digits differ between two readings of the boot time.
            same = abs(float(process.create_time()) - self.started) < 1
            return same and str(process.status()) != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended; false when it has not within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True


def marked(marker: str) -> tuple[ProcessId, ...]:
    """Return the processes whose environment carries `marker`, but not this one."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARKER_VARIABLE) == marker:
                found.append(ProcessId(process.pid, process.create_time()))
    return tuple(found)


def end_marked(marker: str, *, grace: float = 5.0, spare: Iterable[int] = ()) -> int:
    """End every process that carries `marker`, gently for `grace` seconds; returns how many there were."""
    spared = set(spare)
    left = [process for process in marked(marker) if process.pid not in spared]
    count = len(left)
    end(left, grace=grace)
    return count


def end(processes: Sequence[ProcessId], *, grace: float) -> None:
    """Ask the processes to end, and make them after `grace` seconds."""
    for process in processes:
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT)  # a stopped process would not hear of it
    deadline = time.monotonic() + grace
    for process in processes:
        if not process.wait(max(0.0, deadline - time.monotonic())):
            process.signal(signal.SIGKILL)
    for process in processes:
        process.wait(grace)


def tail(file: Path, lines: int) -> list[str]:
    """Return the last `lines` lines of a log file; none where there is no file."""
    try:
        with file.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 400 * max(lines, 1)))
            content = stream.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return content[-lines:] if lines > 0 else []
