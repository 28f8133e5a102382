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

NOT_LITERAL = {
    "analysis_timeout",
    "internal_error",
    "attempts_exhausted",
    "inference_internal",
    "model_not_served",
    "no_such_route",
    "method_not_allowed",
}
"""Codes that the code chooses from constants and tables; each must stand in it as a string."""


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
        for words in re.findall(r"`tagdesk ([a-z]+(?: [a-z]+)?)", page.read_text()):
            name, _, second = words.partition(" ")
            assert name in commands, f"{page.name} names tagdesk {words}"
            if second and commands[name]:
                assert second in commands[name], f"{page.name} names tagdesk {words}"


def test_settings_that_are_named_exist() -> None:
    known = {f"TAGDESK_{name.upper()}" for name in Settings.model_fields}
    # Read by the local stack and by how settings are read, not by Settings.
    known |= {"TAGDESK_SECRETS_DIR", "TAGDESK_INSTANCE"}
    for page in PAGES:
        named = set(re.findall(r"TAGDESK_[A-Z_]+[A-Z]", page.read_text()))
        assert named <= known, page.name


def _codes(tree: ast.Module) -> Iterator[str]:
    """Yield the error codes that a module names as literals."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            is_codes = node.name.endswith("Code") and any(
                isinstance(base, ast.Name) and base.id == "StrEnum" for base in node.bases
            )
            for statement in node.body:
                match statement:
                    case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))):
                        if is_codes or name == "code":
                            yield value
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value)
            if isinstance(node.func, ast.Name) and node.func.id == "RequestRefused" and len(node.args) > 1:
                code = node.args[1]
                if isinstance(code, ast.Constant):
                    yield str(code.value)


def test_every_error_code_is_documented_and_no_other() -> None:
    # Given the codes that the code raises
    sources = [*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / "mapping_tools").rglob("*.py")]
    texts = [path.read_text() for path in sources]
    raised = {code for text in texts for code in _codes(ast.parse(text))}
    for code in NOT_LITERAL:
        assert any(f'"{code}"' in text for text in texts), f"{code} is no longer raised"
    # When the page of errors is read
    rows = _CODE_ROW.findall((ROOT / "docs/errors.md").read_text())
    documented = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}
    # Then both say the same
    assert documented == raised | NOT_LITERAL


def test_no_file_names_a_package_index_or_a_machine() -> None:
    # Given what may not stand in a file: written apart, so that this one does not either
    hosts = [
        b"py" + b"pi.org",
        b"python" + b"hosted",
        b"debian" + b".org",
        b"npm" + b"js.",
        b"ubuntu" + b".com",
    ]
    places = [b"/wo" + b"rk/", b"/ro" + b"ot/"]
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
