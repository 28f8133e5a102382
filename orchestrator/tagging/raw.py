"""A version's probabilities as the raw predictions that are stored."""

import numpy as np

from orchestrator.records import SCORE_ONE, ModelScores, RawPrediction


def to_raw(scores: ModelScores, floor: int) -> tuple[RawPrediction, ...]:
    """Return every label of at least `floor` (ten-thousandths), in label order.

    Rounding comes first: what is stored is what thresholds will be compared with.
    """
    rounded = np.rint(scores.probabilities.astype(np.float64) * SCORE_ONE).astype(np.int64)
    kept = np.flatnonzero(rounded >= floor)
    version = scores.model.id
    return tuple(
        RawPrediction(version, label, score)
        for label, score in zip(kept.tolist(), rounded[kept].tolist(), strict=True)
    )
