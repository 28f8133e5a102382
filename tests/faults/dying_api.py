"""`python dying_api.py`: starts APIs one after the other, each to kill itself at a statement of a review.

Reads "statement port" lines and forks an API for each; writes its process id, and its exit status when it
ends.
"""

import os
import signal
import sys

import uvicorn

from orchestrator.api.app import create_app
from orchestrator.store import counters
from orchestrator.store.transaction import Transaction

FIRST = "SELECT id, image_id FROM suggestions"
AFTER_THE_LAST = -1


def arm(deadly: int) -> None:
    """Die before the statement of this number in the unit that reviews, or after its last one."""
    run, apply = Transaction._run, counters.Deltas.apply
    counts: dict[int, int] = {}

    async def counted(self, cursor, statement, parameters):  # type: ignore[no-untyped-def]
        if statement.startswith(FIRST) or id(self) in counts:
            counts[id(self)] = counts.get(id(self), 0) + 1
            if counts[id(self)] == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        await run(self, cursor, statement, parameters)

    async def last(self, tx):  # type: ignore[no-untyped-def]
        await apply(self, tx)
        if deadly == AFTER_THE_LAST and id(tx) in counts:
            os.kill(os.getpid(), signal.SIGKILL)

    Transaction._run = counted  # type: ignore[method-assign]
    counters.Deltas.apply = last  # type: ignore[method-assign]


def tell(number: int) -> None:
    """Write a line."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


for line in sys.stdin:
    statement, port = map(int, line.split())
    child = os.fork()
    if child == 0:
        arm(statement)
        uvicorn.run(create_app, factory=True, port=port, log_level="warning", access_log=False)
        os._exit(0)
    tell(child)
    _, status = os.waitpid(child, 0)
    tell(os.waitstatus_to_exitcode(status))
