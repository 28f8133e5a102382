"""`python -m orchestrator.local.supervise`: the background process behind `tagdesk up`.

It leaves its caller at once, after printing the number of the process that stays.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.local.errors import LocalStackError
from orchestrator.local.instance import MARKER_VARIABLE, Instance, checkout
from orchestrator.local.parts import PartName
from orchestrator.local.processes import ProcessId
from orchestrator.local.runfile import PartState, PartStatus, Run
from orchestrator.local.stack import Stack
from orchestrator.local.supervisor import Supervisor

_OWNER_POLL = 0.5


async def supervise(stack: Stack, names: list[PartName], *, hasty: bool, owner: ProcessId | None) -> None:
    """Run the parts named until SIGTERM or SIGINT, or until `owner` has ended."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    me = ProcessId.of(os.getpid())
    if me is None:
        raise LocalStackError("this process cannot see itself in /proc")
    provided: dict[str, PartStatus] = {
        name: PartStatus(PartState.PROVIDED) for name in names if stack.is_provided(name)
    }
    run_file = stack.instance.run_file

    def tell(parts: Mapping[str, PartStatus]) -> None:
        known = {**provided, **parts}
        Run(me, {name: known[name] for name in names}).write(run_file)

    shutil.rmtree(stack.instance.metrics, ignore_errors=True)  # of processes that are gone
    stack.instance.create()
    supervisor = Supervisor(
        stack.parts(names, hasty=hasty),
        logs=stack.instance.logs,
        environment={**os.environ, **stack.environment(), MARKER_VARIABLE: stack.marker},
        working_directory=checkout(),
        listener=tell,
    )
    watch = asyncio.create_task(_watch(owner, stop))
    await supervisor.run(stop)
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    run_file.unlink(missing_ok=True)


async def _watch(owner: ProcessId | None, stop: asyncio.Event) -> None:
    """Stop when the owner is gone."""
    if owner is None:
        return
    while owner.is_alive():  # noqa: ASYNC110 - no event tells of a process that is no child
        await asyncio.sleep(_OWNER_POLL)
    stop.set()


def main() -> int:
    """Read the command line and supervise; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.local.supervise", description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--instance", required=True)
    parser.add_argument("--parts", required=True)
    parser.add_argument("--hasty", action="store_true")
    parser.add_argument("--owner", type=int)
    options = parser.parse_args()
    stack = Stack(Instance.named(options.instance, base=options.base), given=os.environ)
    owner = ProcessId.of(options.owner) if options.owner is not None else None
    if options.owner is not None and owner is None:
        return 0
    names = [PartName(name) for name in options.parts.split(",")]
    child = os.fork()
    if child:
        print(child, flush=True)  # noqa: T201 - for who started us
        return 0
    os.setsid()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asyncio.run(supervise(stack, names, hasty=options.hasty, owner=owner))
    return 0


if __name__ == "__main__":
    sys.exit(main())
