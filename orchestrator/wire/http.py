"""Calls over HTTP: what is sent and understood, what is tried again, and what errors become."""

import asyncio
import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
import httpx
from pydantic import BaseModel, ValidationError

from orchestrator.errors import InvalidInput, TagdeskError
from orchestrator.wire.base import Answered, Sent
from orchestrator.wire.schemas import Counts, FieldError, Problem, ReviewProblem, ReviewResult

AnswerT = TypeVar("AnswerT", bound=Answered)
Picture = bytes | Path
"""A picture to send: its bytes, or the file that has them."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_UNAVAILABLE = 503
_THIS_MACHINE = frozenset({"127.0.0.1", "::1", "localhost"})


class ApiUnavailable(TagdeskError):
    """The API cannot be reached, or did not answer in time. Whether it acted on the call is not known."""

    code = "api_unavailable"


class ApiError(TagdeskError):
    """The API refused a call. `code` is of docs/errors.md; `errors` say where the request is wrong.

    `results`, `counts`: of a review none of whose decisions went through, each saying who decided what.
    `request_id`: the log's name for the call, empty where something in between answered. `code` is
    `api_error` for an answer that is none of this API's.
    """

    code = "api_error"

    def __init__(
        self, status: int, problem: Problem | ReviewProblem | None, detail: str, *, request_id: str
    ) -> None:
        super().__init__(detail, code=None if problem is None else problem.code)
        self.status = status
        self.request_id = request_id
        self.errors: tuple[FieldError, ...] = () if problem is None else problem.errors or ()
        reviewed = problem if isinstance(problem, ReviewProblem) else None
        self.results: tuple[ReviewResult, ...] = () if reviewed is None else reviewed.results
        self.counts: Counts | None = None if reviewed is None else reviewed.counts

    def __str__(self) -> str:
        where = "; ".join(f"{one.pointer}: {one.detail}" for one in self.errors)
        return f"{self.detail} ({self.code})" + (f": {where}" if where else "")


@dataclass(frozen=True, slots=True)
class Body:
    """What a call carries: bytes of a media type, or an upload in a form."""

    content: bytes | None = None
    media_type: str | None = None
    form: Mapping[str, str] | None = None
    file: bytes | None = None

    @classmethod
    def json(cls, document: Sent) -> "Body":
        """Only what was given is sent: left out is not the same as null."""
        return cls(document.model_dump_json(exclude_unset=True).encode(), "application/json")

    @classmethod
    async def raw(cls, picture: Picture) -> "Body":
        """Send a picture as it is."""
        return cls(await _bytes(picture), "application/octet-stream")

    @classmethod
    async def upload(cls, picture: Picture, fields: Sent) -> "Body":
        """Send a picture as a form's `file`, with other fields beside it."""
        others = fields.model_dump(mode="json", exclude_none=True)
        return cls(form={name: str(value) for name, value in others.items()}, file=await _bytes(picture))


async def _bytes(picture: Picture) -> bytes:
    return picture if isinstance(picture, bytes) else await anyio.to_thread.run_sync(picture.read_bytes)


def new_key() -> str:
    """Return an idempotency key that nobody has used."""
    return secrets.token_hex(16)


class Connection:
    """Calls to one API as one user. Close it when done."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        timeout: float,
        patience: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`timeout`, `patience`: seconds, for an answer, and for trying again. Raises InvalidInput."""
        if token is not None and not (token.isascii() and token.isprintable() and token):
            raise InvalidInput("a token has printable ASCII characters only", code="bad_token")
        headers = {"Accept": "*/*", "User-Agent": f"tagdesk/{version('tagdesk')}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        address = _address(url)
        self._http = httpx.AsyncClient(
            base_url=address,
            headers=headers,
            timeout=timeout,
            transport=transport,
            trust_env=address.host not in _THIS_MACHINE,  # no proxy leads back here
        )
        self._url = url
        self._patience = patience

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        model: type[AnswerT],
        *,
        query: BaseModel | None = None,
        body: Body | None = None,
        key: str | None = None,
        repeatable: bool = False,
        also: int | None = None,
    ) -> AnswerT:
        """Call and return the answer as `model`; the same of `also`, a status that is no success.

        Tried again while the API is away, until `patience` is over: a GET, a call under a `key`, and one that
        is said to be `repeatable`; any other only as long as it cannot have been sent. Raises ApiError,
        ApiUnavailable.
        """
        response = await self.send(
            method, path, query=query, body=body, key=key, repeatable=repeatable, also=also
        )
        return self.understand(response, model)

    def understand(self, response: httpx.Response, model: type[AnswerT]) -> AnswerT:
        """Return an answer as `model`. Raises ApiError when it is none."""
        try:
            # A field that a newer API has more is no error.
            return model.model_validate_json(response.content, extra="ignore")
        except ValidationError as error:
            detail = f"what {self._url} answers is no {model.__name__}: is it tagdesk, of this release?"
            raise _refused(response, detail) from error

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: BaseModel | None = None,
        body: Body | None = None,
        key: str | None = None,
        repeatable: bool = False,
        also: int | None = None,
    ) -> httpx.Response:
        """Like `ask`, for the bare response."""
        request = self._request(method, path, query, body or Body(), key)
        safe = repeatable or method == "GET" or key is not None
        end = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            failure: ApiError | ApiUnavailable
            asked = 0.0
            try:
                response = await self._http.send(request)
            except httpx.RequestError as error:
                failure = ApiUnavailable(f"{self._url} does not answer: {str(error) or type(error).__name__}")
                failure.__cause__ = error
                again = (safe and isinstance(error, httpx.TransportError)) or isinstance(error, _NOT_SENT)
            else:
                if response.is_success or response.status_code == also:
                    return response
                failure = _refused(response, f"{self._url} answers {response.status_code}")
                again = safe and response.status_code == _UNAVAILABLE
                asked = _seconds(response.headers.get("Retry-After", ""))
            wait = max(asked, pause * random.uniform(0.5, 1))
            if not again or time.monotonic() + wait > end:
                raise failure
            await asyncio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _request(
        self, method: str, path: str, query: BaseModel | None, body: Body, key: str | None
    ) -> httpx.Request:
        given = {} if query is None else query.model_dump(mode="json", exclude_none=True, exclude_unset=True)
        headers = {} if key is None else {"Idempotency-Key": key}
        if body.media_type is not None:
            headers["Content-Type"] = body.media_type
        return self._http.build_request(
            method,
            path,
            params=given,
            headers=headers,
            content=body.content,
            data=body.form,
            files=None if body.file is None else {"file": ("picture", body.file, "application/octet-stream")},
        )


def _address(url: str) -> httpx.URL:
    try:
        found = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        found = httpx.URL()
    if found.scheme not in ("http", "https") or not found.host:
        raise InvalidInput(
            f"{url!r} is no address of an API: http://HOST:PORT or https://HOST", code="url_refused"
        )
    return found


def _refused(response: httpx.Response, detail: str) -> ApiError:
    """Return what a response that is no answer means. `detail`: where it is no problem document either."""
    problem: Problem | ReviewProblem | None = None
    if response.headers.get("Content-Type", "").startswith("application/problem+json"):
        for model in (ReviewProblem, Problem):
            try:
                problem = model.model_validate_json(response.content, extra="ignore")
                break
            except ValidationError:
                continue
    return ApiError(
        response.status_code,
        problem,
        detail if problem is None else problem.detail,
        request_id=response.headers.get("X-Request-ID", ""),
    )


def _seconds(text: str) -> float:
    """Return the seconds that a Retry-After header names; 0 where it names a date, or nothing."""
    return float(text) if text.isascii() and text.isdecimal() else 0.0
