"""The process's application: the API, its documentation, health, metrics, and the review desk."""

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orchestrator.api import docs, problems, routing
from orchestrator.api.health import Readiness
from orchestrator.api.middleware import Observed
from orchestrator.api.table import operations
from orchestrator.resources import Resources
from orchestrator.settings import Settings, load_settings
from orchestrator.telemetry import Metrics, configure_logging
from orchestrator.web.desk import DESK, Desk


def create_app(settings: Settings | None = None) -> Starlette:
    """Build the application. Without settings it is a process's own: they come from the environment and
    logging is set up. Resources open with the application's lifespan."""
    own = settings is None
    if settings is None:
        settings = load_settings()
        configure_logging("api")
        # `Observed` logs every request with what uvicorn cannot know, so uvicorn's own line goes.
        logging.getLogger("uvicorn.access").propagate = False
    chosen, metrics, desk, table = settings, Metrics.create(), Desk(settings), operations()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        resources = await Resources.open(chosen, metrics=metrics)
        try:
            app.state.resources = resources
            app.state.readiness = Readiness(resources)
            if own:
                _collect_garbage_seldom()
            yield
        finally:
            await resources.close()

    def on_unexpected(request: Request) -> Response:
        return desk.unexpected(request) if _is_desk(request) else problems.unexpected()

    async def on_http_exception(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return desk.not_served(request, error) if _is_desk(request) else problems.of_http_exception(error)

    return Starlette(
        routes=[
            *routing.routes(table),
            *docs.routes(table),
            *desk.routes(),
            Route("/", _to_desk, methods=["GET"], name="root"),
        ],
        middleware=[Middleware(Observed, metrics=metrics, unexpected=on_unexpected)],
        exception_handlers={HTTPException: on_http_exception},
        lifespan=lifespan,
    )


def _collect_garbage_seldom() -> None:
    """Spare requests what collecting costs: a page of a queue makes thousands of objects and no cycle, and
    modules and schemas, which take 0.1 s to look at, never go."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _is_desk(request: Request) -> bool:
    path = request.url.path
    return path == DESK or path.startswith(f"{DESK}/")


async def _to_desk(_request: Request) -> Response:
    return RedirectResponse(DESK, status_code=303)
