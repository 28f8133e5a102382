"""The wire between client and application: it remembers what went over it, and fails when told to."""

from collections import deque
from collections.abc import Callable

import httpx

Failure = Callable[[httpx.Request], httpx.Response]


class Edge(httpx.AsyncBaseTransport):
    """Hands calls on. `before` fails calls that never arrive, `after` answers that are lost on the way back;
    each is used once, the first one first."""

    def __init__(self, beyond: httpx.AsyncBaseTransport) -> None:
        self._beyond = beyond
        self.seen: list[httpx.Request] = []
        self.before: deque[Failure] = deque()
        self.after: deque[Failure] = deque()

    @property
    def keys(self) -> list[str | None]:
        """The idempotency key of every call so far."""
        return [request.headers.get("Idempotency-Key") for request in self.seen]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if self.before:
            return self.before.popleft()(request)
        response = await self._beyond.handle_async_request(request)
        if self.after:
            await response.aclose()
            return self.after.popleft()(request)
        return response


def refused(request: httpx.Request) -> httpx.Response:
    """Nobody listens."""
    raise httpx.ConnectError("connection refused", request=request)


def cut(request: httpx.Request) -> httpx.Response:
    """The connection breaks."""
    raise httpx.ReadError("connection reset", request=request)


def silent(request: httpx.Request) -> httpx.Response:
    """Nothing comes."""
    raise httpx.ReadTimeout("", request=request)


def answering(status: int, text: str = "", **headers: str) -> Failure:
    """Return a failure that something in between answers."""
    return lambda request: httpx.Response(
        status, text=text, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
