"""F1 by label, and its mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.records import Float32Tensor


@dataclass(frozen=True, slots=True)
class Scoring:
    """Figures of one model on one set of drawings at one threshold.

    `f1`: by label name, for labels that occur in the truth. `images`: how many drawings.
    """

    f1: dict[str, float]
    images: int

    @classmethod
    def empty(cls, labels: Sequence[str]) -> "Scoring":
        """Return the scoring of nothing: zero for every label."""
        return cls(dict.fromkeys(labels, 0.0), 0)

    @property
    def macro_f1(self) -> float:
        """The mean over labels."""
        return float(np.mean(list(self.f1.values())))

    @property
    def weakest(self) -> tuple[str, float]:
        """The label with the lowest F1."""
        return min(self.f1.items(), key=lambda item: item[1])

    def summary(self) -> str:
        """Return macro-F1 and the six weakest labels in one line."""
        worst = sorted(self.f1.items(), key=lambda item: item[1])[:6]
        return f"macro-F1 {self.macro_f1:.4f}, weakest " + ", ".join(f"{name} {f1:.2f}" for name, f1 in worst)


def score(
    probabilities: Float32Tensor, truth: NDArray[np.bool_], labels: Sequence[str], threshold: float = 0.5
) -> Scoring:
    """Return the F1 of every label that is true of at least one row. Both arrays are [N, L]."""
    said = probabilities > threshold
    hits = (said & truth).sum(0)
    f1 = 2 * hits / np.maximum(1, said.sum(0) + truth.sum(0))
    occurs = truth.sum(0) > 0
    return Scoring({label: float(f1[i]) for i, label in enumerate(labels) if occurs[i]}, len(truth))


def best_thresholds(
    probabilities: Float32Tensor, truth: NDArray[np.bool_], low: float = 0.5, high: float = 0.8
) -> list[float]:
    """Return each label's threshold of the highest F1 among hundredths from `low` to `high`.

    Never below even odds by default: a reviewer forgives what was not suggested sooner than nonsense.
    """
    candidates = np.round(np.arange(low, high + 0.005, 0.01), 2)
    hits = np.stack([((probabilities > t) & truth).sum(0) for t in candidates])
    said = np.stack([(probabilities > t).sum(0) for t in candidates])
    f1 = 2 * hits / np.maximum(1, said + truth.sum(0))
    # A plateau's middle is steadier on new pictures than its edge.
    return [round(float(np.median(candidates[column >= column.max() - 1e-9])), 2) for column in f1.T]
