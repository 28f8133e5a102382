"""The image holds what its processes need, and nothing that is secret, big or somebody's own."""

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
from compose_file import OWN, services

from orchestrator.local.instance import checkout

ROOT = checkout()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = [
    " ".join(line.split())
    for line in re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    if line.strip()
]


def instructions(word: str) -> list[str]:
    return [line.removeprefix(f"{word} ") for line in INSTRUCTIONS if line.startswith(f"{word} ")]


def final_stage() -> list[str]:
    start = max(number for number, line in enumerate(INSTRUCTIONS) if line.startswith("FROM "))
    return INSTRUCTIONS[start:]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the build: the last pattern that matches decides."""
    found = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        wanted = pattern.startswith("!")
        pattern = pattern.removeprefix("!")
        parents = [str(parent) for parent in [Path(path), *Path(path).parents] if str(parent) != "."]
        if pattern.startswith("**/"):
            matches = any(fnmatch(Path(parent).name, pattern[3:]) for parent in parents)
        else:
            matches = any("/" not in parent and fnmatch(parent, pattern) for parent in parents)
        if matches:
            found = not wanted
    return found


def test_what_is_copied_exists_and_reaches_the_build() -> None:
    copied = [line.split() for line in instructions("COPY") if not line.startswith("--from")]
    sources = {source for *names, _ in copied for source in names}
    assert sources >= {"orchestrator", "mapping_tools", "migrations", "model_repository", "requirements.lock"}
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source
        inside = [path for path in (ROOT / source).rglob("*.py") if "__pycache__" not in path.parts]
        assert not any(ignored(str(path.relative_to(ROOT))) for path in inside), source


@pytest.mark.parametrize(
    "path",
    [
        *(
            ".git/config",
            ".local/default/instance.json",
            ".venv/bin/python",
            "secrets/mariadb_password",
            ".env",
        ),
        *("orchestrator/__pycache__/worker.pyc", "tests/conftest.py", "tagdesk.egg-info/PKG-INFO"),
        *(
            "docker-compose.gpu.yml",
            "Dockerfile",
            "uv.lock",
            "requirements-dev.lock",
            "triton_config/server.flags",
        ),
    ],
)
def test_what_is_not_for_the_image_stays_out(path: str) -> None:
    assert ignored(path)


def test_every_package_is_installed_by_its_hash_but_those_that_only_the_local_stack_needs() -> None:
    """Given the Dockerfile's own filter over the lock, then it takes two packages out, whole."""
    (command,) = [line for line in instructions("RUN") if line.startswith("awk ")]
    filtered = subprocess.run(
        ["bash", "-c", command.replace(" > container.lock", "")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    entries = re.findall(
        r"^(\S+)==[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}[^\n]*\n)+)", filtered, re.MULTILINE
    )
    names = {name for name, _ in entries}
    locked = set(re.findall(r"^([^\s=]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert locked - names == {"nvidia-pytriton", "uv"}
    assert sum(hashes.count("--hash") for _, hashes in entries) == filtered.count("--hash")
    assert len(names) == len(
        re.findall(r"==", filtered.replace("platform_machine ==", "").replace("sys_platform ==", ""))
    )


def test_packages_are_hashed_wheels_and_no_index_is_named() -> None:
    installs = [line for line in instructions("RUN") if "pip install" in line]
    assert len(installs) == 2
    assert all(
        ("--require-hashes" in line and "--only-binary=:all:" in line) or "--no-index" in line
        for line in installs
    )
    assert not re.search(r"index-url|https?://", DOCKERFILE)


def test_the_final_stage_has_no_compiler_and_no_root() -> None:
    base = re.search(r"^ARG PYTHON=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert base is not None
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base[1])
    assert instructions("FROM") == ["${PYTHON} AS builder", "${PYTHON}"]
    stage = final_stage()
    assert not any(word in line for line in stage for word in ("apt-get", "pip install", "gcc"))
    assert stage[-2] == "USER 10001:10001"
    assert {service.keys["user"] for service in services().values() if service.name in OWN} == {"10001:10001"}


def test_folders_that_volumes_are_mounted_on_belong_to_the_user() -> None:
    """A named volume that is mounted where the image has a folder gets that folder's owner."""
    made = next(line for line in final_stage() if "install -d" in line)
    for service in services().values():
        if service.name in OWN:
            for volume in service.keys.get("volumes", []):
                assert volume.split(":")[1] in made.split(), (service.name, volume)
