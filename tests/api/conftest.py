"""The application on the run's own services, with a small board behind it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from serving import Api, serving
from small_board import SmallBoard

from orchestrator import accounts
from orchestrator.records import Role, User
from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store


@pytest.fixture
def pictures(settings: Settings) -> Path:
    """The folder that pictures may be registered from by path."""
    return settings.image_roots[0]


@pytest.fixture
def api_settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_image_bytes": 200_000})


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    opened = await Store.connect(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def board(store: Store, settings: Settings) -> SmallBoard:
    return await SmallBoard.build(store, settings)


@pytest.fixture
async def people(store: Store, board: SmallBoard) -> dict[Role, User]:
    """Somebody in every role."""
    return {
        Role.UPLOADER: board.uploader,
        Role.TAGGER: board.tagger,
        Role.MODERATOR: board.moderator,
        Role.ENGINEER: board.engineer,
        Role.ADMIN: await accounts.create_user(store, name="the admin", role=Role.ADMIN),
    }


@pytest.fixture
async def api(api_settings: Settings, people: dict[Role, User], store: Store) -> AsyncIterator[Api]:
    async with serving(api_settings, people, store) as api:
        yield api
