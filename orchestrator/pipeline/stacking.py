"""Pictures of a backfill go to a version in stacks: one request for many costs less than many for one.

A stack is as large as the version allows and as it can compute in a moment: a live picture that comes while
one is being computed waits for its end.
"""

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from orchestrator.errors import InferenceRejected, InferenceUnavailable
from orchestrator.inference.answering import Answering
from orchestrator.pipeline.coalesce import Coalescer
from orchestrator.pipeline.hanging import answer_of
from orchestrator.records import Float32Tensor, Priority, ServedModel, Uint8Tensor
from orchestrator.telemetry import Metrics

STACK_SECONDS = 0.03
"""How long computing a stack may take where others wait for the same version."""

_LINGER = 0.03  # a backfill has time, and a request for one picture costs nearly as much as one for many
_PARALLEL = 2  # one that is computed, and one that is on its way
_MEMORY = 0.3  # the share of the newest measurement in the estimate
_FIRST = 2


class Stacks:
    """The stacks of every version that was asked. Belongs to one event loop."""

    def __init__(
        self, triton: Answering, metrics: Metrics, *, deadline: float, seconds: float = STACK_SECONDS
    ) -> None:
        """`deadline`: seconds until a request must be answered; `seconds`: how long a stack may take."""
        self._triton = triton
        self._metrics = metrics
        self._deadline = deadline
        self._seconds = seconds
        self._by_version: dict[int, _Stack] = {}

    def let_go(self, models: Sequence[ServedModel]) -> None:
        """Forget the versions that are not among `models`; what is under way goes on."""
        kept = {model.id for model in models}
        self._by_version = {key: stack for key, stack in self._by_version.items() if key in kept}

    async def ask(self, model: ServedModel, tensor: Uint8Tensor, *, alone: bool) -> Float32Tensor:
        """Return the probabilities [L] of one picture, UINT8 RGB [S, S, 3]. Raises as `answer_of` does.

        `alone`: in a request of its own, for a picture that may be to blame for an earlier failure.
        """
        stack = self._by_version.get(model.id)
        if stack is None:
            stack = _Stack(model, self._triton, self._metrics, self._deadline, self._seconds)
            self._by_version[model.id] = stack
        return await stack.pictures.submit(tensor, alone=alone)


class _Stack:
    """One version's pictures, and how large a stack it can take."""

    def __init__(
        self, model: ServedModel, triton: Answering, metrics: Metrics, deadline: float, seconds: float
    ) -> None:
        self._model = model
        self._triton = triton
        self._sizes = metrics.stack_images.labels(model.name, model.version)
        self._deadline = deadline
        self._seconds = seconds
        self._seconds_each: float | None = None
        self._allowed: int | None = None
        self.pictures = Coalescer[Uint8Tensor, Float32Tensor](
            self._ask, most=self._most, parallel=_PARALLEL, shared=_is_shared, linger=_LINGER
        )

    def _most(self) -> int:
        if self._allowed is None or self._seconds_each is None:
            return _FIRST
        return max(1, min(self._allowed, int(self._seconds / self._seconds_each)))

    async def _ask(self, tensors: Sequence[Uint8Tensor]) -> Sequence[Float32Tensor]:
        if self._allowed is None:
            self._allowed = await self._triton.max_batch(self._model)
        start = perf_counter()
        try:
            answer = await answer_of(
                self._triton,
                self._model,
                np.stack(tensors),
                priority=Priority.BACKFILL,
                deadline=self._deadline,
            )
        except InferenceRejected:
            self._allowed = None  # perhaps its configuration has changed
            raise
        each = (perf_counter() - start) / len(tensors)
        before = self._seconds_each
        self._seconds_each = each if before is None else before + _MEMORY * (each - before)
        self._sizes.observe(len(tensors))
        return list(answer)


def _is_shared(error: Exception) -> bool:
    """Whether everybody in a stack has met the error: one that no picture causes, or that takes so long to
    meet that the pictures had better come again, each alone."""
    return isinstance(error, InferenceUnavailable)
