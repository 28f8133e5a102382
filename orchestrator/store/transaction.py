"""What a unit of work sees: statements with bound parameters on one open transaction.

Statements are written with `:name` parameters and go to the driver's own cursor, not through the
`fetch_all` and `execute` of `databases`: those build a Record per row (7 times slower on long reads) and
answer a write with lastrowid or the row count, unpredictably.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from asyncmy import errors as driver
from asyncmy.cursors import DictCursor

Row = Mapping[str, Any]

ROWS_PER_STATEMENT = 1000
DUPLICATE_KEY = 1062
MISSING_PARENT = 1452

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


class DuplicateKey(Exception):
    """A unique key refused the row. The transaction goes on; callers turn this into what it means."""


class MissingParent(Exception):
    """A foreign key refused the row: what it points to does not exist. The transaction goes on."""


@lru_cache(maxsize=512)
def _to_driver(statement: str) -> str:
    """Translate `:name` into the driver's `%(name)s`; a literal percent sign stays one."""
    return _PARAMETER.sub(r"%(\1)s", statement.replace("%", "%%"))


class Transaction:
    """One open transaction. Only the task that runs the unit may use it, and only while it runs.

    Not `writing`: nothing is open, every statement stands for itself, and changes are refused.

    A sequence as a parameter becomes a parenthesised list (`WHERE id IN :ids`) and must not be empty.
    """

    def __init__(self, connection: Any, task: asyncio.Task[Any], *, writing: bool) -> None:
        self._connection = connection
        self._task: asyncio.Task[Any] | None = task
        self._writing = writing

    def _end(self) -> None:
        """Called by the unit of work: a transaction that leaks out of it must not find a connection."""
        self._task = None

    def _check(self) -> None:
        if self._task is None:
            raise RuntimeError("this transaction is over: nothing of it may leave its unit of work")
        if asyncio.current_task() is not self._task:
            # A child task (gather, create_task) would interleave with the unit on one connection.
            raise RuntimeError("a transaction belongs to the task of its unit of work")

    def _check_writing(self) -> None:
        if not self._writing:
            raise RuntimeError("a unit that reads stores nothing: let it be a unit that writes")

    async def _run(self, cursor: Any, statement: str, parameters: Mapping[str, object]) -> None:
        bound = {
            name: tuple(value) if isinstance(value, list | set | frozenset) else value
            for name, value in parameters.items()
        }
        try:
            await cursor.execute(_to_driver(statement), bound)
        except driver.IntegrityError as error:
            if error.args[0] == DUPLICATE_KEY:
                raise DuplicateKey(str(error.args[1])) from error
            if error.args[0] == MISSING_PARENT:
                raise MissingParent(str(error.args[1])) from error
            raise

    async def fetch_all(self, statement: str, **parameters: object) -> list[Row]:
        """Return all rows, each by column name."""
        self._check()
        async with self._connection.cursor(DictCursor) as cursor:
            await self._run(cursor, statement, parameters)
            return list(await cursor.fetchall())

    async def fetch_rows(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Return all rows as plain tuples, for reads of thousands of rows."""
        self._check()
        async with self._connection.cursor() as cursor:
            await self._run(cursor, statement, parameters)
            return list(await cursor.fetchall())

    async def fetch_one(self, statement: str, **parameters: object) -> Row | None:
        """Return the first row by column name, or None."""
        rows = await self.fetch_all(statement, **parameters)
        return rows[0] if rows else None

    async def execute(self, statement: str, **parameters: object) -> int:
        """Run a write and return how many rows it changed (rows set to what they were do not count)."""
        self._check()
        self._check_writing()
        async with self._connection.cursor() as cursor:
            await self._run(cursor, statement, parameters)
            return int(cursor.rowcount)

    async def insert(self, table: str, **values: object) -> int:
        """Insert one row and return its id. Raises DuplicateKey or MissingParent."""
        self._check_writing()
        columns = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        row = await self.fetch_one(f"INSERT INTO {table} ({columns}) VALUES ({marks}) RETURNING id", **values)  # noqa: S608
        if row is None:
            raise RuntimeError(f"INSERT INTO {table} returned no id")
        return int(row["id"])

    async def insert_many(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[tuple[object, ...]],
        *,
        on_duplicate: str | None = None,
        returning: Sequence[str] = (),
    ) -> list[tuple[Any, ...]]:
        """Insert rows by multi-row VALUES, a thousand a statement; locks are taken in the order given.

        `on_duplicate`: assignments for ON DUPLICATE KEY UPDATE. Returns the `returning` columns of every row.
        """
        self._check_writing()
        returned: list[tuple[Any, ...]] = []
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            part = rows[start : start + ROWS_PER_STATEMENT]
            names = [f"row_{number}" for number in range(len(part))]
            statement = (
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608
                + ", ".join(f":{name}" for name in names)
                + (f" ON DUPLICATE KEY UPDATE {on_duplicate}" if on_duplicate else "")
                + (f" RETURNING {', '.join(returning)}" if returning else "")
            )
            returned += await self.fetch_rows(statement, **dict(zip(names, part, strict=True)))
        return returned
