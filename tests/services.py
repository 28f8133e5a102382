"""The run's own MariaDB, Redis and Triton: started when a test first needs them, shared by all workers, and
gone when the run is over, however it ends."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pymysql
import redis
from alembic import command
from alembic.config import Config

from orchestrator.local.instance import Instance, checkout
from orchestrator.local.parts import SERVICES, PartName
from orchestrator.local.stack import Stack

RUN_VARIABLE = "TAGDESK_TEST_RUN"
"""The process id of the run's first process, for its workers."""

_PREFIX = "test-"


@dataclass(frozen=True)
class RunningTriton:
    """A tritonserver of a test's own. `url` is the gRPC address, host:port; `repository` what it serves."""

    url: str
    http_url: str
    metrics_url: str
    admin_key: str
    repository: Path
    stack: Stack


def run_owner() -> int:
    """Return the process with which the run ends."""
    return int(os.environ.get(RUN_VARIABLE) or os.getpid())


def test_instance(label: str = "services") -> Instance:
    """Return an instance of this run's; its name says whose it is."""
    return Instance.named(f"{_PREFIX}{run_owner()}-{label}")


test_instance.__test__ = False  # type: ignore[attr-defined]


def shared_stack() -> Stack:
    """Return the run's shared stack, running."""
    stack = Stack(test_instance())
    stack.up(SERVICES, hasty=True, owner=run_owner())
    return stack


@contextmanager
def serving(repository: Path, label: str) -> Iterator[RunningTriton]:
    """Run a Triton of one's own over a copy of `repository`; nothing is loaded yet (explicit control).

    `label` names it: two at the same time need two, and so do two workers.
    """
    stack = Stack(test_instance(f"{label}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"))
    stack.up((PartName.TRITON,), owner=run_owner(), model_repository=repository)
    try:
        environment = stack.environment()
        yield RunningTriton(
            url=environment["TAGDESK_TRITON_URL"],
            http_url=stack.triton_http_url(),
            metrics_url=environment["TAGDESK_TRITON_METRICS_URL"],
            admin_key=environment["TAGDESK_TRITON_ADMIN_KEY"],
            repository=stack.instance.model_repository,
            stack=stack,
        )
    finally:
        remove(stack)


def remove(stack: Stack) -> None:
    """End a stack and all that it made."""
    stack.down()
    shutil.rmtree(stack.instance.folder, ignore_errors=True)


def remove_all(owner: int) -> None:
    """End and remove every instance of a run."""
    for folder in (checkout() / ".local").glob(f"{_PREFIX}{owner}-*"):
        remove(Stack(Instance.named(folder.name)))


def remove_abandoned() -> None:
    """End and remove the instances of runs that were killed."""
    for folder in (checkout() / ".local").glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            remove(Stack(Instance.named(folder.name)))


class TestDatabase:
    """One worker's database: migrated once, and brought back to that state before every test."""

    __test__ = False

    def __init__(self, server_url: str, name: str) -> None:
        """`server_url`: the address of any database of the server."""
        self.name = name
        self.url = f"{server_url.rpartition('/')[0]}/{name}"
        self._tables: tuple[str, ...] = ()
        self._seeds: dict[str, tuple[tuple[object, ...], ...]] = {}
        with self._connect(database=None) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
            cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        self._migrate()
        self._remember()
        self._connection = self._connect(database=name)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def clean(self) -> None:
        """Make every table what it was after the migrations."""
        with self._connection.cursor() as cursor:
            for table in self._tables:
                cursor.execute(f"DELETE FROM `{table}`")
                for row in self._seeds.get(table, ()):
                    marks = ", ".join(["%s"] * len(row))
                    cursor.execute(f"INSERT INTO `{table}` VALUES ({marks})", row)
        self._connection.commit()

    def _migrate(self) -> None:
        config = Config(checkout() / "migrations/alembic.ini")
        config.attributes.update(database_url=self.url, configure_logger=False)
        command.upgrade(config, "head")

    def _remember(self) -> None:
        """Note which tables there are, and the rows that the migrations put into them."""
        with self._connect(database=self.name) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
            self._tables = tuple(row[0] for row in cursor.fetchall() if row[0] != "alembic_version")
            for table in self._tables:
                cursor.execute(f"SELECT * FROM `{table}`")
                if rows := cursor.fetchall():
                    self._seeds[table] = rows

    def _connect(self, *, database: str | None) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        url = urlsplit(self.url)
        return pymysql.connect(
            host=url.hostname or "",
            port=url.port or 0,
            user=url.username,
            password=url.password or "",
            database=database,
            init_command="SET SESSION foreign_key_checks = 0, innodb_lock_wait_timeout = 5,"
            " time_zone = '+00:00'",
        )


def worker_number() -> int:
    """Return this worker's number, 0 where the run has no workers."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def worker_redis_url(url: str) -> str:
    """Return this worker's own database of the Redis at `url`."""
    return f"{url.rpartition('/')[0]}/{worker_number() % 16}"


def flush(url: str) -> None:
    """Empty one Redis database."""
    client = redis.Redis.from_url(url)
    try:
        client.flushdb()
    finally:
        client.close()
