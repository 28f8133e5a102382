"""One visit to the desk: who is there, and how pages, refusals and errors are answered."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar, cast
from urllib.parse import quote

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from orchestrator.errors import (
    Conflict,
    Forbidden,
    NotFound,
    StoreUnavailable,
    TagdeskError,
    TransientError,
    Unauthenticated,
)
from orchestrator.records import User
from orchestrator.resources import Resources
from orchestrator.store import users
from orchestrator.store.transaction import Transaction
from orchestrator.web import paths
from orchestrator.web.sessions import Sessions

T = TypeVar("T")

DESK = "/desk"
SIGN_IN = f"{DESK}/sign-in"
READ_PATIENCE = 1.8
LONGEST_FORM = 256 * 1024

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_PART_OF_A_PAGE = re.compile(r"/(review|generate|picture|preview)$")

_STATUSES = ((Forbidden, 403), (NotFound, 404), (Conflict, 409), (TransientError, 503))
_WORDS = {
    403: "Not yours to see",
    404: "Nothing here",
    409: "Somebody was faster",
    503: "Not available right now",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who is signed in (or, on the sign-in page, of anybody)."""

    request: Request
    resources: Resources
    sessions: Sessions
    pages: Environment
    visitor: User | None

    @property
    def user(self) -> User:
        """Who is signed in."""
        if self.visitor is None:
            raise Unauthenticated("sign in first")
        return self.visitor

    @property
    def image_id(self) -> int:
        """The image that the path names."""
        return paths.image_id(self.request)

    @property
    def wants_json(self) -> bool:
        """Whether the desk's own script asks."""
        return "application/json" in self.request.headers.get("Accept", "")

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Read from the store. Raises StoreUnavailable, also when it takes too long."""
        return await soon(self.resources.store.read(work))

    async def read_and_note(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Read from the store and note what was shown. Raises StoreUnavailable as `read` does."""
        return await soon(self.resources.store.write(work))

    def page(self, template: str, *, status: int = 200, **values: object) -> Response:
        """Render a page."""
        return render(self.pages, template, status=status, user=self.visitor, **values)


Handler = Callable[[Visit], Awaitable[Response]]


async def soon(answer: Awaitable[T]) -> T:
    """Wait for the store's answer for at most READ_PATIENCE seconds. Raises StoreUnavailable."""
    try:
        async with asyncio.timeout(READ_PATIENCE):
            return await answer
    except TimeoutError as error:
        raise StoreUnavailable(f"the database did not answer within {READ_PATIENCE:g} s") from error


def render(pages: Environment, template: str, *, status: int = 200, **values: object) -> Response:
    """Render a template with the desk's headers."""
    return HTMLResponse(pages.get_template(template).render(**values), status_code=status, headers=HEADERS)


def error_page(
    pages: Environment, status: int, detail: str, *, user: User | None = None, headers: Mapping[str, str] = {}
) -> Response:
    """Render what went wrong, and where to go from there."""
    title = _WORDS.get(status, HTTPStatus(status).phrase)
    response = render(pages, "error.html", status=status, title=title, detail=detail, user=user)
    response.headers.update(headers)
    return response


class Endpoint:
    """The ASGI application of one address of the desk. `open_to_all`: no session needed."""

    def __init__(
        self, handler: Handler, *, sessions: Sessions, pages: Environment, open_to_all: bool = False
    ) -> None:
        self._handler = handler
        self._sessions = sessions
        self._pages = pages
        self._open_to_all = open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive, send)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        resources: Resources = cast(Starlette, request.app).state.resources
        visit = Visit(request, resources, self._sessions, self._pages, None)
        try:
            if request.method == "POST":
                self._check_write(request)
            visitor = await self._visitor(visit)
            if visitor is None and not self._open_to_all:
                return self._to_sign_in(visit)
            request.scope["tagdesk.user"] = visitor
            return await self._handler(Visit(request, resources, self._sessions, self._pages, visitor))
        except TagdeskError as error:
            return self._refusal(visit, error)

    def _check_write(self, request: Request) -> None:
        if not self._sessions.is_same_origin(request):
            raise Forbidden("this form was sent from another site, so nothing was done", code="wrong_origin")
        stated = request.headers.get("Content-Length", "")
        if not stated.isdecimal() or int(stated) > LONGEST_FORM:
            raise Forbidden("this form is too long", code="form_too_long")

    async def _visitor(self, visit: Visit) -> User | None:
        digest = self._sessions.open(visit.request)
        return None if digest is None else await visit.read(lambda tx: users.by_token(tx, digest))

    def _to_sign_in(self, visit: Visit) -> Response:
        """Ask to sign in, and lead back to the page that one was on."""
        target = f"{SIGN_IN}?next={quote(_PART_OF_A_PAGE.sub('', visit.request.url.path))}"
        if visit.wants_json:
            told = {"message": "Your session has ended. Sign in again.", "sign_in": target}
            return JSONResponse(told, 401, headers=HEADERS)
        return RedirectResponse(target, status_code=303, headers=HEADERS)

    def _refusal(self, visit: Visit, error: TagdeskError) -> Response:
        status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 422)
        if visit.wants_json:
            return JSONResponse({"message": error.detail, "code": error.code}, status, headers=HEADERS)
        user = visit.request.scope.get("tagdesk.user")
        headers = {"Retry-After": "2"} if status == 503 else {}
        return error_page(
            self._pages, status, error.detail, user=user if isinstance(user, User) else None, headers=headers
        )
