"""Free loopback ports, away from those with a name and from those that outgoing connections get."""

import random
import socket
from collections.abc import Collection

from orchestrator.local.errors import LocalStackError

LOOPBACK = "127.0.0.1"
# Linux hands out 32768 and above to outgoing connections: a port from there may be gone by the next start.
_FIRST, _LAST = 20_000, 32_000
_TRIES = 500


def is_free(port: int) -> bool:
    """Whether `port` can be listened on, on the loopback address."""
    with socket.socket() as probe:
        # As servers do, so that a connection of the last run that is still closing does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_port(taken: Collection[int] = ()) -> int:
    """Return a free port that is not in `taken` and not known by a name. Raises LocalStackError."""
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)
        if port not in taken and not _has_name(port) and is_free(port):
            return port
    raise LocalStackError(f"no free port between {_FIRST} and {_LAST} on {LOOPBACK}")


def _has_name(port: int) -> bool:
    try:
        socket.getservbyport(port)
    except OSError:
        return False
    return True
