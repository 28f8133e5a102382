"""The OpenAPI document and a page to read it on, complete in itself."""

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from orchestrator.api.answers import PREFIX
from orchestrator.api.openapi import document
from orchestrator.api.operations import Operation

_CSP = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"


def routes(operations: Sequence[Operation]) -> list[Route]:
    """Return the routes of the document and of its page."""
    described = document(operations)
    body = json.dumps(described, ensure_ascii=False).encode()
    templates = Environment(loader=PackageLoader("orchestrator.api"), autoescape=True)
    page = templates.get_template("docs.html").render(document=described, groups=_groups(described))

    async def show_document(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    async def show_page(_request: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": _CSP})

    return [
        Route(f"{PREFIX}/openapi.json", show_document, methods=["GET"], name="openapi"),
        Route(f"{PREFIX}/docs", show_page, methods=["GET"], name="docs"),
    ]


def _groups(described: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the operations by group, each with its method, its path and its examples as text."""
    groups: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in described["tags"]}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(
                {
                    **operation,
                    "path": path,
                    "method": method.upper(),
                    "sent": _examples(operation.get("requestBody", {})),
                    "answers": [
                        {"status": status, "description": one["description"], "examples": _examples(one)}
                        for status, one in operation["responses"].items()
                    ],
                }
            )
    return groups


def _examples(part: dict[str, Any]) -> list[dict[str, str]]:
    """Return each media type of a body with its example or its schema's name."""
    return [
        {
            "media_type": media_type,
            "schema": one["schema"].get("$ref", "").rsplit("/", 1)[-1],
            "example": json.dumps(one["example"], indent=2, ensure_ascii=False) if "example" in one else "",
        }
        for media_type, one in part.get("content", {}).items()
    ]
