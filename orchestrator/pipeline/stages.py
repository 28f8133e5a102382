"""The stages that need no image row: bytes → tensors → scores → raw predictions."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from orchestrator.errors import InferenceRejected, InferenceUnavailable
from orchestrator.images.decoder import Decoder
from orchestrator.inference.answering import Answering
from orchestrator.inference.failures import SERVER_AWAY
from orchestrator.pipeline.hanging import answer_of
from orchestrator.pipeline.stacking import STACK_SECONDS, Stacks
from orchestrator.records import (
    Geometry,
    ModelScores,
    PreparedImage,
    Priority,
    RawPrediction,
    ServedModel,
    as_score,
)
from orchestrator.settings import PictureSettings
from orchestrator.tagging.raw import to_raw
from orchestrator.telemetry import Metrics, Stage

Timings = dict[str, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the models saw in one picture. `timings`: milliseconds by stage."""

    prepared: PreparedImage
    raw: tuple[RawPrediction, ...]
    timings: Mapping[str, float]


class Looking(Protocol):
    """Which versions look at a picture. `ready`: there is at least one."""

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """The versions."""
        ...

    @property
    def ready(self) -> bool:
        """Whether they may look."""
        ...

    @property
    def geometries(self) -> frozenset[Geometry]:
        """Every geometry that one of the models needs."""
        ...


class Stages:
    """Prepares a picture and asks every model at once. Belongs to one event loop."""

    def __init__(
        self,
        *,
        settings: PictureSettings,
        decoder: Decoder,
        triton: Answering,
        metrics: Metrics,
        stack_seconds: float = STACK_SECONDS,
    ) -> None:
        """`triton`: whoever answers for the versions. `stack_seconds`: how long a stack may take."""
        self._decoder = decoder
        self._triton = triton
        self._metrics = metrics
        self._floor = as_score(settings.raw_score_floor)
        self._deadline = settings.inference_timeout
        self._stacks = Stacks(triton, metrics, deadline=settings.inference_timeout, seconds=stack_seconds)

    async def look(self, data: bytes, rules: Looking, *, priority: Priority, alone: bool = False) -> Seen:
        """Return the raw predictions of every model of `rules` for the picture `data`.

        Pictures of a backfill are asked about together, unless `alone`. Raises DecodeError,
        InferenceUnavailable (also with no active model), InferenceRejected.
        """
        if not rules.ready:
            raise InferenceUnavailable("no model version is active", code="no_active_model")
        timings: Timings = {}
        with self._metrics.timed(Stage.DECODE, timings):
            prepared = await self._decoder.prepare(data, rules.geometries)
        with self._metrics.timed(Stage.INFER, timings):
            scores = await self._ask_all(prepared, rules, priority, alone)
        raw = tuple(row for answer in scores for row in to_raw(answer, self._floor))
        return Seen(prepared, raw, timings)

    async def _ask_all(
        self, prepared: PreparedImage, rules: Looking, priority: Priority, alone: bool
    ) -> list[ModelScores]:
        self._stacks.let_go(rules.models)
        try:
            async with asyncio.TaskGroup() as group:
                asked = [
                    group.create_task(self._ask(model, prepared, priority, alone)) for model in rules.models
                ]
        except ExceptionGroup as failures:
            # The group has cancelled the others; the first failure decides what becomes of the image.
            raise failures.exceptions[0] from failures
        return [task.result() for task in asked]

    async def _ask(
        self, model: ServedModel, prepared: PreparedImage, priority: Priority, alone: bool
    ) -> ModelScores:
        start = perf_counter()
        tensor = prepared.tensors[model.geometry]
        try:
            if priority is Priority.BACKFILL:
                answer = await self._stacks.ask(model, tensor, alone=alone)
            else:
                # Triton puts live pictures together itself, from all processes and at no delay.
                (answer,) = await answer_of(
                    self._triton, model, tensor[None], priority=priority, deadline=self._deadline
                )
        except (InferenceRejected, InferenceUnavailable) as error:
            if error.code != SERVER_AWAY:
                self._metrics.broken_answers.labels(model.name, model.version, error.code).inc()
            raise
        self._metrics.inference_seconds.labels(model.name, model.version).observe(perf_counter() - start)
        return ModelScores(model, answer)
