"""The client's methods are the route table's operations: names, what they take, what they return."""

import inspect
import re
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from orchestrator.api.operations import Operation
from orchestrator.api.table import operations
from orchestrator.client import Client

TABLE = operations()


def snake_case(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def models(hint: Any) -> set[type]:
    """The pydantic models of an annotation."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return {one for one in options if isinstance(one, type) and issubclass(one, BaseModel)}


def test_every_method_is_an_operation_and_every_operation_a_method() -> None:
    methods = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert methods == {snake_case(operation.name) for operation in TABLE}


@pytest.mark.parametrize("operation", TABLE, ids=lambda one: one.name)
def test_a_method_takes_and_returns_what_its_operation_does(operation: Operation) -> None:
    method = getattr(Client, snake_case(operation.name))
    hints = get_type_hints(method)
    # It returns the models of the answers that are a success, bytes or text where there is none
    returned = hints.pop("return")
    expected = {answer.model for status, answer in operation.answers.items() if status < 300}
    assert models(returned) == expected - {None}
    assert expected != {None} or returned in (bytes, str)
    # It takes the path's parameters first, by name and in order
    names = list(inspect.signature(method).parameters)[1:]
    path = re.findall(r"{(\w+)}", operation.path)
    assert names[: len(path)] == path
    # And the models of query and body, and an idempotency key exactly where there is one
    taken = set().union(*(models(hint) for hint in hints.values()))
    assert taken == {model for model in (operation.query, operation.body) if model is not None}
    assert ("key" in names) == operation.idempotency_key
    # And a query that has to be given has to be given here
    if operation.query is not None:
        needed = any(field.is_required() for field in operation.query.model_fields.values())
        default = inspect.signature(method).parameters["query"].default
        assert (default is inspect.Parameter.empty) == needed
    assert method.__doc__
