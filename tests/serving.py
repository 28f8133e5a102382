"""The real application in this process, and calls to it as people of every role."""

import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from starlette.applications import Starlette
from structlog.testing import capture_logs

from orchestrator import accounts
from orchestrator.api.app import create_app
from orchestrator.records import Role, User
from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store

ADDRESS = "http://127.0.0.1:8080"


@dataclass(frozen=True)
class Api:
    """An application that serves, and a token for every role."""

    app: Starlette
    http: httpx.AsyncClient
    people: Mapping[Role, User]
    tokens: Mapping[Role, str]

    def as_role(self, role: Role) -> dict[str, str]:
        """Return the headers of somebody in this role."""
        return {"Authorization": f"Bearer {self.tokens[role]}"}

    async def get(self, path: str, role: Role = Role.TAGGER, **more: object) -> httpx.Response:
        """GET as somebody in this role."""
        return await self.http.get(path, headers=self.as_role(role), **more)  # type: ignore[arg-type]

    async def post(
        self, path: str, role: Role = Role.TAGGER, *, key: str | None = None, **more: object
    ) -> httpx.Response:
        """POST as somebody in this role, under an idempotency key if one is given."""
        headers = self.as_role(role) | ({} if key is None else {"Idempotency-Key": key})
        return await self.http.post(path, headers=headers, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(settings: Settings, people: Mapping[Role, User], store: Store) -> AsyncIterator[Api]:
    """Start the application on these settings, with a token for each of these people."""
    tokens = {role: await accounts.issue_token(store, user, name="test") for role, user in people.items()}
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as http:
            yield Api(app, http, people, tokens)


@contextmanager
def listening(settings: Settings) -> Iterator[str]:
    """Serve the application on a port of its own, from a thread that logs nothing; yields its address."""
    started = threading.Event()

    class Announcing(uvicorn.Server):
        async def startup(self, *arguments: object, **more: object) -> None:
            await super().startup(*arguments, **more)  # type: ignore[arg-type]
            started.set()

    config = uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_config=None)
    server = Announcing(config)
    thread = threading.Thread(target=server.run)
    with capture_logs():
        thread.start()
        try:
            assert started.wait(30), "the application does not start"
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    """The answer is a problem document of this status and code, and shows no traceback."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    document = response.json()
    assert (document["status"], document["code"]) == (status, code), document
    assert document["title"]
    assert document["detail"]
    assert "Traceback" not in response.text
