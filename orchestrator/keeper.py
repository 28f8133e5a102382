"""`python -m orchestrator.keeper`: the process that looks after the others' leftovers.

Any number may run; the one that holds the database's lock runs the loops, the others wait for it to free.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from orchestrator.actors import WorkQueue
from orchestrator.broker import make_broker
from orchestrator.errors import StoreUnavailable
from orchestrator.exposition import metrics_shown
from orchestrator.feeder import Feeder
from orchestrator.inference.client import TritonClient
from orchestrator.pruner import Pruner
from orchestrator.reconciler import Reconciler
from orchestrator.registry.registrar import Registrar
from orchestrator.remapper import Remapper
from orchestrator.review.jobs import JobRunner
from orchestrator.review.statistics import Summer
from orchestrator.review.tag_edits import Aligner
from orchestrator.settings import Settings, load_settings
from orchestrator.store.named_lock import NamedLock
from orchestrator.store.unit_of_work import Store
from orchestrator.sweeper import Sweeper
from orchestrator.telemetry import Metrics, configure_logging

log = structlog.get_logger(__name__)

LOCK = "keeper"
LEADERSHIP_INTERVAL = 1.0
RECONCILE_INTERVAL = 1.0
REGISTRAR_INTERVAL = 2.0
ALIGNER_INTERVAL = 5.0
JOBS_INTERVAL = 1.0
SUMMER_INTERVAL = 2.0
FEEDER_INTERVAL = 0.5
REMAPPER_INTERVAL = 1.0
PRUNER_INTERVAL = 5.0
LONGEST_STEP = 150.0
LONGEST_PUBLISHING = 3600.0


class Leadership:
    """Whether this keeper leads. `leading` is set while it does."""

    def __init__(self, lock: NamedLock) -> None:
        self._lock = lock
        self.leading = asyncio.Event()

    async def check(self) -> None:
        """Take the lock, or see whether it is still ours."""
        try:
            held = await self._lock.hold()
        except StoreUnavailable as error:
            if self.leading.is_set():
                log.warning("leadership lost", error=str(error))
            self.leading.clear()
            return
        if held and not self.leading.is_set():
            log.info("leading")
            self.leading.set()
        elif not held:
            self.leading.clear()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the loops until `stop` is set, then finish the step under way and let go of the lock."""
    metrics = Metrics.create()
    with metrics_shown(settings, metrics):
        await _keep(settings, metrics, stop)


async def _keep(settings: Settings, metrics: Metrics, stop: asyncio.Event) -> None:
    store = await _connect(settings, stop)
    if store is None:
        return
    log.info("keeper ready")
    queue = WorkQueue(make_broker(settings), metrics)
    lock = NamedLock(settings, LOCK)
    leadership = Leadership(lock)
    try:
        async with TritonClient.from_settings(settings) as triton:
            sweeper = Sweeper(settings, store, queue, metrics)
            reconciler = Reconciler(settings, store, triton, metrics)
            registrar = Registrar(settings, store, triton)
            aligner = Aligner(store)
            jobs = JobRunner(store)
            summer = Summer(store)
            feeder = Feeder(store, queue)
            remapper = Remapper(settings, store)
            pruner = Pruner(store)
            async with asyncio.TaskGroup() as group:
                group.create_task(_every(LEADERSHIP_INTERVAL, leadership.check, stop))
                group.create_task(_every(settings.sweep_interval, sweeper.sweep, stop, leadership))
                group.create_task(_every(RECONCILE_INTERVAL, reconciler.reconcile, stop, leadership))
                group.create_task(_every(ALIGNER_INTERVAL, aligner.finish_changes, stop, leadership))
                group.create_task(_every(SUMMER_INTERVAL, summer.sum_up, stop, leadership))
                group.create_task(_every(JOBS_INTERVAL, jobs.work, stop, leadership))
                group.create_task(_every(FEEDER_INTERVAL, feeder.feed, stop, leadership))
                group.create_task(_every(REMAPPER_INTERVAL, remapper.work, stop, leadership))
                group.create_task(_every(PRUNER_INTERVAL, pruner.work, stop, leadership))
                group.create_task(
                    _every(REGISTRAR_INTERVAL, registrar.look, stop, leadership, longest=LONGEST_PUBLISHING)
                )
    finally:
        lock.drop()
        queue.close()
        await store.close()


async def _connect(settings: Settings, stop: asyncio.Event) -> Store | None:
    """Wait for the database, which may be started at the same time; None when stopped meanwhile."""
    while not stop.is_set():
        try:
            return await Store.connect(settings)
        except StoreUnavailable as error:
            log.warning("waiting for the database", error=str(error))
            await _pause(stop, LEADERSHIP_INTERVAL)
    return None


async def _every(
    interval: float,
    step: Callable[[], Awaitable[object]],
    stop: asyncio.Event,
    leadership: Leadership | None = None,
    *,
    longest: float = LONGEST_STEP,
) -> None:
    """Take `step` every `interval` seconds while leading. No failure of one step ends the loop."""
    while not stop.is_set():
        if leadership is None or leadership.leading.is_set():
            try:
                async with asyncio.timeout(longest):
                    await step()
            except (StoreUnavailable, TimeoutError) as error:
                log.warning("step failed", error=repr(error))
            except Exception:
                log.exception("step failed unexpectedly")
        await _pause(stop, interval)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def main() -> int:
    """Keep until SIGTERM or SIGINT; returns the exit status."""
    settings = load_settings()
    configure_logging("keeper")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop)
    log.info("keeper stopped")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
