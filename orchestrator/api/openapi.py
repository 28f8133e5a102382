"""The OpenAPI 3.1 document, made from the route table. The one module that knows that format."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from orchestrator.api import problems
from orchestrator.api.operations import JSON, MULTIPART, Answer, Operation
from orchestrator.wire.base import LARGEST_VERSION, MAX_ID, MODEL_NAME
from orchestrator.wire.schemas import Problem, ReviewProblem

Document = dict[str, Any]

_PARAMETER = re.compile(r"{(\w+)}")
_SECURITY = "token"
_ID_SCHEMA = {"type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_ID}
_PATH_PARAMETERS: Mapping[str, tuple[Document, object]] = {
    "image_id": (_ID_SCHEMA, 12),
    "batch_id": (_ID_SCHEMA, 5),
    "job_id": (_ID_SCHEMA, 8),
    "lease_id": (_ID_SCHEMA, 32),
    "mapping_id": (_ID_SCHEMA, 4),
    "tag_id": (_ID_SCHEMA, 7),
    "name": ({"type": "string", "pattern": MODEL_NAME}, "wd14"),
    "version": ({"type": "integer", "minimum": 1, "maximum": LARGEST_VERSION}, 2),
}
_BINARY: Document = {}
_REQUEST_ID_HEADER = {
    "description": "The id under which the log knows this request; a caller's own is kept.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
}
_TEXT_HEADER = {"required": True, "schema": {"type": "string"}}


def document(operations: Sequence[Operation]) -> Document:
    """Return the OpenAPI document of these operations, ready for JSON."""
    references, definitions = _components(operations)
    addresses: dict[str, Document] = {}
    for operation in operations:
        addresses.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tagdesk",
            "version": version("tagdesk"),
            "summary": "Tag suggestions for an image board: neural taggers look, people decide.",
            "description": (
                "Lists are `{items, next_cursor}` with opaque cursors. Times are RFC 3339 in UTC, scores "
                "floats 0 … 1. Errors are RFC 9457 problem documents with a stable `code`. Malformed JSON is "
                "400, JSON that breaks its schema (unknown fields included) is 422. `Idempotency-Key` makes "
                "a write safe to repeat."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(one.group for one in operations)],
        "paths": addresses,
        "components": {
            "schemas": definitions,
            "securitySchemes": {_SECURITY: {"type": "http", "scheme": "bearer", "bearerFormat": "td_…"}},
        },
    }


_References = Mapping[Any, Document]


def _components(operations: Iterable[Operation]) -> tuple[_References, Document]:
    """Return a reference for every model, and the definitions that they refer to."""
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
    for operation in operations:
        if operation.body is not None:
            wanted[operation.body, "validation"] = None
        if operation.query is not None:
            wanted[operation.query, "validation"] = None
        for answer in operation.answers.values():
            if answer.model is not None:
                wanted[answer.model, "serialization"] = None
    references, found = models_json_schema(list(wanted), ref_template="#/components/schemas/{model}")
    return references, found.get("$defs", {})


def _operation(operation: Operation, references: _References) -> Document:
    found: Document = {
        "operationId": operation.name,
        "tags": [operation.group],
        "summary": operation.summary,
        "description": _description(operation),
        "parameters": list(_parameters(operation)),
        "responses": _responses(operation, references),
        "security": [{_SECURITY: []}] if operation.action is not None else [],
    }
    if operation.actions:
        found["x-actions"] = [str(action) for action in operation.actions]
    if operation.body is not None or operation.uploads:
        found["requestBody"] = {"required": True, "content": _content(operation, references)}
    return {key: value for key, value in found.items() if value not in ("", [])} | {
        "security": found["security"]
    }


def _description(operation: Operation) -> str:
    who = " or ".join(f"`{action}`" for action in operation.actions)
    return " ".join(
        part for part in (operation.description, who and f"Needs a role that allows {who}.") if part
    )


def _parameters(operation: Operation) -> Iterable[Document]:
    for name in _PARAMETER.findall(operation.path):
        schema, example = _PATH_PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "schema": schema, "example": example}
    if operation.query is not None:
        # Query models are flat, so their properties stand for themselves.
        examples = operation.query_example or {}
        query = operation.query.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, part in query["properties"].items():
            yield {
                "name": name,
                "in": "query",
                "required": name in query.get("required", ()),
                "description": part.get("description", ""),
                "schema": _without_null(part),
                **({"example": examples[name]} if name in examples else {}),
            }
    if operation.idempotency_key:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Repeating the same request under the same key does it once.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
        }


def _without_null(schema: Mapping[str, Any]) -> Document:
    """Return a parameter's schema without null: a query leaves a parameter out instead."""
    found = {key: value for key, value in schema.items() if key not in ("description", "title")}
    options = [one for one in found.pop("anyOf", ()) if one.get("type") != "null"]
    if found.get("default", ...) is None:
        del found["default"]
    return (
        {**options[0], **found} if len(options) == 1 else {**found, **({"anyOf": options} if options else {})}
    )


def _content(operation: Operation, references: _References) -> Document:
    content: Document = {}
    if operation.body is not None:
        content[JSON] = {"schema": references[operation.body, "validation"]}
        if operation.body_example is not None:
            content[JSON]["example"] = operation.body_example
    for media_type in operation.uploads:
        content[media_type] = {"schema": _form(operation) if media_type == MULTIPART else _BINARY}
    return content


def _form(operation: Operation) -> Document:
    properties: Document = {"file": {"type": "string", "contentMediaType": "application/octet-stream"}}
    if operation.body is not None and "external_id" in operation.body.model_fields:
        properties["external_id"] = _ID_SCHEMA
    return {"type": "object", "properties": properties, "required": ["file"], "additionalProperties": False}


def _responses(operation: Operation, references: _References) -> Document:
    found = {str(status): _answer(one, references) for status, one in operation.answers.items()}
    for status in operation.problem_statuses:
        found[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {problems.MEDIA_TYPE: {"schema": references[Problem, "serialization"]}},
            "headers": {
                "X-Request-ID": _REQUEST_ID_HEADER,
                **({"WWW-Authenticate": _TEXT_HEADER} if status == 401 else {}),
                **({"Retry-After": {"schema": {"type": "string"}}} if status == 503 else {}),
            },
        }
    return dict(sorted(found.items()))


def _answer(answer: Answer, references: _References) -> Document:
    content: Document = {}
    for media_type in answer.media_types:
        content[media_type] = {"schema": _answer_schema(answer, references)}
        if answer.example is not None:
            content[media_type]["example"] = answer.example
    return {
        "description": answer.description,
        "headers": {"X-Request-ID": _REQUEST_ID_HEADER},
        **({"content": content} if content else {}),
    }


def _answer_schema(answer: Answer, references: _References) -> Document:
    if answer.model is None:
        return _BINARY
    reference = references[answer.model, "serialization"]
    if answer.model is ReviewProblem:
        # A reused idempotency key is a plain problem with the same status.
        return {"anyOf": [reference, references[Problem, "serialization"]]}
    return reference
