"""The client on the application in this process, with a small board behind it."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from edge import Edge
from serving import ADDRESS, Api, serving
from small_board import SmallBoard

from orchestrator.client import Client
from orchestrator.records import Role
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
async def api(settings: Settings, board: SmallBoard, store: Store) -> AsyncIterator[Api]:
    people = {Role.TAGGER: board.tagger, Role.MODERATOR: board.moderator, Role.ENGINEER: board.engineer}
    async with serving(settings, people, store) as api:
        yield api


@pytest.fixture
def edge(api: Api) -> Edge:
    """The wire to the application."""
    return Edge(httpx.ASGITransport(api.app))


@pytest.fixture
def client_of(api: Api, edge: Edge) -> Callable[..., Client]:
    """Return a client of somebody in a role; further arguments are the client's."""

    def make(role: Role = Role.MODERATOR, **more: float) -> Client:
        return Client(ADDRESS, api.tokens[role], transport=edge, **more)

    return make


@pytest.fixture
async def client(client_of: Callable[..., Client]) -> AsyncIterator[Client]:
    """A moderator's client."""
    async with client_of() as client:
        yield client
