"""Keeps parts running: starts them in order, restarts the ones that die, ends them in reverse order."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.local.errors import LocalStackError, NotReady
from orchestrator.local.parts import Part
from orchestrator.local.runfile import PartState, PartStatus

Listener = Callable[[Mapping[str, PartStatus]], None]

_LOG_LIMIT = 16 * 1024 * 1024
_POLL = 0.05
_CHECK_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a part is started again, in seconds; doubling, and forgotten once a part has
    run for `forget_after`."""

    first: float = 0.2
    longest: float = 10.0
    forget_after: float = 30.0

    def delay(self, failures: int) -> float:
        """Return the wait after that many failures in a row (1, 2, …)."""
        return float(min(self.longest, self.first * 2 ** (failures - 1)))


class Supervisor:
    """Runs a set of parts until told to stop. All of it belongs to one event loop, on the main thread:
    parts are told when the thread that started them dies."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        logs: Path,
        environment: Mapping[str, str],
        working_directory: Path,
        listener: Listener,
        backoff: Backoff | None = None,
    ) -> None:
        """`environment`: what all parts get, below their own. `listener`: told whenever a state changes."""
        self._parts = {part.name: part for part in parts}
        self._logs = logs
        self._environment = environment
        self._working_directory = working_directory
        self._listener = listener
        self._backoff = backoff or Backoff()
        self._status = {name: PartStatus(PartState.WAITING) for name in self._parts}
        self._ready = {name: asyncio.Event() for name in self._parts}
        self._stop = {name: asyncio.Event() for name in self._parts}

    @property
    def status(self) -> Mapping[str, PartStatus]:
        """How the parts stand."""
        return dict(self._status)

    async def run(self, stop: asyncio.Event) -> None:
        """Run the parts until `stop` is set; returns when all of them have ended."""
        self._listener(self.status)
        keepers = {name: asyncio.create_task(self._keep(part)) for name, part in self._parts.items()}
        try:
            await stop.wait()
        finally:
            for level in reversed(self._levels()):
                for name in level:
                    self._stop[name].set()
                await asyncio.gather(*(keepers[name] for name in level))

    def _levels(self) -> list[list[str]]:
        """Return the parts by how much has to be ready before them. Raises LocalStackError for a circle."""
        levels: list[list[str]] = []
        placed: set[str] = set()
        while len(placed) < len(self._parts):
            level = [
                name
                for name, part in self._parts.items()
                if name not in placed and (part.after & self._parts.keys()) <= placed
            ]
            if not level:
                raise LocalStackError("parts wait for each other")
            levels.append(level)
            placed.update(level)
        return levels

    async def _keep(self, part: Part) -> None:
        """Run one part, over and over, until it is told to stop."""
        stop = self._stop[part.name]
        for name in part.after & self._parts.keys():
            await _first(self._ready[name].wait(), stop.wait())
        failures = 0
        while not stop.is_set():
            began = time.monotonic()
            detail = await self._run_once(part)
            if detail is None:
                self._say(part, state=PartState.DONE, pid=None, detail="")
                await stop.wait()
                return
            if stop.is_set():
                break
            if time.monotonic() - began > self._backoff.forget_after:
                failures = 0
            failures += 1
            restarts = self._status[part.name].restarts + 1
            self._say(
                part, state=PartState.BACKOFF, pid=None, restarts=restarts, failures=failures, detail=detail
            )
            await _first(stop.wait(), asyncio.sleep(self._backoff.delay(failures)))
        self._say(part, state=PartState.STOPPED, pid=None, started=None, detail="")

    async def _run_once(self, part: Part) -> str | None:
        """Start a part and see it through to its end; returns what went wrong, None when it is done."""
        log = self._logs / f"{part.name}.log"
        _rotate(log)
        self._say(part, state=PartState.STARTING, pid=None, detail="")
        try:
            await asyncio.to_thread(part.prepare)
            with log.open("ab") as output:
                offset = output.tell()
                process = await asyncio.create_subprocess_exec(
                    *_dying_with_us(part.command),
                    env={**self._environment, **part.environment},
                    cwd=self._working_directory,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except (LocalStackError, OSError) as error:
            return str(error)
        self._say(part, pid=process.pid, started=time.time())
        exit_seen = asyncio.create_task(process.wait())
        try:
            problem = await self._until_ready(part, process, exit_seen, log, offset)
            if problem is None:
                self._ready[part.name].set()
                if not part.once:
                    self._say(part, state=PartState.READY, failures=0, detail="")
                    await _first(asyncio.shield(exit_seen), self._stop[part.name].wait())
                    problem = f"ended with status {process.returncode}"
        finally:
            await self._end(part, process, exit_seen)
        return problem

    async def _until_ready(
        self,
        part: Part,
        process: asyncio.subprocess.Process,
        exit_seen: "asyncio.Task[int]",
        log: Path,
        offset: int,
    ) -> str | None:
        """Wait until a part is ready (or done); returns what is wrong when it does not become so in time."""
        deadline = time.monotonic() + part.start_timeout
        detail = "it did not say that it is ready"
        while not self._stop[part.name].is_set():
            if exit_seen.done():
                status = process.returncode
                return None if part.once and status == 0 else f"ended with status {status} at its start"
            if time.monotonic() > deadline:
                return f"not ready after {part.start_timeout:.0f} s: {detail}"
            if not part.once:
                try:
                    await self._ask(part, log, offset)
                    return None
                except NotReady as error:
                    detail = str(error)
            await _first(asyncio.shield(exit_seen), self._stop[part.name].wait(), asyncio.sleep(_POLL))
        return "stopped"

    async def _ask(self, part: Part, log: Path, offset: int) -> None:
        """Raise NotReady unless the part answers, and has said so in its log where it should."""
        if part.ready_line is not None and part.ready_line.encode() not in _read_from(log, offset):
            raise NotReady(f"its log does not say {part.ready_line!r} yet")
        if part.check is not None:
            try:
                async with asyncio.timeout(_CHECK_LIMIT):
                    await part.check()
            except TimeoutError:
                raise NotReady("no answer") from None

    async def _end(
        self, part: Part, process: asyncio.subprocess.Process, exit_seen: "asyncio.Task[int]"
    ) -> None:
        """End a part and all that it started, gently while its time allows."""
        if not exit_seen.done():
            self._say(part, state=PartState.STOPPING)
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(part.stop_timeout):
                    await asyncio.shield(exit_seen)
        # It leads a group of its own: what is left of that goes too, or the next start would find it there.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await exit_seen

    def _say(self, part: Part, **changes: object) -> None:
        before = self._status[part.name]
        self._status[part.name] = replace(before, **changes)  # type: ignore[arg-type]
        if self._status[part.name] != before:
            self._listener(self.status)


def _dying_with_us(command: tuple[str, ...]) -> tuple[str, ...]:
    """Have the kernel end a part when its supervisor dies without a word."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return command
    if Path(command[0]).name == "setpriv":
        return (setpriv, "--pdeathsig", "TERM", *command[1:])
    return (setpriv, "--pdeathsig", "TERM", *command)


async def _first(*waits: Awaitable[object]) -> None:
    """Wait for the first of several things, and give the others up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _rotate(log: Path) -> None:
    """Put a log aside that has grown long; one old one is kept."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))


def _read_from(log: Path, offset: int) -> bytes:
    with log.open("rb") as stream:
        stream.seek(offset)
        return stream.read()
