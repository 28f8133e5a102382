"""A stack for each module that walks the whole path: the local stack, whole, and the demo models."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import services

from orchestrator.client import Client
from orchestrator.demo.people import read_tokens
from orchestrator.demo.portraits.files import PortraitFile, write_portraits
from orchestrator.demo.setup import set_up, until_ready
from orchestrator.local.stack import Stack
from orchestrator.records import Role
from orchestrator.settings import load_settings
from orchestrator.store.unit_of_work import Store


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> list[PortraitFile]:
    return write_portraits(tmp_path_factory.mktemp("portraits"), 12)


@pytest.fixture(scope="module")
def picture_host(portraits: list[PortraitFile]) -> Iterator[str]:
    """The board's own picture host; only an allow-list lets the fetcher go there."""
    folder = portraits[0].path.parent

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def installation(picture_host: str) -> Iterator[Stack]:
    """A stack of this test's own, with the demo board and both models."""
    patch = pytest.MonkeyPatch()
    patch.setenv("TAGDESK_FETCH_ALLOW", "127.0.0.1")
    label = f"path-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    stack = Stack(services.test_instance(label))
    stack.up(hasty=True, owner=services.run_owner())
    try:
        for name, value in stack.environment().items():
            if name.startswith("TAGDESK_"):
                patch.setenv(name, value)
        asyncio.run(_prepare(stack))
        yield stack
    finally:
        patch.undo()
        services.remove(stack)


async def _prepare(stack: Stack) -> None:
    settings = load_settings()
    store = await Store.connect(settings)
    try:
        await set_up(store, settings, stack.instance.tokens_file, say=lambda text: None)
    finally:
        await store.close()
    await until_ready(stack.environment()["TAGDESK_PUBLIC_URL"])


@pytest.fixture
async def board(installation: Stack) -> AsyncIterator[Callable[[Role], Client]]:
    """Return the client of somebody in a role."""
    tokens, url = (
        read_tokens(installation.instance.tokens_file),
        installation.environment()["TAGDESK_PUBLIC_URL"],
    )
    async with AsyncExitStack() as open_clients:
        clients = {
            role: await open_clients.enter_async_context(Client(url, token)) for role, token in tokens.items()
        }
        yield clients.__getitem__
