"""The OpenAPI document: valid 3.1, made of the routes that are served, with examples that fit."""

import json
import re
from typing import Any

import pytest
from pydantic import BaseModel
from serving import Api
from starlette.routing import Route

from orchestrator.api import routing
from orchestrator.api.openapi import document
from orchestrator.api.operations import Operation
from orchestrator.api.table import operations
from orchestrator.wire import requests, schemas

TABLE = operations()


@pytest.fixture
def described() -> dict[str, Any]:
    return document(TABLE)


def references(part: object) -> set[str]:
    """Every $ref in a document."""
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*(references(value) for value in part.values()))
    if isinstance(part, list):
        return set().union(*(references(value) for value in part))
    return set()


def test_the_document_has_exactly_the_operations_that_are_served(described: dict[str, Any]) -> None:
    served = {
        (method, route.path)
        for route in routing.routes(TABLE)
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert served == {
        (method.upper(), path) for path, methods in described["paths"].items() for method in methods
    }


def test_the_document_is_json_of_openapi_3_1(described: dict[str, Any]) -> None:
    assert json.loads(json.dumps(described)) == described
    assert described["openapi"].startswith("3.1.")
    assert {"title", "version"} <= described["info"].keys()


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    found = references(described)
    assert found
    assert found <= known


def test_operation_ids_are_unique_and_path_parameters_declared(described: dict[str, Any]) -> None:
    names = []
    for path, methods in described["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            declared = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))
            assert operation["responses"]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("operation", TABLE, ids=lambda one: one.name)
def test_every_operation_has_examples_that_fit(operation: Operation) -> None:
    def check(model: type[BaseModel], example: object, *, strict: bool) -> None:
        assert example is not None
        model.model_validate_json(json.dumps(example), strict=strict)

    # Then there is an example of what it takes
    if operation.body is not None:
        check(operation.body, operation.body_example, strict=True)
    if operation.query is not None:
        required = {name for name, field in operation.query.model_fields.items() if field.is_required()}
        assert required <= (operation.query_example or {}).keys()
        check(operation.query, operation.query_example or {}, strict=False)
    # And of every answer that is JSON
    for answer in operation.answers.values():
        if answer.model is not None:
            check(answer.model, answer.example, strict=False)


def test_examples_of_parameters_are_in_the_document(described: dict[str, Any]) -> None:
    parameters = described["paths"]["/api/v1/tag-suggestions"]["get"]["parameters"]
    examples = {one["name"]: one["example"] for one in parameters if "example" in one}
    assert examples == {"tag_id": 7, "order": "uncertainty", "held": "free"}


@pytest.mark.parametrize("operation", [one for one in TABLE if one.action], ids=lambda one: one.name)
def test_what_needs_a_token_says_so(operation: Operation, described: dict[str, Any]) -> None:
    found = described["paths"][operation.path][operation.method.lower()]
    assert found["security"] == [{"token": []}]
    assert {"401", "403", "500", "503"} <= found["responses"].keys()


def test_requests_refuse_unknown_fields_and_numbers_in_quotes(described: dict[str, Any]) -> None:
    for name in ("RegisterImage", "ReviewRequest", "DecisionItem"):
        assert described["components"]["schemas"][name]["additionalProperties"] is False
    with pytest.raises(ValueError, match="int"):
        requests.RegisterImage.model_validate_json(
            '{"url": "https://a.example/1.png", "external_id": "7"}', strict=True
        )


def test_times_are_utc_with_a_z() -> None:
    live = schemas.StatusAnswer.model_validate(
        {
            "id": 1,
            "status": "done",
            "attempts": 1,
            "failure": None,
            "created_at": "2026-01-05T12:00:00+02:00",
            "analysed_at": None,
        }
    )
    assert json.loads(live.model_dump_json())["created_at"] == "2026-01-05T10:00:00.000Z"


@pytest.mark.anyio
async def test_the_document_and_its_page_are_served_without_a_token(
    api: Api, described: dict[str, Any]
) -> None:
    """Given nobody's token, then the document is there, and a page that lists every operation of it."""
    served = await api.http.get("/api/v1/openapi.json")
    assert served.json() == described
    page = await api.http.get("/api/v1/docs")
    assert page.status_code == 200
    for path, methods in described["paths"].items():
        assert path in page.text
        assert all(f'id="{operation["operationId"]}"' in page.text for operation in methods.values())
