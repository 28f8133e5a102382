"""Golden pictures: known answers that catch what accuracy figures do not.

A squashed aspect, black padding or another filter hardly moves F1, but moves these tensors and probabilities.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from orchestrator.errors import ModelError
from orchestrator.records import Float32Tensor, Label, Uint8Tensor
from orchestrator.registry.manifest import GoldenSpec


def load_picture(folder: Path, golden: GoldenSpec) -> Image.Image:
    """Return the golden picture as it is, in its own mode."""
    with Image.open(folder / golden.file) as image:
        image.load()
        return image


def load_tensor(folder: Path, golden: GoldenSpec) -> Uint8Tensor:
    """Return the expected tensor, UINT8 RGB HWC [S, S, 3]."""
    with Image.open(folder / golden.tensor.file) as image:
        return np.array(image.convert("RGB"), np.uint8)


def expected_scores(golden: GoldenSpec, labels: tuple[Label, ...]) -> Float32Tensor:
    """Return the expected probabilities float32 [L] in label order. Raises ModelError when one is missing."""
    try:
        return np.array([golden.scores[label.name] for label in labels], np.float32)
    except KeyError as error:
        raise ModelError(
            f"{golden.file} has no expected score for {error}", code="golden_incomplete"
        ) from error


def check_tensor(folder: Path, golden: GoldenSpec, tensor: Uint8Tensor) -> int:
    """Compare a letterboxed golden picture, UINT8 RGB HWC [S, S, 3], with what is expected.

    Returns the largest difference. Raises ModelError (`golden_mismatch`) above the tolerance.
    """
    expected = load_tensor(folder, golden)
    if tensor.shape != expected.shape:
        raise ModelError(
            f"{golden.file}: the tensor is {tensor.shape}, not {expected.shape}", code="golden_mismatch"
        )
    difference = int(np.abs(tensor.astype(np.int16) - expected).max())
    if difference > golden.tensor_tolerance:
        raise ModelError(
            f"{golden.file}: the tensor is off by {difference}/255, {golden.tensor_tolerance} are allowed",
            code="golden_mismatch",
        )
    return difference


def check_scores(golden: GoldenSpec, labels: tuple[Label, ...], scores: Float32Tensor) -> float:
    """Compare a golden picture's probabilities, float32 [L], with what is expected.

    Returns the largest difference. Raises ModelError (`golden_mismatch`) above the tolerance.
    """
    difference = np.abs(scores - expected_scores(golden, labels))
    worst = int(np.argmax(np.where(np.isfinite(difference), difference, np.inf)))
    if not difference[worst] <= golden.score_tolerance:
        raise ModelError(
            f"{golden.file}: '{labels[worst].name}' is off by {difference[worst]:.4f},"
            f" {golden.score_tolerance} is allowed",
            code="golden_mismatch",
        )
    return float(difference[worst])
