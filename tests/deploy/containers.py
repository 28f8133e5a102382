"""What the compose file starts, started here without containers: the same commands, with the environment and
the secrets of their containers and nothing else, on other ports and folders."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from compose_file import FILE, OWN, Service, services

from orchestrator.local.instance import MARKER_VARIABLE, Instance, Memory, checkout
from orchestrator.local.mariadb import MariaDb
from orchestrator.local.packages import Packages
from orchestrator.local.parts import PartName
from orchestrator.local.ports import LOOPBACK
from orchestrator.local.stack import Stack, quiet
from orchestrator.local.triton import Triton

READY_WITHIN = 120.0
# The suite's machine is small; nothing else differs from what compose would make of the file.
VARIABLES = {"TAGDESK_BUFFER_POOL": "64M", "TAGDESK_DECODE_PROCESSES": "1"}
IMAGE_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "ORT_DISABLE_TELEMETRY": "1"}

_OWN_PORT = re.compile(r"(?<![\w.])(?:6379|8000|8001|8002|9191)(?!\w)")
_ELSEWHERE = re.compile(r"\b(mariadb|redis|triton|api|worker-live|worker-backfill|keeper):(\d+)\b")


def until(condition: Callable[[], bool], what: str, *, timeout: float = READY_WITHIN) -> None:
    """Wait until a condition holds. Raises AssertionError when it does not come true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)


def secrets_block() -> str:
    """Return the commands of docs/gpu.md that make the secrets."""
    page = (checkout() / "docs/gpu.md").read_text()
    (block,) = re.findall(r"^    \( set -eu\n(?:    .*\n)+", page, re.MULTILINE)
    return "\n".join(line.removeprefix("    ") for line in block.splitlines())


def make_secrets(folder: Path) -> Path:
    """Make the secrets in `folder` as docs/gpu.md says; returns where they are."""
    subprocess.run(["bash", "-c", secrets_block()], cwd=folder, check=True, capture_output=True)
    return folder / "secrets"


class Containers:
    """The services of the compose file as processes of this machine. `close` ends them all."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.services = services(VARIABLES)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._packages = Packages(instance.packages)
        self._memory = Memory(instance)
        instance.create()
        self._secrets = make_secrets(instance.folder)

    def close(self) -> None:
        """End every process and remove every file."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(READY_WITHIN)
        Stack(self.instance).down()
        shutil.rmtree(self.instance.folder, ignore_errors=True)

    def address(self, service: str, port: int) -> str:
        """Return where a port of a service is here, host:port."""
        return f"{LOOPBACK}:{self._port(service, port)}"

    def secret(self, name: str) -> str:
        """Return a secret as the containers here see it."""
        return self._elsewhere((self._secrets / name).read_text())

    def log(self, service: str) -> str:
        """Return all that a service printed."""
        return self.instance.log_file(service).read_text()

    def command(self, service: str) -> list[str]:
        """Return a service's command with the ports and folders of here."""
        return [self._here(service, part) for part in self.services[service].command]

    def start(self, service: str) -> subprocess.Popen[bytes]:
        """Start a service."""
        command, environment = self._program(service)
        with self.instance.log_file(service).open("ab") as log:
            self.processes[service] = subprocess.Popen(
                command, env=environment, cwd=checkout(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self.processes[service]

    def start_healthy(self, service: str) -> None:
        """Start a service and wait until its healthcheck succeeds."""
        process = self.start(service)

        def there() -> bool:
            assert process.poll() is None, self.log(service)
            return self.healthy(service)

        until(there, f"{service} is healthy")

    def stop(self, service: str) -> int:
        """Stop a service as its engine would; returns the exit status."""
        process = self.processes[service]
        process.send_signal(signal.SIGTERM)
        return process.wait(READY_WITHIN)

    def run(self, service: str, command: Sequence[str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a service to its end, or another command in its place, as `docker compose exec` does."""
        return subprocess.run(
            self.command(service) if command is None else command,
            env=self._environment(service),
            cwd=checkout(),
            capture_output=True,
            text=True,
            check=False,
            timeout=READY_WITHIN,
        )

    def healthy(self, service: str) -> bool:
        """Whether the service's own healthcheck succeeds."""
        check = [self._here(service, part) for part in self.services[service].healthcheck]
        environment = self._environment(service)
        return subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0

    def _program(self, service: str) -> tuple[list[str], dict[str, str]]:
        """Return what starts a service here, and its environment."""
        command, environment = self.command(service), self._environment(service)
        if service == PartName.MARIADB:
            return self._mariadb(command)
        if service == PartName.TRITON:
            part = Triton(self.instance, self._packages, report=quiet).part()
            part.prepare()
            # Where this server's backends are; the container's has its own.
            command += [one for one in part.command if one.startswith("--backend-")]
        return command, environment

    def _mariadb(self, flags: list[str]) -> tuple[list[str], dict[str, str]]:
        """Give a new server the flags, and make the account as the image's entrypoint does."""
        part = MariaDb(self.instance, self._packages, hasty=False, report=quiet).part()
        part.prepare()
        accounts = self.instance.folder / "mariadb/image.sql"
        password = (self._secrets / "mariadb_password").read_text()
        made = self.services["mariadb"].environment
        user = f"'{made['MARIADB_USER']}'@'%'"
        accounts.write_text(
            f"CREATE DATABASE {made['MARIADB_DATABASE']};\n"
            f"CREATE USER {user} IDENTIFIED BY '{password}';\n"
            f"GRANT ALL ON {made['MARIADB_DATABASE']}.* TO {user};\n"
        )
        accounts.chmod(0o644)
        return [*part.command, *flags, f"--init-file={accounts}"], {**part.environment, **self._marker()}

    def _environment(self, service: str) -> dict[str, str]:
        """Return all that a process in the container sees, with the ports and folders of here."""
        given = {
            name: self._here(service, value) for name, value in self.services[service].environment.items()
        }
        self._give_secrets(self.services[service])
        return {**self._image(service), **given, **self._marker()}

    def _image(self, service: str) -> Mapping[str, str]:
        """Return what the image sets, or what makes the program found that is in it."""
        if service in OWN:
            return IMAGE_ENVIRONMENT | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        if service == PartName.TRITON:
            part = Triton(self.instance, self._packages, report=quiet).part()
            server = Path(part.command[0]).parent
            return {**part.environment, "PATH": f"{part.environment['PATH']}:{server}"}
        program = self._packages.program("redis-server", "redis-server", report=quiet)
        return {**program.environment(), "PATH": f"{program.path.parent}:/usr/bin:/bin"}

    def _marker(self) -> dict[str, str]:
        return {MARKER_VARIABLE: Stack(self.instance).marker}

    def _give_secrets(self, service: Service) -> None:
        """Copy the secrets that a service is given to where it will look."""
        folder = self._folder(service.name, "secrets")
        for name in service.secrets:
            # Once: the service may be reading them while its healthcheck is given the same.
            if not (folder / name).exists():
                (folder / name).write_text(self.secret(name))

    def _folder(self, *names: str) -> Path:
        folder = self.instance.folder.joinpath("containers", *names)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _port(self, service: str, port: int) -> int:
        return self._memory.port(service if service == PartName.MARIADB else f"{service}-{port}")

    def _elsewhere(self, text: str) -> str:
        return _ELSEWHERE.sub(lambda match: self.address(match[1], int(match[2])), text)

    def _here(self, service: str, text: str) -> str:
        """Translate a string of a service: other services' addresses, its own ports, and folders."""
        places = {"/run/secrets": self._folder(service, "secrets")}
        keys = self.services[service].keys
        for volume in keys.get("volumes", []):
            source, target = volume.split(":")[:2]
            places[target] = FILE.parent / source if source[0] == "." else self._folder("volumes", source)
        for mount in keys.get("tmpfs", []):
            target = mount.split(":")[0]
            if target.startswith(("/run", "/data")):
                places[target] = self._folder(service, target.strip("/").replace("/", "-"))
        text = self._elsewhere(text.replace("0.0.0.0", LOOPBACK))
        text = _OWN_PORT.sub(lambda match: str(self._port(service, int(match[0]))), text)
        for target, folder in sorted(places.items(), reverse=True):
            text = re.sub(rf"(?<![\w/.]){re.escape(target)}(?![\w-])", str(folder), text)
        return text
