"""A terminal on an installation."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from typer.testing import CliRunner, Result

from orchestrator.cli import app as command_line
from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store

T = TypeVar("T")


def tagdesk(*arguments: str) -> Result:
    """Run the command line in this process, on a wide terminal."""
    return CliRunner().invoke(command_line.app, arguments, env={"COLUMNS": "200"})


def with_store(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """Await `work` with an open store."""

    async def run() -> T:
        store = await Store.connect(settings)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
