"""A database and API processes of a benchmark's own, on the benchmarks' stack."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from orchestrator.local.stack import Stack
from orchestrator.settings import Settings, load_settings
from orchestrator.store.unit_of_work import Store

OURS = "orchestrator.api.app:create_app"
_START_TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class OwnBoard:
    """A migrated database without rows. `environment`: for processes that are to use it."""

    environment: dict[str, str]
    settings: Settings
    url: str

    async def drop(self) -> None:
        """Remove the database."""
        store = await Store.connect(self.settings)
        try:
            await store.write(lambda tx: tx.execute(f"DROP DATABASE {self.url.rpartition('/')[2]}"))
        finally:
            await store.close()


async def found(stack: Stack, database: str, *, pool: int = 4) -> OwnBoard:
    """Make the database anew on a stack that runs."""
    environment = stack.environment()
    url = f"{environment['TAGDESK_DATABASE_URL'].rpartition('/')[0]}/{database}"
    os.environ.update(environment)
    founder = await Store.connect(load_settings())
    try:
        await founder.write(lambda tx: tx.execute(f"CREATE OR REPLACE DATABASE {database}"))
    finally:
        await founder.close()
    environment = environment | {"TAGDESK_DATABASE_URL": url}
    settings = load_settings().model_copy(update={"database_url": SecretStr(url), "database_pool": pool})
    await asyncio.to_thread(_migrate, environment)
    return OwnBoard(environment, settings, url)


def _migrate(environment: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini", "upgrade", "head"],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )


@asynccontextmanager
async def apis(app: str, environment: dict[str, str], *, count: int) -> AsyncIterator[list[str]]:
    """Start so many API processes on free ports and yield their addresses; they end with the block."""
    command = [sys.executable, "-m", "uvicorn", app, "--factory", "--no-access-log", "--port", "0"]
    variables = {**os.environ, **environment}
    variables.pop("PROMETHEUS_MULTIPROC_DIR", None)
    processes = [
        await asyncio.create_subprocess_exec(*command, env=variables, stderr=asyncio.subprocess.PIPE)
        for _ in range(count)
    ]
    drains: list[asyncio.Task[None]] = []
    try:
        addresses = []
        for process in processes:
            stream = process.stderr
            if stream is None:
                raise RuntimeError("the API's log cannot be read")
            addresses.append(await _address(stream))
            drains.append(asyncio.create_task(_drain(stream)))
        yield addresses
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await process.wait()
        for drain in drains:
            drain.cancel()


async def _address(stream: asyncio.StreamReader) -> str:
    async with asyncio.timeout(_START_TIMEOUT):
        while line := await stream.readline():
            if found_ := re.search(rb"running on (http://\S+?:\d+)", line):
                return found_[1].decode()
    raise RuntimeError("the API did not start")


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass
