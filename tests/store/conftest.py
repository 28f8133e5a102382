"""A store on the run's own MariaDB, and a small board in it."""

from collections.abc import AsyncIterator

import pytest
from small_board import SmallBoard

from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    opened = await Store.connect(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def board(store: Store, settings: Settings) -> SmallBoard:
    return await SmallBoard.build(store, settings)
