"""What every request passes: an id, a time, a log line, and a last answer when something breaks."""

import re
import secrets
from collections.abc import Callable
from time import perf_counter

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.operations import route_template
from orchestrator.records import User
from orchestrator.telemetry import Metrics

log = structlog.get_logger("tagdesk.http")

REQUEST_ID = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Probes, scrapes and the desk's styles come all the time and say nothing, as long as they go well.
_QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})
_QUIET_FOLDER = "/desk/static/"


class Observed:
    """Names a request, times it, logs it once, and turns a defect into an answer without a traceback."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, unexpected: Callable[[Request], Response]) -> None:
        self._app = app
        self._metrics = metrics
        self._unexpected = unexpected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 0
        start = perf_counter()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers.setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception:
            log.exception("unexpected error in a request", path=scope["path"])
            if status:
                raise
            await self._unexpected(Request(scope))(scope, receive, send_named)
        finally:
            self._note(scope, status, perf_counter() - start)

    @staticmethod
    def _request_id(scope: Scope) -> str:
        """Keep the id that a proxy gave, where it is one; else make one."""
        given = Headers(scope=scope).get(REQUEST_ID, "")
        return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_template(Request(scope))
        if status < 400 and (route in _QUIET_ROUTES or scope["path"].startswith(_QUIET_FOLDER)):
            return
        # A method is any word that a caller likes: as a label it must be one of few.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.http_seconds.labels(method, route, status).observe(seconds)
        user = scope.get("tagdesk.user")
        log.info(
            "request",
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            user_id=user.id if isinstance(user, User) else None,
        )
