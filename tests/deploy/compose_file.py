"""The compose file as compose reads it: variables put in, and each service as a record."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.local.instance import checkout

FILE = checkout() / "docker-compose.gpu.yml"
OWN = ("models", "migrate", "api", "worker-live", "worker-backfill", "keeper")
"""The services that run the image of the Dockerfile."""

ONCE = ("models", "migrate")
"""Those that run to their end."""

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Z][A-Z0-9_]*)(?::-(?P<default>(?:[^${}]|\$\{[^{}]*\})*))?\})"
)


class Misspelt(Exception):
    """A dollar sign that is neither a variable nor doubled: compose would refuse the file."""


@dataclass(frozen=True)
class Service:
    """One service, with its variables put in. `command` begins with the entrypoint where the file has one;
    `healthcheck` is the command without its `CMD`."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    healthcheck: tuple[str, ...]
    keys: Mapping[str, Any]


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Put variables into a string, as the compose specification says for `$$`, `${A}` and `${A:-default}`."""

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        return variables.get(match["name"]) or interpolate(match["default"] or "", variables)

    if "$" in _VARIABLE.sub("", text):
        raise Misspelt(text)
    return _VARIABLE.sub(value, text)


def document(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the whole file with variables put in; by default with those that have none set."""
    return _resolved(yaml.safe_load(FILE.read_text()), variables or {})


def variable_names() -> frozenset[str]:
    """Return the names of all variables that the file takes."""
    code = "\n".join(line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#"))
    return frozenset(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", code))


def services(variables: Mapping[str, str] | None = None) -> dict[str, Service]:
    """Return every service by its name."""
    return {name: _service(name, keys) for name, keys in document(variables)["services"].items()}


def port_of(address: str) -> int:
    """Return the port at the end of an address."""
    return int(address.rstrip("/").rpartition(":")[2].partition("/")[0])


def _service(name: str, keys: Mapping[str, Any]) -> Service:
    test = keys.get("healthcheck", {}).get("test", ["CMD"])
    assert test[0] == "CMD", f"{name}: {test}"
    return Service(
        name=name,
        image=keys["image"],
        command=(*keys.get("entrypoint", ()), *keys.get("command", ())),
        environment=dict(keys.get("environment", {})),
        secrets=tuple(keys.get("secrets", ())),
        healthcheck=tuple(test[1:]),
        keys=keys,
    )


def _resolved(node: Any, variables: Mapping[str, str]) -> Any:
    match node:
        case dict():
            return {key: _resolved(value, variables) for key, value in node.items() if key[:2] != "x-"}
        case list():
            return [_resolved(value, variables) for value in node]
        case str():
            return interpolate(node, variables)
        case _:
            return node


def folder_of(path: str) -> Path:
    """Return a file that the compose file names, of this checkout."""
    return FILE.parent / path
