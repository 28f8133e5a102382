"""Fixtures of the pipeline's tests: a small board, and resources as a worker opens them."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from breakable import Breakage, write_breakable
from breaking_board import HASTY, MENDED_WITHIN, Install, Installation, load_also
from colours import ALL_VERSIONS, write_repository
from pydantic import SecretStr
from services import RunningTriton, flush
from stubs import stubs
from world import World, found, opened, until

from orchestrator.inference.client import TritonClient
from orchestrator.inference.watch import Pace
from orchestrator.reconciler import Reconciler
from orchestrator.resources import Resources
from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store
from orchestrator.telemetry import Metrics


@pytest.fixture(scope="session")
def colour_server(
    triton_serving: Callable[[Path, str], RunningTriton], tmp_path_factory: pytest.TempPathFactory
) -> RunningTriton:
    """A Triton over the colour models, which keepers may rearrange without hurting other tests."""
    repository = tmp_path_factory.mktemp("models")
    write_repository(repository)
    return triton_serving(repository, "colours")


@pytest.fixture
async def colour_triton(colour_server: RunningTriton) -> RunningTriton:
    """The Triton of the colour models, serving every version that there is."""
    async with TritonClient(colour_server.url, admin_key=colour_server.admin_key) as client:
        served = {(entry.name, entry.version) for entry in await client.index() if entry.state == "READY"}
        for name, versions in ALL_VERSIONS.items():
            if not {(name, version) for version in versions} <= served:
                await client.load(name, versions, repository=colour_server.repository)
    return colour_server


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Returns ports on which nobody listens."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find


@pytest.fixture
def pictures(settings: Settings) -> Path:
    """The folder that images may be registered from by path."""
    return settings.image_roots[0]


@pytest.fixture
def pipeline_settings(settings: Settings, colour_triton: RunningTriton) -> Settings:
    """Settings of a hasty installation on a Triton that serves the colour models."""
    return settings.model_copy(
        update={
            "triton_url": colour_triton.url,
            "triton_admin_key": SecretStr(colour_triton.admin_key),
            "model_repository": colour_triton.repository,
            "fetch_timeout": 5.0,
            "inference_timeout": 5.0,
            "max_attempts": 3,
            "retry_base": 0.1,
        }
    )


@pytest.fixture
def lose_everything(settings: Settings) -> Callable[[], None]:
    """What FLUSHALL does, to this worker's share of Redis."""
    return lambda: flush(settings.redis_url.get_secret_value())


@pytest.fixture
async def world(pipeline_settings: Settings) -> AsyncIterator[World]:
    """A board with both colour models active."""
    store = await Store.connect(pipeline_settings)
    yield await found(store, pipeline_settings)
    await store.close()


@pytest.fixture
async def resources(pipeline_settings: Settings) -> AsyncIterator[Resources]:
    """What one worker process holds."""
    async with opened(pipeline_settings) as resources:
        yield resources


@pytest.fixture(scope="session")
def breaking_server(
    triton_serving: Callable[[Path, str], RunningTriton], tmp_path_factory: pytest.TempPathFactory
) -> RunningTriton:
    """A Triton over models that break, two versions of each, and `colours` and `shades`, which do not."""
    repository = tmp_path_factory.mktemp("breaking")
    write_repository(repository)
    for breakage in Breakage:
        write_breakable(repository, breakage, breakage, versions=(1, 2))
    return triton_serving(repository, "breaking")


@pytest.fixture
def breaking_settings(settings: Settings, breaking_server: RunningTriton) -> Settings:
    """A hasty installation's: three tries, and two seconds for an answer."""
    return settings.model_copy(
        update={
            "triton_url": breaking_server.url,
            "triton_admin_key": SecretStr(breaking_server.admin_key),
            "model_repository": breaking_server.repository,
            "inference_timeout": 2.0,
            "max_attempts": 3,
            "retry_base": 0.1,
        }
    )


@pytest.fixture
async def install(breaking_settings: Settings, breaking_server: RunningTriton) -> AsyncIterator[Install]:
    """Returns a function that founds a board on one breakage, with Triton serving what the board names."""
    store = await Store.connect(breaking_settings)
    breakages: list[Breakage] = []
    async with opened(breaking_settings) as resources:

        async def make(breakage: Breakage, *, versions: int = 1, pace: Pace = HASTY) -> Installation:
            breakages.append(breakage)
            world = await found(store, breaking_settings, rgb=breakage)
            for version in range(2, versions + 1):
                await load_also(store, breakage, version)
            metrics = Metrics.create()
            reconciler = Reconciler(breaking_settings, store, resources.triton, metrics, pace)
            made = Installation(world, resources, reconciler, metrics, breakage)
            await until(reconciler.reconcile, "every version answers", timeout=MENDED_WITHIN)
            return made

        yield make
    await store.close()
    for breakage in breakages:
        # What hangs outlives its unload, and computes for ever.
        for stub in stubs(breaking_server.repository, breakage):
            with suppress(psutil.NoSuchProcess):
                stub.kill()
    async with TritonClient(breaking_server.url, admin_key=breaking_server.admin_key) as client:
        for breakage in breakages:
            await client.unload(breakage)
