"""Proof that a prepared graph equals "reference preparation + original graph"."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded, so it stands before it
import onnxruntime as ort

from orchestrator.errors import GraphPreparationError
from orchestrator.records import Float32Tensor, Uint8Tensor
from orchestrator.registry.graph import SERVED_INPUT, SERVED_OUTPUT
from orchestrator.registry.manifest import InputSpec, OutputSpec
from orchestrator.registry.reference import reference_input, reference_probabilities

TOLERANCE = 1e-4
"""Largest difference of a probability between a prepared graph and its original (DESIGN 3)."""

_BATCHES = (1, 3)


@dataclass(frozen=True, slots=True)
class Equality:
    """What `verify_graph` found: the largest difference over so many pictures, and in which batches."""

    largest_difference: float
    images: int
    batches: tuple[int, ...]


def open_session(model: bytes) -> ort.InferenceSession:
    """Return a CPU session of a serialised graph. Raises GraphPreparationError when it does not load."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base but this
        raise GraphPreparationError(f"ONNX Runtime cannot load the graph: {error}") from error


def run_served(session: ort.InferenceSession, images: Uint8Tensor) -> Float32Tensor:
    """Return a prepared graph's probabilities float32 [N, L] of UINT8 RGB NHWC [N, S, S, 3]."""
    scores: Float32Tensor = session.run([SERVED_OUTPUT], {SERVED_INPUT: images})[0]
    return scores


def run_original(
    session: ort.InferenceSession, images: Uint8Tensor, input_spec: InputSpec, output_spec: OutputSpec
) -> Float32Tensor:
    """Return an original graph's probabilities of the same pictures, after the reference preparation.

    Pictures go in one by one, so that an original with a fixed batch of 1 answers as well.
    """
    wants = np.float16 if session.get_inputs()[0].type == "tensor(float16)" else np.float32
    answers = [
        session.run(
            [output_spec.name], {input_spec.name: reference_input(image[None], input_spec).astype(wants)}
        )[0]
        for image in images
    ]
    return reference_probabilities(np.concatenate(answers), output_spec)


def verify_graph(
    original: bytes,
    prepared: bytes,
    input_spec: InputSpec,
    output_spec: OutputSpec,
    *,
    size: int,
    images: Sequence[Uint8Tensor] = (),
) -> Equality:
    """Compare the graphs on `images` (UINT8 RGB HWC [S, S, 3]) and on generated ones, alone and in batches.

    Raises GraphPreparationError when either does not run, an answer is not finite or not within 0 … 1, or
    any probability differs by more than `TOLERANCE`.
    """
    original_session, prepared_session = open_session(original), open_session(prepared)
    pictures = np.stack([*images, *generated_images(size)])
    try:
        expected = run_original(original_session, pictures, input_spec, output_spec)
        answers = {
            batch: np.concatenate(
                [
                    run_served(prepared_session, pictures[i : i + batch])
                    for i in range(0, len(pictures), batch)
                ]
            )
            for batch in _BATCHES
        }
    except Exception as error:  # as above
        raise GraphPreparationError(f"the graph does not run: {error}") from error
    if not np.isfinite(expected).all() or expected.min() < 0 or expected.max() > 1:
        raise GraphPreparationError(
            "the original does not answer with probabilities; is its activation right?"
        )
    largest = 0.0
    for batch, answer in answers.items():
        difference = (
            float(np.abs(answer - expected).max()) if answer.shape == expected.shape else float("nan")
        )
        if not difference <= TOLERANCE:
            raise GraphPreparationError(
                f"in batches of {batch} the prepared graph differs from its original by {difference:.2e}"
            )
        largest = max(largest, difference)
    return Equality(largest, len(pictures), _BATCHES)


def generated_images(size: int) -> list[Uint8Tensor]:
    """Return pictures that tell channels, range and layout apart: noise, plain colours, slopes."""
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    slope = np.linspace(0, 255, size).astype(np.uint8)
    across = np.zeros((size, size, 3), np.uint8)
    across[..., 0] = slope[None, :]
    down = np.full((size, size, 3), 40, np.uint8)
    down[..., 2] = slope[:, None]
    plain = [
        np.full((size, size, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255), (255, 255, 255))
    ]
    return [noise, across, down, *plain]
