"""One operation of the API: its address, who may call it, what goes in and what comes out.

The route table (`table.py`) lists them. Routing, authorization, the OpenAPI document and the role-matrix
test are all made from that one list, so that none of them can drift from the others.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.accounts import Action
from orchestrator.api.bodies import BodyLimit
from orchestrator.api.call import Afterwards, Call
from orchestrator.wire.base import Answered

Handler = Callable[[Call], Awaitable["Reply"]]

JSON = "application/json"
MULTIPART = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers: a model for JSON, or a response of its own kind (a picture, metrics).

    `after`: what is done when the answer is out. It never spoils the answer: if it fails, the log says so.
    """

    status: int
    body: BaseModel | Response
    headers: Mapping[str, str] = field(default_factory=dict)
    after: Afterwards | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A documented answer. Without a model the body is of `media_types`."""

    description: str
    model: type[Answered] | None = None
    media_types: tuple[str, ...] = (JSON,)
    example: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """`action`: what the caller's role must allow, `None` when no token is needed.

    `any_of`: further actions, one of which is enough. `body`: the JSON model; `uploads`: media types of a
    picture in the body (multipart/form-data has it in the field `file`). `problems`: statuses beyond those
    that follow from the rest.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    name: str
    summary: str
    group: str
    handler: Handler
    answers: Mapping[int, Answer]
    action: Action | None = None
    any_of: tuple[Action, ...] = ()
    description: str = ""
    query: type[BaseModel] | None = None
    query_example: Mapping[str, object] | None = None
    body: type[BaseModel] | None = None
    body_example: Mapping[str, object] | None = None
    uploads: tuple[str, ...] = ()
    limit: BodyLimit = BodyLimit.DOCUMENT
    idempotency_key: bool = False
    problems: tuple[int, ...] = ()

    @property
    def actions(self) -> tuple[Action, ...]:
        """Every action that is enough to be let in."""
        return () if self.action is None else (self.action, *self.any_of)

    @property
    def problem_statuses(self) -> tuple[int, ...]:
        """Every status that comes with a problem document."""
        found = {500, *self.problems}
        if self.action is not None:
            found |= {401, 403, 503}
        if "{" in self.path:
            found |= {404}
        if self.body is not None or self.uploads:
            found |= {400, 413, 415, 422}
        if self.query is not None or self.idempotency_key:
            found |= {422}
        return tuple(sorted(found - set(self.answers)))


def route_template(request: Request) -> str:
    """Return the template of the route that a request matched, for metrics and logs."""
    route = request.scope.get("route")
    return str(getattr(route, "path", "unmatched"))
