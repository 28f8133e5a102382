"""The reconciler: Triton serves exactly the versions that the database names.

Triton forgets at every restart what it was told to load, and never notices that a backend process of its own
died. So the two are compared every second, and every version answers a real inference now and then.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from orchestrator.errors import InferenceUnavailable, ModelError
from orchestrator.inference.client import TritonClient
from orchestrator.records import ServedModel
from orchestrator.settings import Settings
from orchestrator.store import models
from orchestrator.store.named_lock import model_lock
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.telemetry import Metrics

log = structlog.get_logger(__name__)

PROBE_INTERVAL = 5.0
PROBE_DEADLINE = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
READY = "READY"
DEAD_BACKEND = "inference_internal"


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A model that could not be loaded: not to be tried again before `until` (monotonic seconds)."""

    until: float
    pause: float


class Reconciler:
    """Compares and mends. Only the leading keeper runs one."""

    def __init__(self, settings: Settings, store: Store, triton: TritonClient, metrics: Metrics) -> None:
        self._settings = settings
        self._store = store
        self._triton = triton
        self._metrics = metrics
        self._served: tuple[ServedModel, ...] = ()
        self._troubles: dict[str, _Trouble] = {}
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
            return False
        if self._away:
            log.info("triton is back")
            self._away = False
            self._troubles.clear()
        agreed = True
        for name in sorted(served.keys() | wanted.keys()):
            if served.get(name, ()) != wanted.get(name, ()):
                agreed = await self._bring(name, wanted.get(name, ())) and agreed
        if agreed and time.monotonic() - self._probed_at >= PROBE_INTERVAL:
            agreed = await self._probe_all()
            self._probed_at = time.monotonic()
        return agreed

    async def _wanted(self) -> Mapping[str, tuple[int, ...]]:
        """Read which versions Triton should serve; their labels only when something changed."""

        async def read(tx: Transaction) -> list[tuple[str, int, int]]:
            return [(row.name, row.version, row.id) for row in await models.list_versions(tx) if row.loaded]

        named = await self._store.read(read)
        if {row[2] for row in named} != {model.id for model in self._served}:
            self._served = tuple(await self._store.read(lambda tx: models.loaded(tx, self._settings)))
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

    async def _bring(self, name: str, versions: Sequence[int]) -> bool:
        """Load or unload one model; a model in trouble is left alone for a growing while."""
        trouble = self._troubles.get(name)
        if trouble is not None and time.monotonic() < trouble.until:
            return False
        lock = model_lock(self._settings, name)
        try:
            if not await lock.hold():
                return True  # somebody is publishing: what Triton serves of it is theirs until they are done
            return await self._change(name, versions, trouble)
        finally:
            await lock.release()

    async def _change(self, name: str, versions: Sequence[int], trouble: _Trouble | None) -> bool:
        action = "load" if versions else "unload"
        try:
            if versions:
                await self._triton.load(name, versions, repository=self._settings.model_repository)
            else:
                await self._triton.unload(name)
        except (ModelError, InferenceUnavailable) as error:
            pause = FIRST_PAUSE if trouble is None else min(LONGEST_PAUSE, 2 * trouble.pause)
            self._troubles[name] = _Trouble(time.monotonic() + pause, pause)
            self._metrics.model_loads.labels(name, action, "failed").inc()
            log.error("triton refuses", action=action, model=name, versions=versions, error=str(error))
            return False
        self._troubles.pop(name, None)
        self._probed_at = 0.0
        self._metrics.model_loads.labels(name, action, "done").inc()
        log.info("triton changed", action=action, model=name, versions=list(versions))
        return True

    async def _probe_all(self) -> bool:
        """Ask every version for a real answer; one whose backend died is unloaded, to be loaded afresh."""
        answered = True
        for model in self._served:
            try:
                await self._triton.probe(model, deadline=PROBE_DEADLINE)
            except InferenceUnavailable as error:
                answered = False
                log.warning("no answer", model=model.name, version=model.version, error=str(error))
                if error.code == DEAD_BACKEND:
                    await self._bring(model.name, ())
            except ModelError as error:
                answered = False
                log.error("bad answer", model=model.name, version=model.version, error=str(error))
        return answered
