"""Asking a version, and telling one that hangs from one that has much to do, when no answer comes in time.

Who has waited for half of the time notes how far the version is by Triton's own count, and looks again at the
end. What comes in time costs no question.
"""

import asyncio
import time
from dataclasses import dataclass

from orchestrator.errors import InferenceUnavailable, ModelError
from orchestrator.inference.answering import Answering
from orchestrator.inference.failures import TIMEOUT
from orchestrator.inference.progress import Progress
from orchestrator.records import Float32Tensor, Priority, ServedModel, Uint8Tensor

PROGRESS_DEADLINE = 2.0


@dataclass(frozen=True, slots=True)
class _Halfway:
    """How far a version was at a moment, in monotonic seconds."""

    at: float
    progress: Progress


async def answer_of(
    triton: Answering, model: ServedModel, batch: Uint8Tensor, *, priority: Priority, deadline: float
) -> Float32Tensor:
    """Return what `TritonClient.infer` does, with its arguments, and raise as it does.

    A version that computed nothing in the second half of `deadline` seconds, and is not known to be so slow,
    is said to hang: InferenceUnavailable with the code `model_hung`. One that never computed anything is
    not: it may be getting ready.
    """
    waiting = asyncio.create_task(_halfway(triton, model, deadline / 2))
    try:
        return await triton.infer(model, batch, priority=priority, deadline=deadline)
    except InferenceUnavailable as error:
        before = waiting.result() if waiting.done() else None
        if error.code != TIMEOUT or before is None:
            raise
        after = await _progress(triton, model)
        if after is None or not after.executions:
            raise
        seconds = time.monotonic() - before.at
        if not after.is_stuck(before.progress, seconds, patience=deadline / 4):
            raise
        detail = f"{model.name} version {model.version} hangs: nothing computed for {seconds:.1f} s"
        raise InferenceUnavailable(detail, code="model_hung") from error
    finally:
        waiting.cancel()


async def _halfway(triton: Answering, model: ServedModel, seconds: float) -> _Halfway | None:
    await asyncio.sleep(seconds)
    progress = await _progress(triton, model)
    return None if progress is None else _Halfway(time.monotonic(), progress)


async def _progress(triton: Answering, model: ServedModel) -> Progress | None:
    """Return how far a version is; None where Triton itself does not answer."""
    try:
        return await triton.progress(model, deadline=PROGRESS_DEADLINE)
    except (InferenceUnavailable, ModelError):
        return None
