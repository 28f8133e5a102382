"""Proof that a prepared graph equals "reference preparation + original graph"."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded, so it stands before it
import onnxruntime as ort

from orchestrator.errors import GraphPreparationError
from orchestrator.records import Float32Tensor, Uint8Tensor
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.manifest import InputSpec, OutputSpec
from orchestrator.registry.names import SERVED_EMBEDDING, SERVED_INPUT, SERVED_OUTPUT
from orchestrator.registry.reference import reference_input, reference_probabilities

TOLERANCE = 1e-4
"""Largest difference of a probability between a prepared graph and its original (DESIGN 3)."""
SINGLE = (1,)
BATCHES = (1, 2, 5)
"""Of so many pictures are the batches that prove that pictures do not touch each other in the graph."""


@dataclass(frozen=True, slots=True)
class Equality:
    """What `verify_graph` found: the largest difference over so many pictures, and in which batches."""

    largest_difference: float
    images: int
    batches: tuple[int, ...]


def open_session(model: bytes, *, threads: int = 1) -> ort.InferenceSession:
    """Return a CPU session of a serialised graph. Raises GraphPreparationError when it does not load.

    `threads`: of one inference; 0 takes every core.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base but this
        raise GraphPreparationError(
            f"ONNX Runtime cannot load the graph: {error}", code=CheckCode.GRAPH_UNLOADABLE
        ) from error


def run_served(session: ort.InferenceSession, images: Uint8Tensor) -> Float32Tensor:
    """Return a prepared graph's probabilities float32 [N, L] of UINT8 RGB NHWC [N, S, S, 3]."""
    scores: Float32Tensor = session.run([SERVED_OUTPUT], {SERVED_INPUT: images})[0]
    return scores


def run_original(
    session: ort.InferenceSession, images: Uint8Tensor, input_spec: InputSpec, output_spec: OutputSpec
) -> Float32Tensor:
    """Return an original graph's probabilities of the same pictures, after the reference preparation.

    Pictures go in one by one, or, where the graph insists on a number, repeated so often.
    """
    return reference_probabilities(run_raw(session, images, input_spec, output_spec.name), output_spec)


def run_raw(
    session: ort.InferenceSession, images: Uint8Tensor, spec: InputSpec, output: str
) -> Float32Tensor:
    """Return what an original graph itself answers for the same pictures: rows of its output `output`."""
    (wanted,) = session.get_inputs()
    element = np.float16 if wanted.type == "tensor(float16)" else np.float32
    repeats = wanted.shape[0] if wanted.shape and isinstance(wanted.shape[0], int) else 1
    answers = []
    for image in images:
        batch = np.repeat(reference_input(image[None], spec).astype(element), repeats, axis=0)
        answers.append(session.run([output], {spec.name: batch})[0][:1])
    return np.concatenate(answers)


def verify_graph(
    original: bytes,
    prepared: bytes,
    input_spec: InputSpec,
    output_spec: OutputSpec,
    *,
    size: int,
    images: Sequence[Uint8Tensor] = (),
    batches: Sequence[int] = BATCHES,
    threads: int = 1,
) -> Equality:
    """Compare the graphs on `images` (UINT8 RGB HWC [S, S, 3]) and on generated ones, in every batch size of
    `batches`, the pictures in a random order.

    With an embedding named, `original` must give it as an output (graph.with_output) and it is compared too,
    relative to its own size. Raises GraphPreparationError when either does not run, an answer is not finite
    or not within 0 … 1, or anything differs by more than `TOLERANCE`.
    """
    original_session = open_session(original, threads=threads)
    prepared_session = open_session(prepared, threads=threads)
    pictures = np.stack([*images, *generated_images(size)])
    order = np.random.default_rng(len(pictures)).permutation(len(pictures))
    pictures = pictures[order]
    try:
        expected = {SERVED_OUTPUT: run_original(original_session, pictures, input_spec, output_spec)}
        if output_spec.embedding is not None:
            inner = run_raw(original_session, pictures, input_spec, output_spec.embedding)
            expected[SERVED_EMBEDDING] = inner.reshape(len(pictures), -1).astype(np.float32)
        answers = {batch: _in_batches(prepared_session, pictures, list(expected), batch) for batch in batches}
    except Exception as error:  # as above
        raise GraphPreparationError(f"the graph does not run: {error}", code=CheckCode.GRAPH_FAILS) from error
    scores = expected[SERVED_OUTPUT]
    if not np.isfinite(scores).all() or scores.min() < 0 or scores.max() > 1:
        raise GraphPreparationError(
            "the original does not answer with probabilities; is its activation right?",
            code=CheckCode.LOGITS_AS_PROBABILITIES,
        )
    largest = max(
        _difference(answer[name], expected[name], name, batch)
        for batch, answer in answers.items()
        for name in expected
    )
    return Equality(largest, len(pictures), tuple(batches))


def _in_batches(
    session: ort.InferenceSession, pictures: Uint8Tensor, outputs: Sequence[str], batch: int
) -> Mapping[str, Float32Tensor]:
    parts = [
        session.run(list(outputs), {SERVED_INPUT: pictures[i : i + batch]})
        for i in range(0, len(pictures), batch)
    ]
    return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(outputs)}


def _difference(answer: Float32Tensor, expected: Float32Tensor, name: str, batch: int) -> float:
    difference = float("nan")
    if answer.shape == expected.shape:
        scale = 1.0 if name == SERVED_OUTPUT else max(1.0, float(np.abs(expected).max()))
        difference = float(np.abs(answer - expected).max()) / scale
    if not difference <= TOLERANCE:
        raise GraphPreparationError(
            f"batches of {batch}: the prepared graph differs from its original by {difference:.1e} ({name})",
            code=CheckCode.PREPARATION_DIFFERS,
        )
    return difference


def generated_images(size: int) -> list[Uint8Tensor]:
    """Return pictures that tell channels, range and layout apart: noise, plain colours, slopes, clouds."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (size, size, 3), np.uint8)
    slope = np.linspace(0, 255, size).astype(np.uint8)
    across = np.zeros((size, size, 3), np.uint8)
    across[..., 0] = slope[None, :]
    down = np.full((size, size, 3), 40, np.uint8)
    down[..., 2] = slope[:, None]
    plain = [
        np.full((size, size, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255), (255, 255, 255))
    ]
    patch = -(-size // 4)
    clouds = random.integers(0, 256, (4, 4, 3), np.uint8).repeat(patch, axis=0).repeat(patch, axis=1)
    return [noise, across, down, *plain, np.ascontiguousarray(clouds[:size, :size])]
