"""Fixtures for everyone: real services, and databases of each worker's own, clean for every test."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import services
from _pytest.nodeid import coerce_node_id
from pydantic import SecretStr

from orchestrator.local.stack import Stack
from orchestrator.settings import Settings


def pytest_configure(config: pytest.Config) -> None:
    """Tie the services to this run, and keep the caller's own installation out of it."""
    for name in [name for name in os.environ if name.startswith("TAGDESK_")]:
        if name != services.RUN_VARIABLE or not hasattr(config, "workerinput"):
            del os.environ[name]
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    if not hasattr(config, "workerinput"):
        os.environ[services.RUN_VARIABLE] = str(os.getpid())
        services.remove_abandoned()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the run started, also after Ctrl-C."""
    if not hasattr(config, "workerinput"):
        services.remove_all(os.getpid())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of an `xdist_group` on one worker, so that what they share is set up once.

    pytest-xdist 3.8 says so in `_nodeid`, where pytest 9.2 no longer looks; it is `_id` now.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and "@" not in item.nodeid.rpartition("]")[2]:
            item._id = coerce_node_id(f"{item.nodeid}@{group.args[0]}")  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of async tests."""
    return "asyncio"


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The run's MariaDB, Redis and Triton, shared by all workers."""
    return services.shared_stack()


@pytest.fixture(scope="session")
def _database(stack: Stack) -> Iterator[services.TestDatabase]:
    name = f"tagdesk_worker_{services.worker_number()}"
    database = services.TestDatabase(stack.environment()["TAGDESK_DATABASE_URL"], name)
    yield database
    database.close()


@pytest.fixture
def database_url(_database: services.TestDatabase) -> str:
    """Return the address of this worker's database: migrated, and without rows."""
    _database.clean()
    return _database.url


@pytest.fixture
def redis_url(stack: Stack) -> str:
    """Return the address of this worker's Redis database, emptied."""
    url = services.worker_redis_url(stack.environment()["TAGDESK_REDIS_URL"])
    services.flush(url)
    return url


@pytest.fixture(scope="session")
def triton_url(stack: Stack) -> str:
    """Return the gRPC address of the run's Triton, over `model_repository`. Shared: leave loaded what others
    may use, or take a server of your own with `triton_serving`."""
    return stack.environment()["TAGDESK_TRITON_URL"]


@pytest.fixture(scope="session")
def triton_admin_key(stack: Stack) -> str:
    """Return the key to the model control of the run's Triton."""
    return stack.environment()["TAGDESK_TRITON_ADMIN_KEY"]


@pytest.fixture(scope="session")
def model_repository(stack: Stack) -> Path:
    """Return the copy of the tracked models that the run's Triton serves."""
    return stack.instance.model_repository


@pytest.fixture(scope="session")
def triton_serving() -> Iterator[Callable[[Path, str], services.RunningTriton]]:
    """Return a function that runs a Triton over a copy of a repository, until the session ends.

    Its second argument names the server; nothing is loaded yet.
    """
    with ExitStack() as running:
        yield lambda repository, label: running.enter_context(services.serving(repository, label))


@pytest.fixture
def settings(
    tmp_path: Path,
    database_url: str,
    redis_url: str,
    triton_url: str,
    triton_admin_key: str,
    model_repository: Path,
) -> Settings:
    """The settings of an installation of this test's own: its rows, queue and folders are empty."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    return Settings(
        remap_after=3600.0,  # boards of tests have suggestions that no scores speak for
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
        redis_namespace=f"test{services.worker_number()}",
        triton_url=triton_url,
        triton_admin_key=SecretStr(triton_admin_key),
        model_repository=model_repository,
        blob_dir=blobs,
        image_roots=(pictures,),
        session_secret=SecretStr("a secret of the tests"),
        decode_processes=1,
    )
