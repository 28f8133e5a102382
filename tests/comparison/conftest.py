"""A small board on which two versions of a model have looked."""

from collections.abc import AsyncIterator

import pytest
from compared_board import ComparedBoard
from small_board import SmallBoard

from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store


@pytest.fixture
async def compared(settings: Settings) -> AsyncIterator[ComparedBoard]:
    store = await Store.connect(settings)
    yield await ComparedBoard.build(await SmallBoard.build(store, settings))
    await store.close()
