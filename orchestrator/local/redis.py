"""A private Redis: loopback only, with a password, nothing written to disk, nothing evicted."""

from orchestrator.local.instance import Instance, Memory, write_private
from orchestrator.local.packages import Packages, Report
from orchestrator.local.parts import Part, PartName
from orchestrator.local.ports import LOOPBACK


class Redis:
    """The broker part of an instance."""

    def __init__(self, instance: Instance, packages: Packages, *, report: Report) -> None:
        """Brings the program if the system has none; raises LocalStackError."""
        self._folder = instance.folder / "redis"
        self._memory = Memory(instance)
        self._server = packages.program("redis-server", "redis-server", report=report)

    def part(self) -> Part:
        """Return what the supervisor has to run."""
        return Part(
            name=PartName.REDIS,
            command=(str(self._server.path), str(self._folder / "redis.conf")),
            environment=self._server.environment(),
            start_timeout=20,
            stop_timeout=10,
            prepare=self._prepare,
        )

    def url(self) -> str:
        """Return the address for the application."""
        return (
            f"redis://:{self._memory.secret(PartName.REDIS)}@{LOOPBACK}:{self._memory.port(PartName.REDIS)}/0"
        )

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # A file rather than arguments, which every user of the machine could read.
        write_private(
            self._folder / "redis.conf",
            f"bind {LOOPBACK}\n"
            f"port {self._memory.port(PartName.REDIS)}\n"
            f"requirepass {self._memory.secret(PartName.REDIS)}\n"
            f'dir "{self._folder}"\n'
            'save ""\n'
            "appendonly no\n"
            "maxmemory 256mb\n"
            "maxmemory-policy noeviction\n"
            "databases 16\n"
            "daemonize no\n",
        )
