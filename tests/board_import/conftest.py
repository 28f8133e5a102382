"""A store on the run's own MariaDB, a small board in it, and files of a board's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from board_files import Files
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
def files(tmp_path: Path, store: Store, settings: Settings) -> Files:
    return Files(tmp_path, store, settings)
