"""What a part of the stack is, for the supervisor that runs it and for those who ask after it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class PartName(StrEnum):
    """The parts, in the order in which they are shown. `migrate` runs to its end; the others stay."""

    MARIADB = "mariadb"
    REDIS = "redis"
    TRITON = "triton"
    MIGRATE = "migrate"
    API = "api"
    WORKER_LIVE = "worker-live"
    WORKER_BACKFILL = "worker-backfill"
    KEEPER = "keeper"


SERVICES = (PartName.MARIADB, PartName.REDIS, PartName.TRITON)
"""What the product needs and is not its own code."""


def _nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """A process to keep running. Times are seconds.

    `after`: parts that must be ready before it starts. `prepare`: called before every start, for example to
    clear away what a killed run left. `check`: raises NotReady while the part does not answer. `ready_line`:
    text in its log that says that it is ready, for parts that answer no question. `once`: it is done when
    it has ended with status 0.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    start_timeout: float = 30.0
    stop_timeout: float = 10.0
    after: frozenset[str] = frozenset()
    prepare: Callable[[], None] = _nothing
    check: Callable[[], Awaitable[None]] | None = None
    ready_line: str | None = None
    once: bool = False
