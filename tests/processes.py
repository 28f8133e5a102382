"""Real worker and keeper processes, as the local stack starts them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from pydantic import SecretStr

from orchestrator.settings import Settings

STOP_TIMEOUT = 70  # longer than a worker may take to finish what it has in hand


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that make a process load these settings."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TAGDESK_")}
    for name, value in settings:
        match value:
            case None:
                continue
            case SecretStr():
                text = value.get_secret_value()
            case tuple():
                text = ",".join(str(part) for part in value)
            case _:
                text = str(value)
        variables[f"TAGDESK_{name.upper()}"] = text
    return variables


class Process:
    """A process of ours; `lines` is what it logged so far."""

    def __init__(self, command: list[str], settings: Settings, log: Path) -> None:
        self._log = log
        with log.open("ab") as stream:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", *command], env=environment(settings), stdout=stream, stderr=stream
            )
        self.handle = psutil.Process(self._popen.pid)

    @property
    def lines(self) -> list[dict[str, object]]:
        """Every complete line logged so far."""
        return [
            json.loads(line) for line in self._log.read_text().splitlines(keepends=True) if line[-1] == "\n"
        ]

    async def logged(self, event: str) -> bool:
        """Whether a line of this event has been logged."""
        return any(line["event"] == event for line in self.lines)

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes of a dramatiq master."""
        return [
            child for child in self.handle.children() if "orchestrator.worker" in " ".join(child.cmdline())
        ]

    def kill_worker(self) -> None:
        """Kill -9 the process that does the work, and wait for its master to notice."""
        (worker,) = self.workers()
        worker.kill()
        self._popen.wait(STOP_TIMEOUT)

    def kill(self) -> None:
        """Kill -9 the process itself."""
        self._popen.kill()
        self._popen.wait(STOP_TIMEOUT)

    def terminate(self) -> int:
        """Send SIGTERM to workers and master alike, as a terminal would, and return the exit status."""
        for member in [*self.workers(), self.handle]:
            member.send_signal(signal.SIGTERM)
        return self._popen.wait(STOP_TIMEOUT)

    def clean_up(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self._popen.poll() is not None:
            return
        with suppress(psutil.NoSuchProcess):
            for member in [*self.handle.children(recursive=True), self.handle]:
                with suppress(psutil.NoSuchProcess):  # children end with their parents
                    member.kill()
        self._popen.wait(STOP_TIMEOUT)


@contextmanager
def running(command: list[str], settings: Settings, log: Path) -> Iterator[Process]:
    """Run `python -m command` for the length of the block."""
    process = Process(command, settings, log)
    try:
        yield process
    finally:
        process.clean_up()
