"""How scores moved from one version to the other, label by label: arrays, summed up image after image."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.comparison.report import CategoryDrift, Drift, LabelDrift
from orchestrator.records import SCORE_ONE, Label, LabelCategory, RawPrediction, ServedModel
from orchestrator.tagging.plan import Meaning, TaggingPlan

STEPS = 40
_STEP = 2 * SCORE_ONE // STEPS

Ints = NDArray[np.int64]


class ScoreDrift:
    """Sums over the labels that both versions have, by name and category."""

    def __init__(self, m: ServedModel, n: ServedModel) -> None:
        self._m, self._n = m, n
        known = {(label.name, label.category): label.index for label in n.labels}
        self._shared: list[tuple[Label, int]] = [
            (label, known[label.name, label.category])
            for label in m.labels
            if (label.name, label.category) in known
        ]
        self._of_m = _numbers([label.index for label, _ in self._shared])
        self._of_n = _numbers([index for _, index in self._shared])
        size = len(self._shared)
        self._categories = list(LabelCategory)
        self._category = np.array(
            [self._categories.index(label.category) for label, _ in self._shared], dtype=np.int64
        )
        self._pairs, self._change, self._spread = (np.zeros(size, dtype=np.int64) for _ in range(3))
        self._histogram = np.zeros((len(self._categories), STEPS), dtype=np.int64)

    def add(self, images: Iterable[Sequence[RawPrediction]]) -> None:
        """Add images, each by its stored scores of any versions."""
        if not self._shared:
            return
        m, n = list[tuple[int, int]](), list[tuple[int, int]]()
        sides = ((m, self._m.id, self._of_m), (n, self._n.id, self._of_n))
        for at, raw in enumerate(images):
            base = at * len(self._shared)
            for one in raw:
                for side, version, numbers in sides:
                    if one.model_version_id == version and (number := numbers.get(one.label)) is not None:
                        side.append((base + number, one.score))
        self._sum_up(*_columns(m), *_columns(n))

    def _sum_up(self, m_keys: Ints, m_scores: Ints, n_keys: Ints, n_scores: Ints) -> None:
        keys = np.union1d(m_keys, n_keys)
        change = np.zeros(len(keys), dtype=np.int64)
        change[np.searchsorted(keys, n_keys)] += n_scores
        change[np.searchsorted(keys, m_keys)] -= m_scores
        labels = keys % len(self._shared)
        np.add.at(self._pairs, labels, 1)
        np.add.at(self._change, labels, change)
        np.add.at(self._spread, labels, np.abs(change))
        # A step holds its lower end; 1 itself is in the last one. No change at all is in the step from 0 on.
        steps = np.minimum((change + SCORE_ONE) // _STEP, STEPS - 1)
        np.add.at(self._histogram, (self._category[labels], steps), 1)

    def labels(self, plan: TaggingPlan) -> tuple[LabelDrift, ...]:
        """Return the labels with scores, those that moved most in all first. `plan`: that knows M."""
        rules = plan.versions[self._m.id].labels
        found = []
        for at in sorted(np.flatnonzero(self._pairs).tolist(), key=lambda at: (-int(self._spread[at]), at)):
            label = self._shared[at][0]
            rule = rules.get(label.index)
            tag = plan.board.tags[rule.tag_id] if rule is not None and rule.meaning is Meaning.TAG else None
            drift = _drift(self._pairs[at], self._change[at], self._spread[at])
            found.append(LabelDrift(label.name, label.category, tag, drift))
        return tuple(found)

    def categories(self) -> tuple[CategoryDrift, ...]:
        """Return the categories that either version has."""
        found = []
        for at, category in enumerate(self._categories):
            of_m = sum(label.category is category for label in self._m.labels)
            of_n = sum(label.category is category for label in self._n.labels)
            if not of_m and not of_n:
                continue
            mine = self._category == at
            both = int(mine.sum())
            found.append(
                CategoryDrift(
                    category=category,
                    drift=_drift(self._pairs[mine].sum(), self._change[mine].sum(), self._spread[mine].sum()),
                    histogram=tuple(self._histogram[at].tolist()),
                    only_m=of_m - both,
                    only_n=of_n - both,
                )
            )
        return tuple(found)


def _drift(pairs: int, change: int, spread: int) -> Drift:
    whole = max(int(pairs), 1) * SCORE_ONE
    return Drift(int(pairs), int(change) / whole, int(spread) / whole)


def _numbers(indices: Sequence[int]) -> dict[int, int]:
    return {index: number for number, index in enumerate(indices)}


def _columns(pairs: list[tuple[int, int]]) -> tuple[Ints, Ints]:
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
