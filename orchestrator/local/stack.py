"""The stack of an instance: which parts it has, their environment, and starting and ending the whole."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from orchestrator.local.checks import CHECKS
from orchestrator.local.errors import LocalStackError
from orchestrator.local.instance import MARKER_VARIABLE, Instance, Memory, checkout
from orchestrator.local.mariadb import MariaDb
from orchestrator.local.packages import Packages, Report
from orchestrator.local.parts import SERVICES, Part, PartName
from orchestrator.local.ports import LOOPBACK
from orchestrator.local.processes import ProcessId, end_marked, tail
from orchestrator.local.redis import Redis
from orchestrator.local.repository import refresh_model_repository
from orchestrator.local.runfile import PartState, PartStatus, Run
from orchestrator.local.triton import (
    GRPC_PORT,
    HTTP_PORT,
    METRICS_PORT,
    Triton,
    remove_reachable,
    remove_shared_memory,
)

PROVIDED_BY: Mapping[PartName, str] = {
    PartName.MARIADB: "TAGDESK_DATABASE_URL",
    PartName.REDIS: "TAGDESK_REDIS_URL",
    PartName.TRITON: "TAGDESK_TRITON_URL",
}
"""A part whose variable is set is used rather than started."""

_READY_LINES: Mapping[PartName, str] = {
    PartName.WORKER_LIVE: "worker ready",
    PartName.WORKER_BACKFILL: "worker ready",
    PartName.KEEPER: "keeper ready",
}
_WITH_TRITON = ("TAGDESK_TRITON_METRICS_URL", "TAGDESK_TRITON_ADMIN_KEY", "TAGDESK_MODEL_REPOSITORY")
_PORTS = (PartName.MARIADB, PartName.REDIS, GRPC_PORT, HTTP_PORT, METRICS_PORT, PartName.API)
_UP_TIMEOUT = 240.0
_DOWN_TIMEOUT = 120.0
_POLL = 0.05
_HOPELESS = 3  # starts of a part in vain after which `up` gives up


def quiet(_: str) -> None:
    """Report nothing."""


class Stack:
    """One instance of the stack, running or not."""

    def __init__(
        self, instance: Instance, *, given: Mapping[str, str] | None = None, report: Report = quiet
    ) -> None:
        """`given`: variables of the caller; those in PROVIDED_BY name parts that are run elsewhere."""
        self.instance = instance
        self._memory = Memory(instance)
        self._report = report
        roots = (given or {}).get("TAGDESK_IMAGE_ROOTS", "").split(",")
        self._roots = [root for root in roots if root and root != str(instance.pictures)]
        self.given = {
            name: value
            for name, value in (given or {}).items()
            if value and (name in PROVIDED_BY.values() or name in _WITH_TRITON)
        }
        if PROVIDED_BY[PartName.TRITON] not in self.given:
            for name in _WITH_TRITON:
                self.given.pop(name, None)

    @classmethod
    def of(cls, instance: str | None = None, *, report: Report = quiet) -> "Stack":
        """Return the stack of an instance, as this process's environment describes it."""
        return cls(Instance.named(instance), given=os.environ, report=report)

    # -- what it is made of ---------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """Return the `TAGDESK_*` variables of the instance's processes: addresses, secrets, folders."""
        secret, port, instance = self._memory.secret, self._memory.port, self.instance
        database = f"tagdesk:{secret(PartName.MARIADB)}@{LOOPBACK}:{port(PartName.MARIADB)}/tagdesk"
        return {
            "TAGDESK_INSTANCE": instance.name,
            "TAGDESK_DATABASE_URL": f"mysql+asyncmy://{database}",
            "TAGDESK_REDIS_URL": f"redis://:{secret(PartName.REDIS)}@{LOOPBACK}:{port(PartName.REDIS)}/0",
            "TAGDESK_TRITON_URL": f"{LOOPBACK}:{port(GRPC_PORT)}",
            "TAGDESK_TRITON_METRICS_URL": f"http://{LOOPBACK}:{port(METRICS_PORT)}/metrics",
            "TAGDESK_TRITON_ADMIN_KEY": secret("triton-admin-key"),
            "TAGDESK_MODEL_REPOSITORY": str(instance.model_repository),
            "TAGDESK_BLOB_DIR": str(instance.blobs),
            "TAGDESK_IMAGE_ROOTS": ",".join([str(instance.pictures), *self._roots]),
            "TAGDESK_SESSION_SECRET": secret("session"),
            "TAGDESK_PUBLIC_URL": f"http://{LOOPBACK}:{port(PartName.API)}",
            "PROMETHEUS_MULTIPROC_DIR": str(instance.metrics),
            **self.given,
        }

    def triton_http_url(self) -> str:
        """Return the HTTP address of the instance's own Triton."""
        return f"http://{LOOPBACK}:{self._memory.port(HTTP_PORT)}"

    def is_provided(self, part: str) -> bool:
        """Whether something else runs this part."""
        return PROVIDED_BY.get(PartName(part), "") in self.given

    def parts(self, names: Sequence[PartName], *, hasty: bool = False) -> list[Part]:
        """Return the parts to run, of those named; brings programs that are missing.

        `hasty`: for tests, see MariaDb. Raises LocalStackError.
        """
        wanted = [name for name in PartName if name in names and not self.is_provided(name)]
        environment, packages = self.environment(), Packages(self.instance.packages)
        makers: dict[PartName, Callable[[], Part]] = {
            PartName.MARIADB: lambda: MariaDb(
                self.instance, packages, hasty=hasty, report=self._report
            ).part(),
            PartName.REDIS: lambda: Redis(self.instance, packages, report=self._report).part(),
            PartName.TRITON: lambda: Triton(self.instance, packages, report=self._report).part(),
        }
        parts = [makers[name]() if name in makers else _own_part(name, environment) for name in wanted]
        return [_checked(part, environment) for part in parts]

    # -- the whole ------------------------------------------------------------------------------------

    def run(self) -> Run | None:
        """Return what the supervisor says, if it runs."""
        run = Run.read(self.instance.run_file)
        return run if run is not None and run.is_alive() else None

    def up(
        self,
        names: Sequence[PartName] = tuple(PartName),
        *,
        hasty: bool = False,
        owner: int | None = None,
        model_repository: Path | None = None,
    ) -> None:
        """Start the parts that do not run yet and wait until all are ready.

        `owner`: a process with which the stack ends. `model_repository`: served instead of the tracked
        models (a copy of it). Raises LocalStackError, and leaves nothing running then.
        """
        self.instance.create()
        with self.instance.lock("up"):
            refresh_model_repository(self.instance, model_repository)
            run = self.run()
            if run is not None:
                changed = [name for name in names if self._differs(run, name)]
                if not changed:
                    self._wait_until_ready(names)
                    return
                names = [name for name in PartName if name in names or name in run.parts]
                self._report(f"restarting, for a change of {', '.join(changed)}")
            self._end_everything()
            self._memory.free_ports(_PORTS)
            self.parts(names, hasty=hasty)  # in the foreground, where people see what is downloaded
            self._start_supervisor(names, hasty=hasty, owner=owner)
            try:
                self._wait_until_ready(names)
            except BaseException:
                self._end_everything()
                raise

    def _differs(self, run: Run, name: PartName) -> bool:
        """Whether a running stack lacks a part, or runs one that is now given by address, or the reverse."""
        status = run.parts.get(name)
        return status is None or (status.state is PartState.PROVIDED) != self.is_provided(name)

    def down(self) -> bool:
        """End everything of the instance; returns whether anything ran."""
        if not self.instance.folder.is_dir():
            return False
        with self.instance.lock("up"):
            return self._end_everything()

    def _surroundings(self) -> dict[str, str]:
        """This process's environment without another installation's addresses: what is not given to this
        stack, its supervisor must not find either."""
        addresses = {*PROVIDED_BY.values(), *_WITH_TRITON}
        return {name: value for name, value in os.environ.items() if name not in addresses}

    def _start_supervisor(self, names: Sequence[PartName], *, hasty: bool, owner: int | None) -> None:
        command = [sys.executable, "-m", "orchestrator.local.supervise", "--parts", ",".join(names)]
        command += ["--base", str(self.instance.base), "--instance", self.instance.name]
        command += ["--hasty"] if hasty else []
        command += ["--owner", str(owner)] if owner is not None else []
        with self.instance.log_file("supervisor").open("ab") as log:
            started = subprocess.run(
                command,
                env={**self._surroundings(), **self.given, MARKER_VARIABLE: self.marker},
                cwd=checkout(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                check=False,
            )
        supervisor = ProcessId.of(int(started.stdout)) if started.returncode == 0 else None
        deadline = time.monotonic() + _UP_TIMEOUT
        while self.run() is None:
            if supervisor is None or not supervisor.is_alive() or time.monotonic() > deadline:
                raise self._failure("supervisor", "it ended")
            time.sleep(_POLL)

    @property
    def marker(self) -> str:
        """What every process of this instance carries in its environment."""
        return str(self.instance.folder.resolve())

    def _wait_until_ready(self, names: Sequence[PartName]) -> None:
        deadline = time.monotonic() + _UP_TIMEOUT
        shown: set[str] = set()
        while True:
            run = self.run()
            if run is None:
                raise self._failure("supervisor", "it ended")
            for name, status in run.parts.items():
                if name not in shown and _is_up(status):
                    shown.add(name)
                    self._report(f"{name}: {status.state}")
                if status.failures >= _HOPELESS:
                    raise self._failure(name, status.detail)
            waiting = [name for name in names if name in run.parts and not _is_up(run.parts[name])]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise self._failure(waiting[0], f"not ready after {_UP_TIMEOUT:.0f} s")
            time.sleep(_POLL)

    def _failure(self, part: str, detail: str) -> LocalStackError:
        log = self.instance.log_file(part)
        last = "\n".join(f"  {line}" for line in tail(log, 15))
        return LocalStackError(f"{part} does not start: {detail}\nIts log, {log}, ends with:\n{last}")

    def _end_everything(self) -> bool:
        """End the supervisor and whatever a killed one left: processes, sockets, shared memory."""
        run = self.run()
        if run is not None:
            self._report("stopping")
            run.supervisor.signal(signal.SIGTERM)
            if not run.supervisor.wait(_DOWN_TIMEOUT):
                run.supervisor.signal(signal.SIGKILL)
        left = end_marked(self.marker)
        if left:
            self._report(f"ended {left} processes that an earlier run left")
        remove_shared_memory(self.instance)
        remove_reachable(self.instance)
        for socket in self.instance.folder.glob("*/data/*.sock"):
            socket.unlink(missing_ok=True)
        self.instance.run_file.unlink(missing_ok=True)
        return run is not None or left > 0


def _is_up(status: PartStatus) -> bool:
    return status.state in (PartState.READY, PartState.DONE, PartState.PROVIDED)


def _checked(part: Part, environment: Mapping[str, str]) -> Part:
    """Give a part its check."""
    check = CHECKS.get(part.name)
    return part if check is None else replace(part, check=partial(check, environment))


def _own_part(name: PartName, environment: Mapping[str, str]) -> Part:
    """Return a part that is the product's own code."""
    python = (sys.executable, "-m")
    port = environment["TAGDESK_PUBLIC_URL"].rpartition(":")[2]
    commands: dict[PartName, tuple[str, ...]] = {
        PartName.MIGRATE: ("alembic", "-c", str(checkout() / "migrations/alembic.ini"), "upgrade", "head"),
        PartName.API: (
            *("uvicorn", "orchestrator.api.app:create_app", "--factory", "--no-access-log"),
            *("--host", LOOPBACK, "--port", port),
        ),
        PartName.WORKER_LIVE: ("orchestrator.worker", "live"),
        PartName.WORKER_BACKFILL: ("orchestrator.worker", "backfill"),
        PartName.KEEPER: ("orchestrator.keeper",),
    }
    if name is PartName.MIGRATE:
        return Part(name, (*python, *commands[name]), after=frozenset({PartName.MARIADB}), once=True)
    return Part(
        name=name,
        command=(*python, *commands[name]),
        after=frozenset({*SERVICES[:2], PartName.MIGRATE}),
        start_timeout=60,
        ready_line=_READY_LINES.get(name),
        # A worker finishes what it has claimed.
        stop_timeout=65 if name in (PartName.WORKER_LIVE, PartName.WORKER_BACKFILL) else 15,
    )
