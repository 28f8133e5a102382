"""From the route table to Starlette routes: authenticate, authorize, handle, render."""

from collections.abc import Sequence
from typing import cast

import structlog
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from orchestrator.api import auth, bodies, problems
from orchestrator.api.call import Afterwards, Call
from orchestrator.api.operations import Operation, Reply
from orchestrator.errors import TagdeskError
from orchestrator.resources import Resources
from orchestrator.wire.schemas import Problem, ReviewProblem

log = structlog.get_logger("tagdesk.http")


class Endpoint:
    """The ASGI application of one address: an operation for each of its methods."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = {one.method: one for one in operations}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        app = cast(Starlette, scope["app"])
        resources: Resources = app.state.resources
        operation = self._operations["GET" if scope["method"] == "HEAD" else scope["method"]]
        limit = operation.limit.size(resources.settings.max_image_bytes)
        request = Request(scope, bodies.limited(receive, limit), send)
        try:
            caller = await auth.caller_of(request, resources, operation)
            scope["tagdesk.user"] = caller
            bodies.check_stated_length(request, limit)
            reply = await operation.handler(Call(request, resources, caller))
            response = _render(operation, reply)
            if reply.after is not None:
                response.background = BackgroundTask(_afterwards, operation, reply.after)
        except TagdeskError as error:
            response = problems.of_error(error)
        await response(scope, receive, send)


async def _afterwards(operation: Operation, work: Afterwards) -> None:
    """Do what a reply left for after the answer."""
    try:
        await work()
    except TagdeskError as error:
        log.warning("not done after the answer", operation=operation.name, reason=str(error))


def _render(operation: Operation, reply: Reply) -> Response:
    """Render a reply; one that the table does not announce is a defect of ours."""
    if isinstance(reply.body, Response):
        return reply.body
    answer = operation.answers.get(reply.status)
    if answer is None or answer.model is not type(reply.body):
        raise RuntimeError(f"{operation.name} does not announce {reply.status} {type(reply.body)}")
    if isinstance(reply.body, Problem | ReviewProblem):
        return problems.render(reply.body)
    return Response(
        reply.body.model_dump_json(),
        status_code=reply.status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **reply.headers},
    )


def routes(operations: Sequence[Operation]) -> list[Route]:
    """Return a route for every address, which takes the methods of its operations and no other."""
    addresses: dict[str, list[Operation]] = {}
    for one in operations:
        addresses.setdefault(one.path, []).append(one)
    return [
        Route(path, Endpoint(ours), methods=[one.method for one in ours], name=ours[0].name)
        for path, ours in addresses.items()
    ]
