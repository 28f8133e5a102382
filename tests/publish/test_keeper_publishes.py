"""The keeper as a process: a dropped folder is published by itself, and dying in between loses nothing."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from coloured_sources import Source
from workshop import Workshop

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("publish")]


@contextmanager
def keeper(variables: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a keeper; it ends with the block."""
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.keeper"],
            env={**os.environ, **variables},
            stdout=stream,
            stderr=stream,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


async def test_a_dropped_folder_is_published_by_a_keeper_even_when_one_is_killed_at_it(
    workshop: Workshop, tmp_path: Path, variables: dict[str, str]
) -> None:
    log = tmp_path / "keeper.log"
    # Given a keeper that is killed while it publishes a dropped folder
    with keeper(variables, log) as first:
        folder = Source().write(workshop.repository)
        (folder / "READY").touch()

        async def at_it() -> bool:
            return b"checking and preparing" in log.read_bytes()

        await until(at_it, "the keeper begins")
        first.send_signal(signal.SIGKILL)
    assert await workshop.rows() == {}

    # When another one comes, then the folder is published after all
    with keeper(variables, log):

        async def registered() -> bool:
            return ("colours", 1) in await workshop.rows()

        await until(registered, log.read_text())
        assert not (folder / "READY").exists()
        # And what Triton serves is what the database names, also after it forgot everything
        await workshop.triton.unload("colours")

        async def serves() -> bool:
            return await workshop.served() == {("colours", 1)}

        await until(serves, log.read_text())
