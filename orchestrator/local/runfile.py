"""What the supervisor writes about itself and its parts, and others read."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from orchestrator.local.instance import write_private
from orchestrator.local.processes import ProcessId


class PartState(StrEnum):
    """Where a part stands. `provided`: something else runs it; `done`: it ran to its end."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    DONE = "done"
    STOPPING = "stopping"
    STOPPED = "stopped"
    PROVIDED = "provided"


@dataclass(frozen=True, slots=True)
class PartStatus:
    """A part as the supervisor sees it. `restarts` counts starts after the first; `detail` says why it is
    not ready."""

    state: PartState
    pid: int | None = None
    started: float | None = None
    restarts: int = 0
    failures: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the supervisor."""

    supervisor: ProcessId
    parts: Mapping[str, PartStatus] = field(default_factory=dict)

    def is_alive(self) -> bool:
        """Whether that supervisor still runs."""
        return self.supervisor.is_alive()

    def write(self, file: Path) -> None:
        """Replace what `file` says."""
        write_private(file, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, file: Path) -> "Run | None":
        """Return the last run, alive or not; None where there was none since the last clean end."""
        try:
            content = json.loads(file.read_text())
        except FileNotFoundError:
            return None
        parts = {
            name: PartStatus(**{**fields, "state": PartState(fields["state"])})
            for name, fields in content["parts"].items()
        }
        return cls(ProcessId(**content["supervisor"]), parts)
