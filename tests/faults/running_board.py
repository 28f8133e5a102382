"""The installation under fault: a whole local stack of its own with the demo board, and what lies in it."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import psutil
import pymysql
import pytest
import services

from orchestrator.demo.people import read_tokens
from orchestrator.demo.setup import set_up, until_ready
from orchestrator.local.instance import checkout
from orchestrator.local.parts import PartName
from orchestrator.local.processes import ProcessId, marked
from orchestrator.local.stack import Stack
from orchestrator.local.triton import shared_memory
from orchestrator.records import Role
from orchestrator.settings import load_settings
from orchestrator.store.unit_of_work import Store

HEALED_WITHIN = 90.0
_POLL = 0.05

Row = tuple[object, ...]


def until(condition: Callable[[], object], what: str, *, timeout: float) -> None:
    """Wait until a condition holds. Raises AssertionError when it does not come true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(_POLL)


@dataclass(frozen=True)
class RunningBoard:
    """A running installation. `external_ids`: ids that no image of it has yet."""

    stack: Stack
    url: str
    tokens: Mapping[Role, str]
    external_ids: Iterator[int] = field(default_factory=lambda: itertools.count(1_000_000))

    def headers(self, role: Role) -> dict[str, str]:
        """Return the headers of a role."""
        return {"Authorization": f"Bearer {self.tokens[role]}"}

    def rows(self, statement: str, *parameters: object) -> tuple[Row, ...]:
        """Ask MariaDB itself. Raises pymysql.MySQLError while it is away."""
        url = urlsplit(self.stack.environment()["TAGDESK_DATABASE_URL"])
        with (
            closing(
                pymysql.connect(
                    host=url.hostname or "",
                    port=url.port or 0,
                    user=url.username,
                    password=url.password or "",
                    database=url.path.lstrip("/"),
                    connect_timeout=2,
                    read_timeout=10,
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, parameters or None)
            return tuple(cursor.fetchall())

    def process(self, part: PartName) -> ProcessId:
        """Return the process of a part that runs, waiting for it to be started."""
        found: list[ProcessId] = []

        def there() -> bool:
            run = self.stack.run()
            pid = run.parts[part].pid if run is not None else None
            process = ProcessId.of(pid) if pid is not None else None
            if process is not None and process.is_alive():
                found.append(process)
            return bool(found)

        until(there, f"{part} runs", timeout=HEALED_WITHIN)
        return found[-1]

    def child(self, part: PartName, mark: str) -> ProcessId:
        """Return a process below that of a part, with `mark` in its command line."""
        found: list[ProcessId] = []

        def there() -> bool:
            try:
                for child in psutil.Process(self.process(part).pid).children(recursive=True):
                    if mark in " ".join(child.cmdline()):
                        found.append(ProcessId(child.pid, child.create_time()))
            except psutil.NoSuchProcess:
                return False
            return bool(found)

        until(there, f"{part} has a child {mark}", timeout=HEALED_WITHIN)
        return found[-1]

    def heal(self) -> None:
        """Wait until every part is ready for work again."""

        def ready() -> bool:
            try:
                return httpx.get(f"{self.url}/health/ready", timeout=10, trust_env=False).is_success
            except httpx.HTTPError:
                return False

        until(ready, "every part is ready again", timeout=HEALED_WITHIN)


@contextmanager
def running_board(label: str) -> Iterator[RunningBoard]:
    """Run a whole stack with the demo board; when the block ends, so has everything that it started.

    Raises AssertionError when something is left behind.
    """
    patch = pytest.MonkeyPatch()
    patch.setenv("TAGDESK_FETCH_ALLOW", "127.0.0.1")
    stack = Stack(services.test_instance(label))
    stack.up(hasty=True, owner=services.run_owner())
    try:
        environment = stack.environment()
        for name, value in environment.items():
            if name.startswith("TAGDESK_"):
                patch.setenv(name, value)
        asyncio.run(_prepare(stack))
        url = environment["TAGDESK_PUBLIC_URL"]
        yield RunningBoard(stack, url, read_tokens(stack.instance.tokens_file))
    finally:
        patch.undo()
        run = stack.run()
        family = psutil.Process(run.supervisor.pid).children(recursive=True) if run is not None else []
        stack.down()
        # The decoders' environment carries no marker: they are found as orphans, or by their parents.
        until(lambda: not any(one.is_running() for one in family), "the stack's processes end", timeout=5)
        until(lambda: not _orphaned_decoders(), "no decoder outlives its worker", timeout=5)
        left: Sequence[object] = [*marked(stack.marker), *shared_memory(stack.instance)]
        services.remove(stack)
        assert not left, f"left behind: {left}"


def _orphaned_decoders() -> list[psutil.Process]:
    """Return this checkout's decoders that are no longer their worker's children."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if "orchestrator.images.child" in command and process.cwd() == str(checkout()):
                parent = command[command.index("orchestrator.images.child") + 1]
                if str(process.ppid()) != parent:
                    found.append(process)
    return found


async def _prepare(stack: Stack) -> None:
    settings = load_settings()
    store = await Store.connect(settings)
    try:
        await set_up(store, settings, stack.instance.tokens_file, say=lambda text: None)
    finally:
        await store.close()
    await until_ready(stack.environment()["TAGDESK_PUBLIC_URL"])
