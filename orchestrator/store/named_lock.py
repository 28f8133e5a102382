"""A lock that one process of an installation holds: GET_LOCK on a connection of its own.

MariaDB frees the lock when the connection ends, so a holder that is killed is followed at once, and one
that hangs (stopped, or cut off) within IDLE_TIMEOUT seconds.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncmy
from asyncmy import errors as driver
from sqlalchemy.engine import make_url

from orchestrator.errors import StoreUnavailable
from orchestrator.settings import Settings

IDLE_TIMEOUT = 30
RENEWAL = 5.0
ANSWER_TIMEOUT = 5.0


def model_lock(settings: Settings, name: str) -> "NamedLock":
    """Return the lock of one model name: whoever holds it alone changes its files and what Triton serves."""
    return NamedLock(settings, f"models.{name}")


class NamedLock:
    """One lock of one database. Not shared between coroutines."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._url = make_url(settings.database_url.get_secret_value())
        # Locks are the server's, not a database's: the name must tell installations apart.
        self._name = f"{self._url.database}.{name}"[-64:]
        self._connection: Any = None

    async def hold(self) -> bool:
        """Whether this process holds the lock now; takes it when it is free. Call it more often than every
        IDLE_TIMEOUT seconds. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                if self._connection is None:
                    self._connection = await self._connect()
                async with self._connection.cursor() as cursor:
                    await cursor.execute(
                        "SELECT IF(IS_USED_LOCK(%s) <=> CONNECTION_ID(), 1, GET_LOCK(%s, 0))",
                        (self._name, self._name),
                    )
                    (held,) = await cursor.fetchone()
        except (OSError, EOFError, TimeoutError, driver.MySQLError) as error:
            self.drop()
            raise StoreUnavailable(f"the lock {self._name} cannot be asked for: {error!r}") from error
        except BaseException:
            self.drop()  # a connection that was left in the middle of an answer is of no use
            raise
        return bool(held)

    def drop(self) -> None:
        """Let go of the lock by closing its connection; `hold` would open another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError, RuntimeError):
                connection.close()

    async def release(self) -> None:
        """Let go of the lock, and return when its connection is really closed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError, RuntimeError, TimeoutError, driver.MySQLError):
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    await connection.ensure_closed()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep a lock that is held through long work, and drop it afterwards.

        A lock lost on the way (the database restarted) is taken again as soon as that is possible.
        """
        stop = asyncio.Event()

        async def renew() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RENEWAL)
                with suppress(StoreUnavailable):
                    await self.hold()

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            stop.set()
            await task
            await self.release()

    async def _connect(self) -> Any:
        url = self._url
        return await asyncmy.connect(
            host=url.host,
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            db=url.database,
            autocommit=True,
            connect_timeout=ANSWER_TIMEOUT,
            init_command=f"SET SESSION wait_timeout = {IDLE_TIMEOUT}",
        )
