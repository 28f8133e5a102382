"""Fixtures of the pipeline's tests: a small board, and resources as a worker opens them."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr
from world import World, found, opened

from orchestrator.resources import Resources
from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The folder that images may be registered from by path."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


@pytest.fixture
def pipeline_settings(settings: Settings, pictures: Path, colour_triton) -> Settings:
    """Settings of a hasty installation on a Triton that serves the colour models."""
    return settings.model_copy(
        update={
            "triton_url": colour_triton.url,
            "triton_admin_key": SecretStr(colour_triton.admin_key),
            "model_repository": colour_triton.repository,
            "image_roots": (pictures,),
            "decode_processes": 1,
            "fetch_timeout": 5.0,
            "inference_timeout": 5.0,
            "max_attempts": 3,
            "retry_base": 0.1,
        }
    )


@pytest.fixture
def lose_everything(settings: Settings) -> Callable[[], None]:
    """What FLUSHALL does, to this test's share of Redis."""

    def lose() -> None:
        with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
            for key in client.scan_iter(f"{settings.redis_namespace}:*"):
                client.delete(key)

    return lose


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
