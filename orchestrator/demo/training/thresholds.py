"""Thresholds that a version advises, chosen on drawings that were held back from its training."""

import numpy as np
from numpy.typing import NDArray

from orchestrator.demo.portraits.vocabulary import GENERAL, LABELS, THEMES
from orchestrator.demo.training.scores import best_thresholds
from orchestrator.records import Float32Tensor
from orchestrator.registry.manifest import ThresholdsSpec

PLANNED_FLOOR = 0.35
"""The plan's floor for Danbooru labels: never advise less."""


def wd14_thresholds(probabilities: Float32Tensor, truth: NDArray[np.bool_]) -> ThresholdsSpec:
    """Return WD14's advice from [N, 59] arrays: for general labels, where precision equals recall."""
    general = [i for i, label in enumerate(LABELS) if label in GENERAL]
    said, true = probabilities[:, general], truth[:, general]
    candidates = np.round(np.arange(PLANNED_FLOOR, 0.9, 0.01), 2)
    # Precision equals recall where as much is said as is true.
    excess = [abs(int((said > t).sum()) - int(true.sum())) for t in candidates]
    return ThresholdsSpec(general=float(candidates[int(np.argmin(excess))]), character=0.85)


def theme_thresholds(probabilities: Float32Tensor, truth: NDArray[np.bool_]) -> ThresholdsSpec:
    """Return the themes' advice from [N, 12] arrays: one floor a label, that of its highest F1."""
    names = [str(theme.external_id) for theme in THEMES]
    return ThresholdsSpec(
        board=0.60, by_label=dict(zip(names, best_thresholds(probabilities, truth), strict=True))
    )
