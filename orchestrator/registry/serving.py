"""What changing a served model needs: to be alone at it, and to see that Triton gives the right answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from orchestrator.errors import Conflict, InferenceRejected, ModelError
from orchestrator.inference.client import TritonClient
from orchestrator.records import Float32Tensor, ServedModel, Uint8Tensor
from orchestrator.registry.golden import check_scores, load_tensor
from orchestrator.registry.manifest import Manifest
from orchestrator.settings import Settings
from orchestrator.store.named_lock import model_lock

Say = Callable[[str], None]
"""Takes one line on what is being done, for a person who waits."""

PATIENCE = 900.0
INFERENCE_DEADLINE = 60.0
TOLERANCE = 0.02
"""Largest difference of a probability between Triton and ONNX Runtime on this machine: a GPU computes in
other precisions."""

_ASK_AGAIN = 0.5


def silent(text: str) -> None:
    """Say nothing."""


@asynccontextmanager
async def alone(
    settings: Settings, name: str, *, say: Say = silent, patience: float = PATIENCE
) -> AsyncIterator[None]:
    """Be the only one who changes the model `name`: its files, and what Triton serves of it.

    Waits for whoever is at it. Raises Conflict (`model_busy`) after `patience` seconds, StoreUnavailable.
    """
    lock = model_lock(settings, name)
    try:
        end = time.monotonic() + patience
        told = False
        while not await lock.hold():
            if time.monotonic() >= end:
                raise Conflict(
                    f"somebody else is publishing or switching {name}; try again later", code="model_busy"
                )
            if not told:
                say(f"somebody else is publishing or switching {name}: waiting for them")
                told = True
            await asyncio.sleep(_ASK_AGAIN)
        async with lock.kept():
            yield
    finally:
        await lock.release()


async def check_golden(triton: TritonClient, model: ServedModel, folder: Path, manifest: Manifest) -> int:
    """Ask Triton about the version's golden pictures, or a grey one where it has none; returns how many.

    Raises ModelError when an answer is not the expected one, InferenceUnavailable.
    """
    for golden in manifest.golden:
        tensor = await asyncio.to_thread(load_tensor, folder, golden)
        scores = await triton.infer(model, tensor[None], deadline=INFERENCE_DEADLINE)
        check_scores(golden, model.labels, scores[0])
    if not manifest.golden:
        await triton.probe(model, deadline=INFERENCE_DEADLINE)
    return len(manifest.golden)


async def compare_with_runtime(triton: TritonClient, model: ServedModel, graph: Path) -> float:
    """Ask Triton and ONNX Runtime here about the same generated pictures; returns the largest difference.

    `graph`: the prepared graph. Raises ModelError (`served_differently`) above TOLERANCE,
    InferenceUnavailable.
    """
    images, expected = await asyncio.to_thread(_run, graph, model.geometry.size)
    largest = 0.0
    for image, wanted in zip(images, expected, strict=True):
        scores = await triton.infer(model, image[None], deadline=INFERENCE_DEADLINE)
        largest = max(largest, float(np.abs(scores[0] - wanted).max()))
    if largest > TOLERANCE:
        raise InferenceRejected(
            f"{model.name} {model.version} answers otherwise through Triton than through ONNX Runtime: off by"
            f" {largest:.4f}, {TOLERANCE} is allowed",
            code="served_differently",
        )
    return largest


def _run(graph: Path, size: int) -> tuple[list[Uint8Tensor], list[Float32Tensor]]:
    # ONNX Runtime is loaded by who publishes only, and not by every command and keeper.
    from orchestrator.registry.verify import generated_images, open_session, run_served  # noqa: PLC0415

    images = generated_images(size)
    try:
        session = open_session(graph.read_bytes())
    except OSError as error:
        raise ModelError(f"{graph} cannot be read: {error}") from error
    return images, [run_served(session, image[None])[0] for image in images]
