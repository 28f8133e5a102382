"""An installation whose Triton and repository belong to the test: nothing is published in it yet."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from services import RunningTriton
from workshop import Workshop

from orchestrator.inference.client import TritonClient
from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store


@pytest.fixture(scope="session")
def publishing_triton(
    triton_serving: Callable[[Path, str], RunningTriton], tmp_path_factory: pytest.TempPathFactory
) -> RunningTriton:
    return triton_serving(tmp_path_factory.mktemp("empty"), "publish")


@pytest.fixture
def workshop_settings(settings: Settings, publishing_triton: RunningTriton) -> Settings:
    return settings.model_copy(
        update={
            "triton_url": publishing_triton.url,
            "triton_admin_key": SecretStr(publishing_triton.admin_key),
            "model_repository": publishing_triton.repository,
        }
    )


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def variables(workshop_settings: Settings) -> dict[str, str]:
    """The environment that makes another process work on the same installation."""
    found = {}
    for name, value in workshop_settings:
        if isinstance(value, SecretStr):
            found[f"TAGDESK_{name.upper()}"] = value.get_secret_value()
        elif isinstance(value, tuple):
            found[f"TAGDESK_{name.upper()}"] = ",".join(map(str, value))
        elif value is not None:
            found[f"TAGDESK_{name.upper()}"] = str(value)
    return found


@pytest.fixture
async def workshop(workshop_settings: Settings) -> AsyncIterator[Workshop]:
    store = await Store.connect(workshop_settings)
    async with TritonClient.from_settings(workshop_settings) as triton:
        for entry in await triton.index():
            if entry.state == "READY":
                await triton.unload(entry.name)
        repository = workshop_settings.model_repository
        for path in await asyncio.to_thread(lambda: list(repository.iterdir())):
            await asyncio.to_thread(shutil.rmtree, path)
        yield Workshop(workshop_settings, store, triton)
    await store.close()
