"""An installation that the environment names, as an operator's shell would."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr
from terminal import with_store

from orchestrator.demo.board import load_board
from orchestrator.demo.setup import MODELS
from orchestrator.inference.client import TritonClient
from orchestrator.registry.register import register_folder
from orchestrator.settings import Settings


@pytest.fixture
def installation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation that the environment names, with the demo board's tags."""
    for name, value in settings:
        if isinstance(value, SecretStr):
            monkeypatch.setenv(f"TAGDESK_{name.upper()}", value.get_secret_value())
        elif isinstance(value, Path | str):
            monkeypatch.setenv(f"TAGDESK_{name.upper()}", str(value))
    with_store(settings, load_board)
    return settings


@pytest.fixture
def looking(installation: Settings) -> Settings:
    """The same with both models registered and loaded in Triton."""

    async def load() -> None:
        async with TritonClient.from_settings(installation) as triton:
            for name, version in MODELS:
                await triton.load(name, [version], repository=installation.model_repository)

    for name, version in MODELS:
        with_store(
            installation,
            lambda store, name=name, version=version: register_folder(store, installation, name, version),
        )
    asyncio.run(load())
    return installation
