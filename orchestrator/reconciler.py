"""The reconciler: Triton serves exactly the versions that the database names.

Triton forgets at every restart what it was told to load, and never notices that a backend process of its own
died, or that a model answers nonsense or no more. So the two are compared every second, every version answers
a real inference now and then, and one that cannot is started afresh: it alone, its siblings go on.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from orchestrator.errors import InferenceUnavailable, ModelError
from orchestrator.inference.client import TritonClient
from orchestrator.inference.failures import SERVER_AWAY, VERSION_FAULTS
from orchestrator.inference.watch import Fault, Pace, Watch
from orchestrator.records import ServedModel
from orchestrator.settings import Settings
from orchestrator.store import models
from orchestrator.store.named_lock import model_lock
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.telemetry import Metrics

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
READY = "READY"


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A model that could not be changed, or that a reload did not mend (yet): not to be tried again before
    `until` (monotonic seconds)."""

    until: float
    pause: float


class Reconciler:
    """Compares and mends. Only the leading keeper runs one."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        triton: TritonClient,
        metrics: Metrics,
        pace: Pace | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._triton = triton
        self._metrics = metrics
        self._pace = pace or Pace()
        self._watch = Watch(triton, self._pace)
        self._served: tuple[ServedModel, ...] = ()
        self._troubles: dict[str, _Trouble] = {}
        self._published: set[str] = set()
        self._probed_at = 0.0
        self._away = False

    async def reconcile(self) -> bool:
        """Bring Triton to what the database says; true when the two agree and every version answers.

        Raises StoreUnavailable. A Triton that is away is no error here: the next call finds it again.
        """
        wanted = await self._wanted()
        try:
            served = await self._ready_versions()
        except InferenceUnavailable as error:
            if not self._away:
                log.warning("triton is away", error=str(error))
            self._away = True
            for model in self._served:
                self._watch.forget(model)
                self._metrics.model_healthy.labels(model.name, model.version).set(0)
            return False
        if self._away:
            log.info("triton is back")
            self._away = False
            self._troubles.clear()
        agreed = True
        self._published.clear()
        for name in sorted(served.keys() | wanted.keys()):
            if served.get(name, ()) != wanted.get(name, ()):
                agreed = await self._bring(name) and agreed
        if time.monotonic() - self._probed_at >= self._pace.interval:
            # Also when some model cannot be loaded: that is no reason to leave the others unwatched.
            agreed = await self._look() and agreed
        return agreed

    async def _wanted(self) -> Mapping[str, tuple[int, ...]]:
        """Read which versions Triton should serve; their labels only when something changed."""

        async def read(tx: Transaction) -> list[tuple[str, int, int]]:
            return [(row.name, row.version, row.id) for row in await models.list_versions(tx) if row.loaded]

        named = await self._store.read(read)
        if {row[2] for row in named} != {model.id for model in self._served}:
            before = self._served
            self._served = tuple(await self._store.read(lambda tx: models.loaded(tx, self._settings)))
            self._let_go(before)
            self._count_from_nought()
            self._probed_at = 0.0
        wanted: dict[str, tuple[int, ...]] = {}
        for name, version, _ in sorted(named):
            wanted[name] = (*wanted.get(name, ()), version)
        return wanted

    async def _ready_versions(self) -> dict[str, tuple[int, ...]]:
        ready: dict[str, tuple[int, ...]] = {}
        for entry in await self._triton.index():
            if entry.state == READY:
                ready[entry.name] = (*ready.get(entry.name, ()), entry.version)
        return ready

    def _let_go(self, before: tuple[ServedModel, ...]) -> None:
        """Forget versions that are no longer to be served."""
        kept = {model.id for model in self._served}
        for model in before:
            if model.id not in kept:
                self._watch.forget(model)
                self._troubles.pop(_subject(model), None)
                # Processes that share a folder cannot take a sample back.
                self._metrics.model_healthy.labels(model.name, model.version).set(math.nan)

    def _count_from_nought(self) -> None:
        """Have a counter for every fault: whoever watches its increase would miss the first one else."""
        for model in self._served:
            for code in VERSION_FAULTS:
                self._metrics.broken_answers.labels(model.name, model.version, code)

    @asynccontextmanager
    async def _alone_with(self, name: str) -> AsyncIterator[tuple[int, ...] | None]:
        """Hold a model's lock for the block; yields the versions that are wanted now.

        None when somebody publishes: what Triton serves of it is theirs until they are done.
        """
        lock = model_lock(self._settings, name)
        try:
            if await lock.hold():
                yield (await self._wanted()).get(name, ())
            else:
                self._published.add(name)
                yield None
        finally:
            await lock.release()

    async def _bring(self, name: str) -> bool:
        """Load or unload one model; a model in trouble is left alone for a growing while."""
        if self._in_trouble(name):
            return False
        async with self._alone_with(name) as versions:
            if versions is None:
                return True
            action = "load" if versions else "unload"
            try:
                if versions:
                    await self._triton.load(name, versions, repository=self._settings.model_repository)
                else:
                    await self._triton.unload(name)
            except (ModelError, InferenceUnavailable) as error:
                self._trouble(name)
                self._metrics.model_loads.labels(name, action, "failed").inc()
                log.error("triton refuses", action=action, model=name, versions=versions, error=str(error))
                return False
        self._troubles.pop(name, None)
        self._probed_at = 0.0
        self._metrics.model_loads.labels(name, action, "done").inc()
        log.info("triton changed", action=action, model=name, versions=versions)
        return True

    async def _look(self) -> bool:
        """Ask every version for a real answer, and reload those that this may mend."""
        asked = [model for model in self._served if model.name not in self._published]
        faults = await asyncio.gather(*(self._watch.look(model) for model in asked))
        self._probed_at = time.monotonic()
        for model, fault in zip(asked, faults, strict=True):
            self._metrics.model_healthy.labels(model.name, model.version).set(fault is None)
            if fault is None:
                self._troubles.pop(_subject(model), None)
                continue
            if fault.code != SERVER_AWAY:
                self._metrics.broken_answers.labels(model.name, model.version, fault.code).inc()
            log.warning(
                "no good answer", model=model.name, version=model.version, code=fault.code, error=fault.detail
            )
            if fault.reload:
                await self._reload(model, fault)
        return not any(faults)

    async def _reload(self, model: ServedModel, fault: Fault) -> None:
        """Start a version afresh, ever more rarely while that does not mend it."""
        subject = _subject(model)
        if self._in_trouble(subject):
            return
        async with self._alone_with(model.name) as versions:
            if versions is None or model.version not in versions:
                return
            self._trouble(subject)
            outcome = "done"
            try:
                await self._triton.reload(
                    model.name, model.version, versions, repository=self._settings.model_repository
                )
            except (ModelError, InferenceUnavailable) as error:
                outcome = "failed"
                log.error("reload failed", model=model.name, version=model.version, error=str(error))
            else:
                log.info("model reloaded", model=model.name, version=model.version, code=fault.code)
        self._watch.forget(model)
        self._probed_at = 0.0
        self._metrics.model_loads.labels(model.name, "reload", outcome).inc()

    def _in_trouble(self, subject: str) -> bool:
        trouble = self._troubles.get(subject)
        return trouble is not None and time.monotonic() < trouble.until

    def _trouble(self, subject: str) -> None:
        """Leave a model or version alone for twice as long as the last time."""
        trouble = self._troubles.get(subject)
        pause = FIRST_PAUSE if trouble is None else min(LONGEST_PAUSE, 2 * trouble.pause)
        self._troubles[subject] = _Trouble(time.monotonic() + pause, pause)


def _subject(model: ServedModel) -> str:
    """Name a version among the troubles; a model's own stand under its name."""
    return f"{model.name}:{model.version}"
