"""`python dying_promotion.py NAME N`: promotes again and again, each time to die at another statement.

Reads the number of a statement a line, forks a process that promotes and kills itself before that statement
of the transaction that switches, and writes how it ended.
"""

import asyncio
import os
import signal
import sys

from orchestrator.inference.client import TritonClient
from orchestrator.rollout.guard import Guard
from orchestrator.rollout.switching import Place, promote
from orchestrator.settings import load_settings
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

FIRST = "SELECT * FROM model_versions WHERE name = :name ORDER BY id FOR UPDATE"


def arm(deadly: int) -> None:
    """Die before the statement of this number in the unit that switches."""
    run = Transaction._run
    counts: dict[int, int] = {}

    async def counted(self, cursor, statement, parameters):  # type: ignore[no-untyped-def]
        if statement == FIRST or id(self) in counts:
            counts[id(self)] = counts.get(id(self), 0) + 1
            if counts[id(self)] == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        await run(self, cursor, statement, parameters)

    Transaction._run = counted  # type: ignore[method-assign]


async def once(name: str, version: int) -> None:
    """Promote."""
    settings = load_settings()
    store = await Store.connect(settings)
    async with TritonClient.from_settings(settings) as triton:
        place = Place(store, settings, triton, "ada")
        await promote(place, name, version, guard=Guard(min_images=0), restale=True)
    await store.close()


name, version = sys.argv[1], int(sys.argv[2])
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        arm(int(line))
        asyncio.run(once(name, version))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()
