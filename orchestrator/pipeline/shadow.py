"""Shadows: versions that score a share of the images beside the active ones, when there is time to spare.

An image is offered when its own suggestions are stored, with the tensors that were made for them. What is
chosen waits in a small buffer; one request at a time is made, only while `Spare` says so, and beside live
work for a tenth of the time at most. Nothing that goes wrong here touches an image: it is counted, and a
version that keeps failing is stopped.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

import structlog

from orchestrator.errors import InferenceRejected, InferenceUnavailable, StoreUnavailable
from orchestrator.inference.client import TritonClient
from orchestrator.inference.failures import SERVER_AWAY
from orchestrator.pipeline.spare import Load, Reason, Spare
from orchestrator.records import (
    SCORE_ONE,
    LabelCategory,
    ModelScores,
    PreparedImage,
    Priority,
    RawPrediction,
    ServedModel,
    Uint8Tensor,
    as_score,
)
from orchestrator.settings import Settings
from orchestrator.store import models, shadows
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.raw import to_raw
from orchestrator.telemetry import Metrics

log = structlog.get_logger(__name__)

ROOM = 32
"""Images that may wait in a process: 20 MB of tensors of 448 pixels."""

MOST_FAILURES = 10
"""Images in a row that a version may fail on before it is stopped."""

REFRESH = 2.0
TELL_EVERY = 0.25
LOOK_AGAIN = 0.1
NOTE_EVERY = 5.0
AFTER_FAILURE = 1.0
REST_FACTOR = 9.0
"""How many times longer than its last request a shadow rests while there is live work."""


class Loads(Protocol):
    """How live work fares in all processes together."""

    async def tell(self, latency: float) -> None:
        """Say how long live inferences took of late, in seconds."""

    async def hear(self) -> Load | None:
        """Return how live work fares, None when nobody knows."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    image_id: int
    sha256: str
    model: ServedModel
    tensor: Uint8Tensor


def is_chosen(image_id: int, version_id: int, share: int) -> bool:
    """Whether an image is in a version's share, in ten-thousandths: always the same ones, and with a larger
    share those and more."""
    digest = blake2b(f"{version_id}:{image_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % SCORE_ONE < share


class Shadows:
    """The shadows of one process. Belongs to one event loop; begins by itself when first used."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        triton: TritonClient,
        loads: Loads,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store = store
        self._triton = triton
        self._loads = loads
        self._metrics = metrics
        self._clock = clock
        self._floor = as_score(settings.raw_score_floor)
        self._spare = Spare()
        self._running: tuple[tuple[ServedModel, int], ...] = ()
        self._waiting: deque[_Chosen] = deque()
        self._any_waiting = asyncio.Event()
        self._failures: dict[int, int] = {}
        self._live: list[float] = []
        self._refresh_at = self._note_at = 0.0
        self._ended = False
        self._tasks: list[asyncio.Task[None]] = []

    def offer(self, image_id: int, sha256: str, prepared: PreparedImage) -> None:
        """Hear of an image whose suggestions are stored; `sha256` of its bytes, in hex. Waits for nothing."""
        self._begin()
        for model, share in self._running:
            if self._ended or not is_chosen(image_id, model.id, share):
                continue
            key = image_id, sha256, model.id
            if any((one.image_id, one.sha256, one.model.id) == key for one in self._waiting):
                continue
            tensor = prepared.tensors.get(model.geometry)
            if tensor is None or len(self._waiting) >= ROOM:
                self._count(model, "dropped")
                continue
            self._waiting.append(_Chosen(image_id, sha256, model, tensor))
            self._any_waiting.set()

    def noticed(self, priority: Priority, seconds: float) -> None:
        """Hear how long the active versions took for a picture."""
        if priority is Priority.LIVE:
            self._begin()
            if self._running:
                self._live.append(seconds)

    async def refresh(self) -> None:
        """Read which versions are to score, and what share. Raises StoreUnavailable."""
        found = await self._store.read(shadows.running)
        known = {model.id: model for model, _ in self._running}

        async def models_of(tx: Transaction) -> dict[int, ServedModel]:
            new = [one.version_id for one in found if one.version_id not in known]
            return {number: await models.get(tx, self._settings, number) for number in new}

        known |= await self._store.read(models_of)
        self._running = tuple((known[one.version_id], one.share) for one in found)
        self._failures = {one.version_id: self._failures.get(one.version_id, 0) for one in found}

    async def close(self) -> None:
        """Score nothing more; what waits is dropped."""
        self._ended = True
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    def _begin(self) -> None:
        if self._tasks or self._ended:
            return
        steps = (self._keep_up, self._work)
        # In a context of their own: what is logged here belongs to no message or image.
        self._tasks = [asyncio.create_task(_forever(step), context=Context()) for step in steps]

    async def _keep_up(self) -> float:
        """Keep up with what is to be scored, and say how live work fares."""
        if self._clock() >= self._refresh_at:
            self._refresh_at = self._clock() + REFRESH
            await self.refresh()
        latencies, self._live = self._live, []
        if latencies and self._running:
            await self._loads.tell(sum(latencies) / len(latencies))
        return TELL_EVERY

    async def _work(self) -> float:
        """Score what has waited longest, if there is time to spare."""
        await self._any_waiting.wait()
        load = await self._loads.hear()
        if not self._spare.admits(load, self._clock()):
            await self._hold_back()
            return LOOK_AGAIN
        self._show_reason(None)
        chosen = self._waiting.popleft()
        if not self._waiting:
            self._any_waiting.clear()
        start = self._clock()
        await self._score(chosen)
        busy = load is not None and load.latency is not None
        return REST_FACTOR * (self._clock() - start) if busy else 0.0

    async def _score(self, chosen: _Chosen) -> None:
        model = chosen.model
        try:
            # Priorities order requests of one version only, but it costs nothing to say so.
            answer = await self._triton.infer(
                model,
                chosen.tensor[None],
                priority=Priority.BACKFILL,
                deadline=self._settings.inference_timeout,
            )
        except (InferenceRejected, InferenceUnavailable) as error:
            await self._failed(chosen, error)
            return
        raw = to_raw(ModelScores(model, answer[0]), self._floor)
        stored = await self._store.write(
            lambda tx: shadows.store_scores(
                tx, chosen.image_id, model.id, sha256=chosen.sha256, raw=raw, rating=_rating(model, raw)
            )
        )
        self._failures[model.id] = 0
        self._count(model, "scored" if stored else "late")

    async def _failed(self, chosen: _Chosen, error: InferenceRejected | InferenceUnavailable) -> None:
        model = chosen.model
        if error.code == SERVER_AWAY:
            self._spare.away(self._clock())
            self._count(model, "dropped")
            await self._hold_back()
            return
        self._count(model, "failed")
        failures = self._failures[model.id] = self._failures.get(model.id, 0) + 1
        log.warning("a shadow fails", model=model.name, version=model.version, code=error.code)
        await self._store.write(lambda tx: shadows.count_failure(tx, model.id))
        if failures >= MOST_FAILURES:
            note = f"stopped: failed on {failures} images in a row, {error.code}: {error.detail}"
            await self._store.write(lambda tx: shadows.end(tx, model.id, actor="worker", note=note))
            log.error("a shadow is stopped", model=model.name, version=model.version, code=error.code)
            await self.refresh()

    async def _hold_back(self) -> None:
        """Say why nothing is scored, in the metrics at once, in the rows now and then."""
        reason = self._spare.reason
        self._show_reason(reason)
        if reason is None or self._clock() < self._note_at:
            return
        self._note_at = self._clock() + NOTE_EVERY
        for model, _ in self._running:
            await self._store.write(lambda tx, one=model.id: shadows.hold_back(tx, one, reason))  # type: ignore[misc]

    def _show_reason(self, reason: Reason | None) -> None:
        for one in Reason:
            self._metrics.shadow_paused.labels(one.name.lower()).set(one is reason)

    def _count(self, model: ServedModel, outcome: str) -> None:
        self._metrics.shadow_images.labels(model.name, model.version, outcome).inc()


async def _forever(step: Callable[[], Awaitable[float]]) -> None:
    """Take steps, with the seconds between them that each asks for. No failure of one ends it."""
    while True:
        try:
            pause = await step()
        except StoreUnavailable as error:
            log.warning("database unavailable; shadows wait", error=str(error))
            pause = AFTER_FAILURE
        except Exception:
            log.exception("unexpected error of a shadow")
            pause = AFTER_FAILURE
        await asyncio.sleep(pause)


def _rating(model: ServedModel, raw: Sequence[RawPrediction]) -> str | None:
    """Return the surest rating label's name, the first of equals; None without one."""
    names = {one.index: one.name for one in model.labels if one.category is LabelCategory.RATING}
    rated = [(-one.score, one.label) for one in raw if one.label in names]
    return names[min(rated)[1]] if rated else None
