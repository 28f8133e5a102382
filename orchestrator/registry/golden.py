"""Golden pictures: known answers that catch what accuracy figures do not.

A squashed aspect, black padding or another filter hardly moves F1, but moves these tensors and probabilities.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from orchestrator.errors import ModelError
from orchestrator.records import Float32Tensor, Label, Uint8Tensor
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.manifest import GoldenSpec, file_inside


def load_picture(folder: Path, golden: GoldenSpec) -> Image.Image:
    """Return the golden picture as it is, in its own mode."""
    with Image.open(file_inside(folder, golden.file)) as image:
        image.load()
        return image


def load_tensor(folder: Path, golden: GoldenSpec) -> Uint8Tensor:
    """Return the expected tensor, UINT8 RGB HWC [S, S, 3]."""
    with Image.open(file_inside(folder, golden.tensor.file)) as image:
        return np.array(image.convert("RGB"), np.uint8)


def expected_scores(golden: GoldenSpec, labels: tuple[Label, ...]) -> Float32Tensor:
    """Return the expected probabilities float32 [L] in label order; NaN for those that are only bounded.

    Raises ModelError (`golden_incomplete`) when one is missing that must not.
    """
    missing = np.nan if golden.others_at_most is not None else None
    scores = [golden.scores.get(label.name, missing) for label in labels]
    for label, score in zip(labels, scores, strict=True):
        if score is None:
            raise ModelError(
                f"{golden.file} has no expected score for '{label.name}'", code=CheckCode.GOLDEN_INCOMPLETE
            )
    for name in sorted(golden.scores.keys() - {label.name for label in labels}):
        raise ModelError(
            f"{golden.file} has an expected score for '{name}', which is no label",
            code=CheckCode.GOLDEN_INCOMPLETE,
        )
    return np.array(scores, np.float32)


def differences(golden: GoldenSpec, labels: tuple[Label, ...], scores: Float32Tensor) -> Float32Tensor:
    """Return how far probabilities, float32 [L], are from what is expected; infinite where they are none.

    Raises ModelError (`golden_incomplete`).
    """
    expected = expected_scores(golden, labels)
    bound = 1.0 if golden.others_at_most is None else golden.others_at_most
    # Where nothing is expected, what counts is by how much the bound is passed.
    difference = np.where(np.isnan(expected), np.maximum(scores - bound, 0), np.abs(scores - expected))
    return np.where(np.isfinite(scores), difference, np.inf).astype(np.float32)


def check_tensor(folder: Path, golden: GoldenSpec, tensor: Uint8Tensor) -> int:
    """Compare a letterboxed golden picture, UINT8 RGB HWC [S, S, 3], with what is expected.

    Returns the largest difference. Raises ModelError (`golden_mismatch`) above the tolerance.
    """
    expected = load_tensor(folder, golden)
    if tensor.shape != expected.shape:
        raise ModelError(
            f"{golden.file}: the tensor is {tensor.shape}, not {expected.shape}",
            code=CheckCode.GOLDEN_TENSOR_MISMATCH,
        )
    difference = int(np.abs(tensor.astype(np.int16) - expected).max())
    if difference > golden.tensor_tolerance:
        raise ModelError(
            f"{golden.file}: the tensor is off by {difference}/255, {golden.tensor_tolerance} are allowed",
            code=CheckCode.GOLDEN_TENSOR_MISMATCH,
        )
    return difference


def check_scores(golden: GoldenSpec, labels: tuple[Label, ...], scores: Float32Tensor) -> float:
    """Compare a golden picture's probabilities, float32 [L], with what is expected.

    Returns the largest difference. Raises ModelError (`golden_mismatch`) above the tolerance.
    """
    difference = differences(golden, labels, scores)
    worst = int(np.argmax(difference))
    if not difference[worst] <= golden.score_tolerance:
        raise ModelError(
            f"{golden.file}: '{labels[worst].name}' is off by {difference[worst]:.4f},"
            f" {golden.score_tolerance} is allowed",
            code=CheckCode.GOLDEN_MISMATCH,
        )
    return float(difference[worst])
