"""The documentation says what is true: links lead somewhere, commands exist, codes and settings are those of
the code, and no file names a place that only one machine has."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from orchestrator.cli.app import app
from orchestrator.local.instance import checkout
from orchestrator.settings import Settings
from orchestrator.telemetry import MetricName

ROOT = checkout()
_WHERE = ("*.md", "docs/**/*.md", "model_repository/*/*/*.md", "triton_config/*.md", "benchmarks/*.md")
PAGES = sorted(page for pattern in _WHERE for page in ROOT.glob(pattern))

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_CODE_ROW = re.compile(r"^\| (`[a-z_`, ]+`) \|", re.MULTILINE)

_COMMANDS = re.compile(r"`tagdesk ([a-z]+)(?: ([a-z]+))?[^`]*`((?:, `[a-z]+`)*)")
"""A command, and those named after it: `tagdesk images add`, `show`."""

_TABLES = frozenset({"_TRANSIENT", "ROUTER_CODES"})
"""Where the code looks codes up: statuses of Triton's, and of the router's."""


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for line in page.read_text().splitlines():
            named = re.findall(r"(?:`|^ {4})make ([a-z-]+)", line)
            assert set(named) <= targets, f"{page.name}: {line}"


def test_commands_that_are_named_exist() -> None:
    group = typer.main.get_command(app)
    commands: dict[str, set[str]] = {
        name: set(getattr(command, "commands", {}))
        for name, command in group.commands.items()  # type: ignore[attr-defined]
    }
    for page in PAGES:
        for name, second, others in _COMMANDS.findall(page.read_text()):
            assert name in commands, f"{page.name} names tagdesk {name}"
            siblings = commands[name] if second and commands[name] else set(commands)
            named = set(re.findall(r"[a-z]+", others)) | ({second} if second and commands[name] else set())
            assert named <= siblings, f"{page.name} names tagdesk {name}: {named - siblings}"


def test_settings_that_are_named_exist() -> None:
    known = {f"TAGDESK_{name.upper()}" for name in Settings.model_fields}
    # Read by the local stack and by how settings are read, not by Settings.
    known |= {"TAGDESK_SECRETS_DIR", "TAGDESK_INSTANCE"}
    # Put into the compose file by compose.
    known |= set(re.findall(r"\$\{(TAGDESK_[A-Z_]+)", (ROOT / "docker-compose.gpu.yml").read_text()))
    for page in PAGES:
        named = set(re.findall(r"TAGDESK_[A-Z_]+[A-Z]", page.read_text()))
        assert named <= known, page.name


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the strings that are written in an expression."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _constants(trees: list[ast.Module]) -> dict[str, str]:
    """Return the strings that modules give names to."""
    found = {}
    for tree in trees:
        for statement in tree.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))):
                    found[name] = value
    return found


def _codes(tree: ast.Module, constants: dict[str, str]) -> Iterator[str]:
    """Yield the error codes that a module names: in classes, tables, calls and failures of images."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name, bases=bases, body=body):
                is_codes = name.endswith("Code") and any(ast.unparse(base) == "StrEnum" for base in bases)
                for statement in body:
                    match statement:
                        case ast.Assign(targets=[ast.Name(id=left)], value=ast.Constant(value=str(value))):
                            if is_codes or left == "code":
                                yield value
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(values=values)) if name in _TABLES:
                for value in values:
                    yield from _texts(value)
            case ast.keyword(arg="code", value=ast.Constant(value=str(value))):
                yield value
            case ast.Call(
                func=ast.Name(id="RequestRefused" | "problem"), args=[_, ast.Constant(value=code), *_]
            ):
                yield str(code)
            case ast.Call(func=ast.Name(id="ImageFailure"), args=[ast.Name(id=name), *_]) if name.isupper():
                yield constants[name]


def test_every_error_code_is_documented_and_no_other() -> None:
    # Given the codes that the code raises
    sources = [*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / "mapping_tools").rglob("*.py")]
    trees = [ast.parse(path.read_text()) for path in sources]
    constants = _constants(trees)
    raised = {code for tree in trees for code in _codes(tree, constants)}
    # When the page of errors is read
    rows = _CODE_ROW.findall((ROOT / "docs/errors.md").read_text())
    documented = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}
    # Then both say the same
    assert documented == raised


def test_no_file_names_a_package_index_or_a_machine() -> None:
    # Given what may not stand in a file: written apart, so that this one does not either
    hosts = [
        b"py" + b"pi.org",
        b"python" + b"hosted",
        b"debian" + b".org",
        b"npm" + b"js.",
        b"ubuntu" + b".com",
    ]
    places = [b"/wo" + b"rk/", b"/ro" + b"ot/", b"/t" + b"mp/"]
    for path in _tracked():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for forbidden in hosts + places:
            assert forbidden not in content, f"{path.relative_to(ROOT)} names {forbidden.decode()}"


def test_every_metric_is_documented_and_no_other() -> None:
    documented = set(
        re.findall(r"^\| `(tagdesk_[a-z_]+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    )
    assert documented == set(MetricName)
