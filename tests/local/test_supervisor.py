"""The supervisor, over small commands of the tests' own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.local.errors import LocalStackError, NotReady
from orchestrator.local.parts import Part
from orchestrator.local.processes import ProcessId
from orchestrator.local.runfile import PartState, PartStatus
from orchestrator.local.supervisor import Backoff, Supervisor

pytestmark = pytest.mark.anyio

FOREVER = "import time; print('here I am', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('here I am', flush=True); time.sleep(600)"
)
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print('child', child.pid, 'here I am', flush=True); time.sleep(600)"
)
WAIT = 30.0


def part(name: str, code: str, **options: object) -> Part:
    return Part(name, (sys.executable, "-c", code), **options)  # type: ignore[arg-type]


def ready(name: str, code: str = FOREVER, **options: object) -> Part:
    return part(name, code, ready_line="here I am", **options)


class Watched:
    """A running supervisor, and what it has said."""

    def __init__(self, parts: list[Part], logs: Path) -> None:
        self.said: list[Mapping[str, PartStatus]] = []
        self._changed = asyncio.Event()
        self.logs = logs
        self.supervisor = Supervisor(
            parts,
            logs=logs,
            environment=os.environ,
            working_directory=logs,
            listener=self._listen,
            backoff=Backoff(first=0.01, longest=0.05),
        )

    def _listen(self, parts: Mapping[str, PartStatus]) -> None:
        self.said.append(parts)
        self._changed.set()

    async def until(self, condition: Callable[[Mapping[str, PartStatus]], bool]) -> Mapping[str, PartStatus]:
        """Wait until the supervisor says something that fulfils `condition`."""
        async with asyncio.timeout(WAIT):
            while not condition(self.supervisor.status):
                self._changed.clear()
                await self._changed.wait()
        return self.supervisor.status

    async def until_ready(self, name: str, restarts: int = 0) -> PartStatus:
        def condition(parts: Mapping[str, PartStatus]) -> bool:
            return parts[name].state is PartState.READY and parts[name].restarts >= restarts

        return (await self.until(condition))[name]

    def order_of(self, state: PartState) -> list[str]:
        """Return the parts in the order in which they first were in `state`."""
        order: list[str] = []
        for parts in self.said:
            order += [name for name, status in parts.items() if status.state is state and name not in order]
        return order


@asynccontextmanager
async def supervised(logs: Path, *parts: Part) -> AsyncIterator[Watched]:
    watched, stop = Watched(list(parts), logs), asyncio.Event()
    running = asyncio.create_task(watched.supervisor.run(stop))
    try:
        yield watched
    finally:
        stop.set()
        await running


def alive(pid: int | None) -> bool:
    identity = ProcessId.of(pid or 0)
    return identity is not None and identity.is_alive()


async def test_a_part_that_is_killed_is_started_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, ready("one")) as watched:
        first = await watched.until_ready("one")
        os.kill(first.pid or 0, signal.SIGKILL)
        second = await watched.until_ready("one", restarts=1)
    assert second.pid != first.pid
    assert not alive(first.pid)
    assert not alive(second.pid)


async def test_what_a_killed_part_had_started_goes_with_it(tmp_path: Path) -> None:
    async with supervised(tmp_path, ready("parent", PARENT)) as watched:
        first = await watched.until_ready("parent")
        child = int((tmp_path / "parent.log").read_text().split()[1])
        assert alive(child)
        os.kill(first.pid or 0, signal.SIGKILL)
        await watched.until_ready("parent", restarts=1)
        assert not alive(child)


async def test_parts_start_in_order_and_end_in_reverse(tmp_path: Path) -> None:
    parts = [
        ready("application", after=frozenset({"schema"})),
        part("schema", "print('done')", once=True, after=frozenset({"database"})),
        ready("database"),
    ]
    async with supervised(tmp_path, *parts) as watched:
        await watched.until_ready("application")
        assert watched.order_of(PartState.STARTING) == ["database", "schema", "application"]
        assert watched.supervisor.status["schema"].state is PartState.DONE
    assert watched.order_of(PartState.STOPPED) == ["application", "database"]


async def test_a_part_that_fails_at_its_start_says_why_and_is_tried_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, ready("broken", "import sys; sys.exit('no such thing')")) as watched:
        status = await watched.until(lambda parts: parts["broken"].failures >= 3)
        assert "ended with status 1" in status["broken"].detail
    assert "no such thing" in (tmp_path / "broken.log").read_text()


async def test_a_part_that_never_becomes_ready_is_given_up_after_its_time(tmp_path: Path) -> None:
    async def check() -> None:
        raise NotReady("it says nothing")

    async with supervised(tmp_path, part("mute", FOREVER, check=check, start_timeout=0.3)) as watched:
        status = await watched.until(lambda parts: parts["mute"].failures >= 1)
    assert status["mute"].detail.startswith("not ready after")
    assert status["mute"].detail.endswith("it says nothing")


async def test_a_part_that_ignores_the_request_to_end_is_made_to(tmp_path: Path) -> None:
    async with supervised(tmp_path, ready("stubborn", STUBBORN, stop_timeout=0.3)) as watched:
        status = await watched.until_ready("stubborn")
    assert not alive(status.pid)


async def test_a_preparation_that_fails_counts_as_a_failed_start(tmp_path: Path) -> None:
    def prepare() -> None:
        raise LocalStackError("the disk is full")

    async with supervised(tmp_path, ready("unprepared", prepare=prepare)) as watched:
        status = await watched.until(lambda parts: parts["unprepared"].failures >= 2)
    assert status["unprepared"].detail == "the disk is full"


async def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    with log.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    async with supervised(tmp_path, ready("one")) as watched:
        await watched.until_ready("one")
    assert log.stat().st_size < 1024
    assert (tmp_path / "one.log.1").exists()


def test_the_wait_between_starts_doubles_up_to_a_limit() -> None:
    backoff = Backoff(first=0.2, longest=1.0)
    assert [backoff.delay(failures) for failures in (1, 2, 3, 4, 5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
