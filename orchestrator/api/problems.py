"""Every error as RFC 9457 problem+json. The one place that knows which class means which status."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import Response

from orchestrator.errors import (
    Conflict,
    Forbidden,
    ImageError,
    InvalidInput,
    NotFound,
    StoreUnavailable,
    TagdeskError,
    TransientError,
    Unauthenticated,
)
from orchestrator.wire.schemas import FieldError, Problem, ReviewProblem

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "2"}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tagdesk"'}

# The first class that fits decides; subclasses stand before their bases.
STATUSES: Sequence[tuple[type[TagdeskError], int, Mapping[str, str]]] = (
    (Unauthenticated, 401, CHALLENGE),
    (Forbidden, 403, {}),
    (NotFound, 404, {}),
    (Conflict, 409, {}),
    (InvalidInput, 422, {}),
    (ImageError, 422, {}),
    (StoreUnavailable, 503, RETRY_AFTER),
    (TransientError, 503, RETRY_AFTER),
    # A model version that refuses its input is nothing that the caller could mend.
    (TagdeskError, 503, {}),
)

ROUTER_CODES = {404: "no_such_route", 405: "method_not_allowed"}


class RequestRefused(TagdeskError):
    """The request itself is malformed, before anybody has looked at what it asks for."""

    def __init__(self, status: int, code: str, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail, code=code)
        self.status = status
        self.errors = tuple(errors)


def status_of(error: TagdeskError) -> tuple[int, Mapping[str, str]]:
    """Return the status and the extra headers that an error's class means."""
    if isinstance(error, RequestRefused):
        return error.status, {}
    return next((status, headers) for kind, status, headers in STATUSES if isinstance(error, kind))


def problem(
    status: int, code: str, detail: str, *, errors: Sequence[FieldError] = (), headers: Mapping[str, str] = {}
) -> Response:
    """Return a problem document."""
    return render(
        Problem(
            type=f"urn:tagdesk:problem:{code}",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail,
            code=code,
            errors=tuple(errors) or None,
        ),
        headers=headers,
    )


def render(document: Problem | ReviewProblem, *, headers: Mapping[str, str] = {}) -> Response:
    """Return any problem document as a response with its own status."""
    # Only `errors` is left out when there are none: what is null inside a result is announced, so it stays.
    without = {"errors"} if document.errors is None else None
    return Response(
        document.model_dump_json(exclude=without),
        status_code=document.status,
        media_type=MEDIA_TYPE,
        headers={**headers, "Cache-Control": "no-store"},
    )


def of_error(error: TagdeskError) -> Response:
    """Return what an error raised on purpose means to the caller."""
    status, headers = status_of(error)
    errors = error.errors if isinstance(error, RequestRefused) else ()
    return problem(status, error.code, error.detail, errors=errors, headers=headers)


def of_http_exception(error: HTTPException) -> Response:
    """Return what the router raised: no such route, or not with this method."""
    code = ROUTER_CODES.get(error.status_code, f"http_{error.status_code}")
    details = {404: "nothing is served at this address", 405: "this address does not know the method"}
    detail = details.get(error.status_code, error.detail)
    return problem(error.status_code, code, detail, headers=error.headers or {})


def unexpected() -> Response:
    """Return the answer to a defect of ours; the log has the traceback, the caller never does."""
    return problem(500, "internal_error", "something went wrong here; the log names this request's id")
