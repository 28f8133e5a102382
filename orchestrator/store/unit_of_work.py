"""The unit of work: the one module that knows `databases` and what goes wrong with it.

What it guards against, each with a test on a real server (tests/store/test_unit_of_work.py):

- A task cancelled inside a transaction leaks its connection: every unit runs in a task of its own behind
  `asyncio.shield`. A cancelled caller leaves at once, the unit ends by itself.
- Nested transactions hide a deadlock (1213) behind a missing savepoint (1305): units do not nest.
- A commit that fails leaks the connection of `databases.Transaction`: begin, commit and rollback are the
  driver's, and the connection is released whatever happens.
- Waiting for a free connection has no limit: here it has, and ends in StoreUnavailable.
- `isolation=` is ignored: isolation, time zone and lock wait are set by a connection's first statement.
- Deadlock, snapshot conflict and lock wait timeout are retried on a fresh transaction, by this outermost
  unit only. A connection lost *before* the commit was sent is tried once more; during it, the outcome is
  unknown and the caller hears StoreUnavailable.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

from asyncmy import errors as driver
from databases import Database

from orchestrator.errors import StoreUnavailable
from orchestrator.settings import Settings
from orchestrator.store.transaction import Transaction

T = TypeVar("T")
Work = Callable[[Transaction], Awaitable[T]]

SESSION = (
    "SET SESSION tx_isolation = 'READ-COMMITTED', time_zone = '+00:00', innodb_lock_wait_timeout = 5, "
    "max_statement_time = 60, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
)
POOL_WAIT = 10.0
CONNECT_TIMEOUT = 5
RETRIES = 3
BACKOFF = 0.02

# 1213 deadlock, 1020 the row changed since the snapshot was taken, 1205 lock wait timeout
RACES = frozenset({1213, 1020, 1205})
# shutting down, too many connections, statement over its time, killed, gone, lost, cannot connect
GONE = frozenset({1053, 1040, 1927, 1969, 2002, 2003, 2006, 2013, 2014, 2055})


class _Race(Exception):
    """Another transaction won; a fresh attempt may succeed. `number`: the server's, of the error."""

    def __init__(self, detail: str, number: int) -> None:
        super().__init__(detail)
        self.number = number


class _Lost(Exception):
    """The connection went away before the commit was sent: nothing was stored."""


def _number(error: BaseException) -> int | None:
    """Return the server's or the driver's error number."""
    number = error.args[0] if isinstance(error, driver.MySQLError) and error.args else None
    return number if isinstance(number, int) else None


def _is_gone(error: BaseException) -> bool:
    """Whether the server, or the way to it, is at fault."""
    return (
        isinstance(error, OSError | EOFError)
        or _number(error) in GONE
        or (isinstance(error, driver.InterfaceError | driver.InternalError) and _number(error) in {0, None})
    )


class Store:
    """A pool of connections to MariaDB. Made on the loop that uses it; close it before that loop ends."""

    def __init__(
        self,
        database: Database,
        *,
        pool_wait: float = POOL_WAIT,
        on_race: Callable[[int], object] | None = None,
    ) -> None:
        """`on_race` is called with the error's number whenever a unit of work lost a race."""
        self._database = database
        self._on_race = on_race
        self._pool_wait = pool_wait
        self._units: set[asyncio.Task[Any]] = set()

    @classmethod
    async def connect(
        cls,
        settings: Settings,
        *,
        pool_wait: float = POOL_WAIT,
        on_race: Callable[[int], object] | None = None,
    ) -> Self:
        """Open the pool and try the server once. Raises StoreUnavailable."""
        database = Database(
            settings.database_url.get_secret_value(),
            min_size=1,
            max_size=settings.database_pool,
            charset="utf8mb4",
            connect_timeout=CONNECT_TIMEOUT,
            init_command=SESSION,
        )
        try:
            await database.connect()
        except (OSError, driver.MySQLError) as error:
            raise StoreUnavailable(f"the database cannot be reached: {error}") from error
        return cls(database, pool_wait=pool_wait, on_race=on_race)

    async def close(self) -> None:
        """Wait for the units that are still under way, then close every connection."""
        if self._units:
            await asyncio.wait(self._units)
        await self._database.disconnect()

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction and commit; on any error roll back and raise it.

        `work` may run again after a race, so it must do nothing but database work. Raises RuntimeError when
        called inside another unit, StoreUnavailable when the server is gone or the retries are used up.
        """
        return await self._outermost(work, writing=True)

    async def read(self, work: Work[T]) -> T:
        """Run `work` for its answer, which stores nothing and locks nothing. Raises as `write` does.

        Every statement sees what is committed when it begins. That is all that a transaction of this
        isolation would give, so none is begun or committed: two round trips less.
        """
        return await self._outermost(work, writing=False)

    async def _outermost(self, work: Work[T], *, writing: bool) -> T:
        if asyncio.current_task() in self._units:
            raise RuntimeError("units of work do not nest: pass the transaction on")
        unit = asyncio.create_task(self._with_retries(work, writing=writing))
        self._units.add(unit)
        unit.add_done_callback(self._units.discard)
        return await asyncio.shield(unit)

    async def _with_retries(self, work: Work[T], *, writing: bool) -> T:
        losses = 0
        races = 0
        while True:
            try:
                return await self._attempt(work, writing=writing)
            except _Race as race:
                races += 1
                if self._on_race is not None:
                    self._on_race(race.number)
                if races > RETRIES:
                    raise StoreUnavailable(f"gave up after {RETRIES} retries: {race}") from race.__cause__
                # Jitter lets two units that met once miss each other the next time.
                await asyncio.sleep(BACKOFF * 2**races * random.uniform(0.5, 1.5))
            except _Lost as loss:
                losses += 1
                if losses > 1:
                    raise StoreUnavailable(f"the database is gone: {loss}") from loss.__cause__

    async def _attempt(self, work: Work[T], *, writing: bool) -> T:
        connection = self._database.connection()
        try:
            async with asyncio.timeout(self._pool_wait):
                await connection.__aenter__()
        except TimeoutError as error:
            raise StoreUnavailable(f"no free connection within {self._pool_wait:g} s") from error
        except (OSError, driver.MySQLError) as error:
            raise StoreUnavailable(f"the database cannot be reached: {error}") from error
        raw = connection.raw_connection
        try:
            return await self._transact(raw, work, writing=writing)
        finally:
            await connection.__aexit__()

    async def _transact(self, raw: Any, work: Work[T], *, writing: bool) -> T:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a unit of work runs in a task")
        transaction = Transaction(raw, task, writing=writing)
        committing = False
        try:
            if not writing:
                return await work(transaction)
            await raw.begin()
            answer = await work(transaction)
            committing = True
            await raw.commit()
            return answer
        except BaseException as error:
            await self._roll_back(raw)
            number = _number(error)
            if number in RACES and number is not None:
                raise _Race(str(error), number) from error
            if _is_gone(error):
                if committing:
                    raise StoreUnavailable(f"the connection was lost during commit: {error}") from error
                raise _Lost(str(error)) from error
            raise
        finally:
            transaction._end()

    @staticmethod
    async def _roll_back(raw: Any) -> None:
        """Roll back, or drop a connection that cannot: the pool must never hand out an open transaction."""
        try:
            await raw.rollback()
        except Exception:
            raw.close()
