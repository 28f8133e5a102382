"""The desk in a real browser, on the run's own services."""

from collections.abc import AsyncIterator

import pytest
from desk_walk import Desk, chromium, served
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


@pytest.fixture
async def desk(board: SmallBoard, settings: Settings) -> AsyncIterator[Desk]:
    with served(settings) as address:
        async with chromium() as browser:
            yield Desk(address, browser, board, settings)
