"""Sums over what two versions say of image after image. Its size does not depend on how many images."""

import heapq
from collections import Counter
from collections.abc import Iterable

import numpy as np

from orchestrator.comparison.estimate import CELLS, FEWER_DRAWS, Kind, Paired, paired
from orchestrator.comparison.report import (
    Agreement,
    ChangedImage,
    ChangedTag,
    Curve,
    CurvePoint,
    Queue,
    TagComparison,
    TypeComparison,
)
from orchestrator.comparison.views import Said, View
from orchestrator.records import SCORE_ONE, TagType
from orchestrator.tagging.board import Board

CURVE_STEP = 250
"""Of thresholds, in ten-thousandths."""
_BINS = SCORE_ONE // CURVE_STEP + 1

Rows = Counter[tuple[int, ...]]


class Tally:
    """Counts views. `board`: the tags as both versions' rules see them; `shown`: most changed images kept."""

    def __init__(self, board: Board, *, shown: int) -> None:
        self._board = board
        self._shown = shown
        self.images = 0
        self.same = 0
        self._rows: Rows = Counter()
        self._rows_of_type: dict[TagType, Rows] = {}
        self._cells: dict[int, Counter[int]] = {}
        self._said: dict[int, list[int]] = {}
        self._asked: dict[int, list[int]] = {}
        self._scores: dict[TagType, np.ndarray[tuple[int, ...], np.dtype[np.int64]]] = {}
        self._changed: list[tuple[int, int, int, View]] = []

    def add(self, view: View) -> None:
        """Count an image."""
        self.images += 1
        self.same += view.m.keys() == view.n.keys()
        for tag in view.m.keys() | view.n.keys():
            _count(self._said, tag, tag in view.m, tag in view.n)
        for tag in view.asked_m | view.asked_n:
            _count(self._asked, tag, tag in view.asked_m, tag in view.asked_n)
        self._judge(view)
        self._keep(view)

    def _judge(self, view: View) -> None:
        if not view.cells:
            return
        self._rows[_row(view.cells.values())] += 1
        by_type: dict[TagType, list[int]] = {}
        for tag, one in view.cells.items():
            type_ = self._board.tags[tag].type
            by_type.setdefault(type_, []).append(one)
            self._cells.setdefault(tag, Counter())[one] += 1
            scores = self._scores.setdefault(type_, np.zeros((2, len(Kind), _BINS), dtype=np.int64))
            for side, of_side in enumerate((view.scores_m, view.scores_n)):
                scores[side, view.judged[tag], of_side.get(tag, 0) // CURVE_STEP] += 1
        for type_, cells in by_type.items():
            self._rows_of_type.setdefault(type_, Counter())[_row(cells)] += 1

    def _keep(self, view: View) -> None:
        changed = view.m.keys() ^ view.n.keys()
        if not changed:
            return
        sure = sum(max(view.m.get(tag, 0), view.n.get(tag, 0)) for tag in changed)
        heapq.heappush(self._changed, (len(changed), sure, view.image_id, view))
        if len(self._changed) > self._shown:
            heapq.heappop(self._changed)

    def agreement(self, type_: TagType | None = None) -> Agreement:
        """Return what was said, of all tags or of a type."""
        return Agreement(*self._sum(self._said, type_))

    def queue(self, type_: TagType | None = None) -> Queue:
        """Return what people would be asked, of all tags or of a type."""
        _, only_m, only_n = self._sum(self._asked, type_)
        return Queue(added=only_n, dropped=only_m)

    def paired(self) -> Paired:
        """Return both versions' quality on all judged images."""
        return paired(self._rows)

    def types(self) -> tuple[TypeComparison, ...]:
        """Return the types of which anything was said or judged."""
        seen = {self._board.tags[tag].type for tag in self._tags()}
        return tuple(
            TypeComparison(
                type_, self.agreement(type_), self.queue(type_), paired(self._rows_of_type.get(type_, {}))
            )
            for type_ in TagType
            if type_ in seen
        )

    def tags(self) -> tuple[TagComparison, ...]:
        """Return every tag of which anything was said or judged, those that differ most first."""
        found = []
        for tag in self._tags():
            said, asked = self._said.get(tag, [0, 0, 0]), self._asked.get(tag, [0, 0, 0])
            rows = {_row([one]): amount for one, amount in self._cells.get(tag, Counter()).items()}
            found.append(
                TagComparison(
                    self._board.tags[tag],
                    Agreement(*said),
                    Queue(added=asked[2], dropped=asked[1]),
                    paired(rows, draws=FEWER_DRAWS),
                )
            )
        return tuple(
            sorted(found, key=lambda one: (-one.agreement.only_m - one.agreement.only_n, one.tag.id))
        )

    def curves(self) -> tuple[Curve, ...]:
        """Return the curve of all tags, then of each type."""
        if not self._scores:
            return ()
        whole = np.sum(list(self._scores.values()), axis=0)
        of_types = [Curve(type_, _points(self._scores[type_])) for type_ in TagType if type_ in self._scores]
        return (Curve(None, _points(whole)), *of_types)

    def changed(self) -> tuple[ChangedImage, ...]:
        """Return the images that differ most, those first; of equal ones the surest, then the newest."""
        return tuple(
            ChangedImage(
                view.image_id,
                added=self._only(view.n, view.m, view),
                dropped=self._only(view.m, view.n, view),
            )
            for *_, view in sorted(self._changed, key=lambda one: one[:3], reverse=True)
        )

    def _only(self, said: Said, other: Said, view: View) -> tuple[ChangedTag, ...]:
        return tuple(
            ChangedTag(self._board.tags[tag], said[tag], view.judged.get(tag))
            for tag in sorted(said.keys() - other.keys(), key=lambda tag: (-said[tag], tag))
        )

    def _tags(self) -> list[int]:
        return sorted(self._said.keys() | self._asked.keys() | self._cells.keys())

    def _sum(self, counts: dict[int, list[int]], type_: TagType | None) -> tuple[int, int, int]:
        found = [of for tag, of in counts.items() if type_ is None or self._board.tags[tag].type is type_]
        both, only_m, only_n = (sum(of[at] for of in found) for at in range(3))
        return both, only_m, only_n


def _count(counts: dict[int, list[int]], tag: int, by_m: bool, by_n: bool) -> None:
    """Count a tag as said by both, by M only, or by N only."""
    of_tag = counts.setdefault(tag, [0, 0, 0])
    of_tag[0 if by_m and by_n else 1 if by_m else 2] += 1


def _row(cells: Iterable[int]) -> tuple[int, ...]:
    counts = [0] * CELLS
    for one in cells:
        counts[one] += 1
    return tuple(counts)


def _points(scores: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[CurvePoint, ...]:
    """Return the curve of scores counted by [side, kind, step]."""
    at_least = scores[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]
    points = []
    for step in range(1, _BINS):
        measures: list[float | None] = []
        for side in range(2):
            approved, applied, rejected = at_least[side, :, step].tolist()
            on_images = int(at_least[side, Kind.APPROVED, 0] + at_least[side, Kind.APPLIED, 0])
            measures.append(approved / (approved + rejected) if approved + rejected else None)
            measures.append((approved + applied) / on_images if on_images else None)
        points.append(CurvePoint(step * CURVE_STEP / SCORE_ONE, *measures))
    return tuple(points)
