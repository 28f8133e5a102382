"""The desk put together: templates, sessions, and an address for every page."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from orchestrator import accounts
from orchestrator.settings import Settings
from orchestrator.web import comparing, pages, reviewing, signing_in, words
from orchestrator.web.sessions import Sessions
from orchestrator.web.visit import DESK, Endpoint, Handler, error_page

__all__ = ["DESK", "Desk"]

STATIC = Path(__file__).parent / "static"


class Desk:
    """The review desk of one application."""

    def __init__(self, settings: Settings) -> None:
        self._sessions = Sessions.from_settings(settings)
        self._pages = Environment(
            loader=PackageLoader("orchestrator.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.filters.update(words.FILTERS)
        self._pages.globals["may"] = accounts.may

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes of the desk."""
        image = f"{DESK}/images/{{image_id}}"
        return [
            Mount(f"{DESK}/static", StaticFiles(directory=STATIC), name="desk-static"),
            self._route(f"{DESK}/sign-in", signing_in.show, "GET", open_to_all=True),
            self._route(f"{DESK}/sign-in", signing_in.sign_in, "POST", open_to_all=True),
            self._route(f"{DESK}/sign-out", signing_in.sign_out, "POST", open_to_all=True),
            self._route(DESK, pages.queue, "GET"),
            self._route(image, pages.image, "GET"),
            self._route(f"{image}/picture", pages.picture, "GET"),
            self._route(f"{image}/preview", pages.preview, "GET"),
            self._route(f"{image}/review", reviewing.decide, "POST"),
            self._route(f"{image}/undo", reviewing.take_back, "POST"),
            self._route(f"{image}/generate", reviewing.generate, "POST"),
            self._route(f"{DESK}/models", comparing.versions, "GET"),
            self._route(f"{DESK}/models/{{name}}/compare/{{m}}/{{n}}", comparing.compare, "GET"),
            self._route(f"{DESK}/models/images/{{image_id}}/preview", comparing.preview, "GET"),
        ]

    def not_served(self, request: Request, error: HTTPException) -> Response:
        """Answer an address that the desk does not have."""
        detail = "There is no such page." if error.status_code == 404 else str(error.detail)
        return error_page(self._pages, error.status_code, detail, headers=error.headers or {})

    def unexpected(self, request: Request) -> Response:
        """Answer a defect of ours."""
        detail = "Something went wrong here. Nothing you decided before is lost."
        if "application/json" in request.headers.get("Accept", ""):
            return JSONResponse({"message": detail, "code": "internal_error"}, 500)
        return error_page(self._pages, 500, detail)

    def _route(self, path: str, handler: Handler, method: str, *, open_to_all: bool = False) -> Route:
        endpoint = Endpoint(handler, sessions=self._sessions, pages=self._pages, open_to_all=open_to_all)
        return Route(path, endpoint, methods=[method])
