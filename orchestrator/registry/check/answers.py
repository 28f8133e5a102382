"""Checks of what a graph answers: numbers, the same ones again, in the range that its activation has."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from orchestrator.errors import GraphPreparationError
from orchestrator.records import Float32Tensor, Uint8Tensor
from orchestrator.registry.check.graph import first_line
from orchestrator.registry.check.report import Notes
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.manifest import Manifest
from orchestrator.registry.reference import reference_probabilities
from orchestrator.registry.verify import generated_images, open_session, run_raw

SLOW_MILLISECONDS = 5000
"""Per picture; WD14 v3 takes about 700 on two cores."""

_SAME = 1e-5
_SIGMOID_OF_ONE = 1 / (1 + np.exp(-1))
_SLACK = 1e-3
_ALLOCATION = ("bad_alloc", "bad allocation", "failed to allocate", "out of memory", "allocate memory")


@dataclass(frozen=True, slots=True)
class Asked:
    """Pictures, UINT8 RGB NHWC [N, S, S, 3], and what the original answered itself, [N, L]."""

    pictures: Uint8Tensor
    raw: Float32Tensor


def check_answers(
    notes: Notes, session: ort.InferenceSession, manifest: Manifest, golden: Sequence[Uint8Tensor]
) -> None:
    """Ask the original graph about extreme, generated and golden pictures, one by one."""
    asked = _ask(notes, session, manifest, golden)
    if asked is None:
        return
    labels = manifest.labels.count
    if asked.raw.ndim != 2 or asked.raw.shape[0] != len(asked.pictures):
        notes.fail(
            CheckCode.ANSWERS_MISSHAPEN,
            f"'{manifest.output.name}' answers a picture with {list(asked.raw.shape[1:])} numbers, not a row",
        )
        return
    if asked.raw.shape[1] != labels:
        notes.fail(
            CheckCode.LABELS_WIDTH,
            f"'{manifest.output.name}' gives {asked.raw.shape[1]} numbers; there are {labels} labels",
        )
        return
    if not np.isfinite(asked.raw).all():
        row = int(np.argmax(~np.isfinite(asked.raw).all(axis=1)))
        notes.fail(CheckCode.ANSWERS_NOT_FINITE, f"NaN or infinity in the answer to {_named(row)}")
        return
    if np.ptp(asked.raw, axis=0).max() < _SAME:
        notes.fail(CheckCode.ANSWERS_CONSTANT, "every picture gets the same answer")
        return
    _check_determinism(notes, session, manifest, asked)
    _check_activation(notes, manifest, asked.raw)
    if not notes.failed():
        _check_variety(notes, reference_probabilities(asked.raw, manifest.output))
    if not notes.failed():
        notes.ok("answers", f"{len(asked.pictures)} pictures answered, the extreme ones too, always the same")


def fails_for_memory(error: Exception) -> bool:
    """Whether a library's error says that memory ran out."""
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in _ALLOCATION)


def _extremes(size: int) -> list[Uint8Tensor]:
    return [np.full((size, size, 3), value, np.uint8) for value in (0, 255)]


def _named(row: int) -> str:
    return ("an all-black picture", "an all-white picture")[row] if row < 2 else "an ordinary picture"


def _ask(
    notes: Notes, session: ort.InferenceSession, manifest: Manifest, golden: Sequence[Uint8Tensor]
) -> Asked | None:
    size = manifest.geometry.size
    pictures = np.stack([*_extremes(size), *generated_images(size), *golden])
    rows, seconds = [], []
    try:
        for i in range(len(pictures)):
            notes.begin(f"asking the graph about {_named(i)}")
            start = time.perf_counter()
            rows.append(run_raw(session, pictures[i : i + 1], manifest.input, manifest.output.name))
            seconds.append(time.perf_counter() - start)
    except Exception as error:  # ONNX Runtime's own exceptions share no base but this
        code = CheckCode.MEMORY_EXCEEDED if fails_for_memory(error) else CheckCode.GRAPH_FAILS
        notes.fail(code, f"the graph does not run on {_named(len(rows))}: {first_line(error)}")
        return None
    milliseconds = statistics.median(seconds) * 1000
    notes.know(milliseconds_per_image=round(milliseconds, 2))
    if milliseconds > SLOW_MILLISECONDS:
        notes.warn(CheckCode.SLOW, f"{milliseconds / 1000:.1f} s a picture on this machine")
    return Asked(pictures, np.concatenate(rows).astype(np.float32))


def _check_determinism(notes: Notes, session: ort.InferenceSession, manifest: Manifest, asked: Asked) -> None:
    noise = asked.pictures[2:3]
    again = run_raw(session, noise, manifest.input, manifest.output.name).astype(np.float32)
    difference = float(
        np.abs(
            reference_probabilities(again, manifest.output)
            - reference_probabilities(asked.raw[2:3], manifest.output)
        ).max()
    )
    if not difference <= _SAME:
        notes.fail(CheckCode.ANSWERS_VARY, f"the same picture, asked twice, differs by {difference:.1e}")


def _check_activation(notes: Notes, manifest: Manifest, raw: Float32Tensor) -> None:
    low, high = float(raw.min()), float(raw.max())
    answers = f"the answers to all pictures are within {low:.3f} … {high:.3f}"
    if manifest.output.activation == "probabilities":
        if low < 0 or high > 1:
            notes.fail(CheckCode.LOGITS_AS_PROBABILITIES, f"{answers}: those are logits, not probabilities")
        elif low >= 0.5 - _SLACK and high <= _SIGMOID_OF_ONE + _SLACK:
            notes.fail(CheckCode.DOUBLE_SIGMOID, f"{answers}: a sigmoid of a sigmoid is")
    elif low >= 0 and high <= 1:
        notes.fail(
            CheckCode.PROBABILITIES_AS_LOGITS,
            f"{answers}: those are probabilities, and one more sigmoid would squeeze them into 0.50 … 0.73",
        )


def _check_variety(notes: Notes, probabilities: Float32Tensor) -> None:
    spread = np.ptp(probabilities, axis=0)
    labels = probabilities.shape[1]
    if labels > 2 and np.allclose(probabilities.sum(axis=1), 1, atol=_SLACK):
        notes.warn(CheckCode.ANSWERS_COMPETE, "every picture's scores add up to 1, as after a softmax")
    telling = np.flatnonzero(spread > _SLACK)
    columns, first = np.unique(probabilities[:, telling], axis=1, return_index=True)
    if columns.shape[1] < len(telling):
        repeated = sorted(set(telling) - set(telling[first]))
        notes.warn(
            CheckCode.ANSWERS_REPEATED,
            f"{len(repeated)} outputs always agree with another, the first is number {repeated[0]}",
        )


def open_original(model: bytes, threads: int) -> ort.InferenceSession:
    """Return a session of the original. Raises GraphPreparationError, also where memory ran out."""
    try:
        return open_session(model, threads=threads)
    except GraphPreparationError as error:
        if error.__cause__ is not None and fails_for_memory(Exception(str(error.__cause__))):
            raise GraphPreparationError(error.detail, code=CheckCode.MEMORY_EXCEEDED) from error
        raise
