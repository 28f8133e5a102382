"""A small board in the run's own MariaDB."""

from collections.abc import AsyncIterator

import pytest
from small_board import SmallBoard

from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store


@pytest.fixture
async def board(settings: Settings) -> AsyncIterator[SmallBoard]:
    store = await Store.connect(settings)
    yield await SmallBoard.build(store, settings)
    await store.close()
