"""An instance of the local stack: its folder, and what is remembered between runs (ports, secrets)."""

import fcntl
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.local.errors import LocalStackError
from orchestrator.local.ports import choose_port, is_free

DEFAULT_INSTANCE = "default"
INSTANCE_VARIABLE = "TAGDESK_INSTANCE"
MARKER_VARIABLE = "TAGDESK_STACK_MARKER"
"""In the environment of every process of an instance; its value is the instance's folder."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,40}")


def checkout() -> Path:
    """Return the folder of the project's working tree."""
    return Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Instance:
    """Where an instance keeps its things. Two instances share nothing but the unpacked packages."""

    name: str
    base: Path

    @classmethod
    def named(cls, name: str | None = None, *, base: Path | None = None) -> "Instance":
        """Return the instance of that name, by default the one that `TAGDESK_INSTANCE` names.

        Raises LocalStackError for a name that is no plain folder name, or one of ours.
        """
        name = name or os.environ.get(INSTANCE_VARIABLE) or DEFAULT_INSTANCE
        if not _NAME.fullmatch(name) or name == "packages":
            raise LocalStackError(f"{name!r} is no name for an instance: use a-z, 0-9, '.', '_' and '-'")
        return cls(name, base or checkout() / ".local")

    @property
    def folder(self) -> Path:
        """The folder that holds everything of this instance."""
        return self.base / self.name

    @property
    def packages(self) -> Path:
        """Unpacked system packages, shared by all instances."""
        return self.base / "packages"

    @property
    def logs(self) -> Path:
        """One log file a part."""
        return self.folder / "logs"

    @property
    def model_repository(self) -> Path:
        """The copy of `model_repository/` that Triton serves."""
        return self.folder / "model_repository"

    @property
    def blobs(self) -> Path:
        """Uploaded pictures."""
        return self.folder / "blobs"

    @property
    def pictures(self) -> Path:
        """The one folder from which pictures may be registered by path."""
        return self.folder / "pictures"

    @property
    def metrics(self) -> Path:
        """Where the product's processes share their metrics."""
        return self.folder / "metrics"

    @property
    def run_file(self) -> Path:
        """What the supervisor says about itself and its parts."""
        return self.folder / "run.json"

    @property
    def tokens_file(self) -> Path:
        """The demo's tokens."""
        return self.folder / "tokens.json"

    def log_file(self, part: str) -> Path:
        """Return the log file of a part."""
        return self.logs / f"{part}.log"

    def create(self) -> None:
        """Make the folders, readable by their owner only where they hold secrets or pictures."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.logs, self.blobs, self.pictures, self.metrics):
            folder.mkdir(exist_ok=True, mode=0o700)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock between processes; it is let go of when the process dies, however it dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Memory:
    """Ports and secrets of an instance: chosen when first asked for, then the same for good."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._file = instance.folder / "instance.json"

    def port(self, name: str) -> int:
        """Return the loopback port of `name`."""
        return int(self._remember("ports", name, lambda: str(self._choose_port())))

    def secret(self, name: str) -> str:
        """Return the secret of `name`: 32 characters, safe in addresses and configuration files."""
        return self._remember("secrets", name, lambda: secrets.token_hex(16))

    def free_ports(self, names: tuple[str, ...]) -> None:
        """Choose new ports for those that something else listens on by now."""
        with self._instance.lock("memory"):
            content = self._read()
            for name in names:
                port = content.get("ports", {}).get(name)
                if port is not None and not is_free(int(port)):
                    del content["ports"][name]
            self._write(content)
        for name in names:
            self.port(name)

    def _remember(self, kind: str, name: str, choose: Callable[[], str]) -> str:
        with self._instance.lock("memory"):
            content = self._read()
            values = content.setdefault(kind, {})
            if name not in values:
                values[name] = choose()
                self._write(content)
            return values[name]

    def _choose_port(self) -> int:
        """Choose a port that no instance of this checkout has, running or not."""
        taken: set[int] = set()
        for file in self._instance.base.glob("*/instance.json"):
            taken.update(int(port) for port in _load(file).get("ports", {}).values())
        return choose_port(taken)

    def _read(self) -> dict[str, dict[str, str]]:
        return _load(self._file)

    def _write(self, content: dict[str, dict[str, str]]) -> None:
        write_private(self._file, json.dumps(content, indent=1))


def _load(file: Path) -> dict[str, dict[str, str]]:
    try:
        content: dict[str, dict[str, str]] = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    return content


def write_private(file: Path, text: str) -> None:
    """Write `file` atomically, readable by its owner only."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    temporary.replace(file)
