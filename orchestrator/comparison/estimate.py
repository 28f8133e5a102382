"""Precision, recall and F1 of two versions on the same images, with intervals: pure, numpy only.

What is counted are pairs of an image and a tag that people have judged, told apart by what they said
(`Kind`) and by which version says the tag: 12 cells. An image is the unit that is drawn again: the pairs of
one image are not independent. Both versions are measured on the same draw, so that what makes an image hard
for both does not blur the difference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

CELLS = 12
DRAWS = 1_000
FEWER_DRAWS = 300
"""For one tag of thousands: an interval's ends are then a little rougher."""
_NUMBERS_TOGETHER = 200_000
SEED = 20_261
MIN_IMAGES = 20
"""Judged images below which no interval is given: drawing so few again says nothing of those unseen."""
CONFIDENCE = 0.95

Floats = NDArray[np.float64]


class Kind(IntEnum):
    """What people said of a tag. `APPLIED`: it is on the image without anybody having approved a
    suggestion, so it counts for recall only."""

    APPROVED = 0
    APPLIED = 1
    REJECTED = 2


def cell(kind: Kind, by_m: bool, by_n: bool) -> int:
    """Return where a pair is counted: 0 … 11."""
    return kind * 4 + 2 * by_m + by_n


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; without one where too few images are judged."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a version's suggestions are, each 0 … 1; None where there is nothing to say it by.

    `precision`: of the suggestions that people approved or rejected, the share approved. `recall`: of the
    tags on the images that one of the versions can say, the share it says, in so many words or by a tag
    below. `unprompted`: recall of the tags that people applied without approving a suggestion. `f1`: the
    harmonic mean of precision and recall.
    """

    precision: Estimate | None
    recall: Estimate | None
    unprompted: Estimate | None
    f1: Estimate | None


@dataclass(frozen=True, slots=True)
class Paired:
    """Both versions on the same images. `judged`: images with a judged tag. `f1_difference`: N less M."""

    judged: int
    m: Quality
    n: Quality
    f1_difference: Estimate | None


def paired(images: Mapping[tuple[int, ...], int], *, draws: int = DRAWS) -> Paired:
    """Measure both versions. `images`: how many images have each row of counts by cell ([12] each); `draws`:
    how often they are drawn again for the intervals.

    Swapping M and N in all cells negates the difference and its interval.
    """
    rows = np.array(sorted(images), dtype=np.int64).reshape(-1, CELLS)
    amounts = np.array([images[tuple(row)] for row in rows.tolist()], dtype=np.int64)
    judged = int(amounts.sum())
    swapped = _swapped(rows, amounts)
    if swapped is not None:
        return _turned(_paired(*swapped, judged, draws))
    return _paired(rows, amounts, judged, draws)


def _paired(rows: NDArray[np.int64], amounts: NDArray[np.int64], judged: int, draws: int) -> Paired:
    total = (amounts @ rows).astype(np.float64)
    drawn = _drawn(rows, amounts, judged, draws) if judged >= MIN_IMAGES else None

    def difference() -> Estimate | None:
        return _estimate(total, drawn, lambda counts: f1(counts, 1) - f1(counts, 0))

    def share(measure: Callable[[Floats], Floats]) -> Estimate | None:
        return _without_exception(_estimate(total, drawn, measure), judged)

    def quality(side: int) -> Quality:
        return Quality(
            precision=share(lambda counts: precision(counts, side)),
            recall=share(lambda counts: recall(counts, side)),
            unprompted=share(lambda counts: unprompted(counts, side)),
            f1=share(lambda counts: f1(counts, side)),
        )

    return Paired(judged, quality(0), quality(1), difference())


def precision(counts: Floats, side: int) -> Floats:
    """Return precision of counts [..., 12]; side 0 is M, 1 is N. NaN where nothing was judged."""
    approved = _said(counts, Kind.APPROVED, side)
    return _ratio(approved, approved + _said(counts, Kind.REJECTED, side))


def recall(counts: Floats, side: int) -> Floats:
    """Return recall of counts [..., 12]. NaN where no tag is applied."""
    said = _said(counts, Kind.APPROVED, side) + _said(counts, Kind.APPLIED, side)
    return _ratio(said, counts[..., 0:8].sum(axis=-1))


def unprompted(counts: Floats, side: int) -> Floats:
    """Return recall of what nobody was asked about, of counts [..., 12]. NaN where there is none."""
    return _ratio(_said(counts, Kind.APPLIED, side), counts[..., 4:8].sum(axis=-1))


def f1(counts: Floats, side: int) -> Floats:
    """Return F1 of counts [..., 12]: 0 where nothing of what is applied is said; NaN where nothing was
    judged that precision could be told by."""
    share, found = precision(counts, side), recall(counts, side)
    return np.where(found == 0, 0.0, _ratio(2 * share * found, share + found))


def _said(counts: Floats, kind: Kind, side: int) -> Floats:
    """Sum the cells of a kind in which a side says the tag."""
    cells = [cell(kind, True, False), cell(kind, True, True)]
    if side:
        cells = [cell(kind, False, True), cell(kind, True, True)]
    return np.asarray(counts[..., cells].sum(axis=-1))


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _drawn(rows: NDArray[np.int64], amounts: NDArray[np.int64], judged: int, draws: int) -> Floats:
    """Return the sums of samples of as many images, drawn with replacement: [draws, 12].

    Images with equal rows are drawn as one kind, so a hundred thousand images cost as much as the few
    thousand kinds they are of.
    """
    random = np.random.default_rng(SEED)
    share = amounts / amounts.sum()
    together = max(1, min(draws, _NUMBERS_TOGETHER // len(rows)))
    parts = [
        random.multinomial(judged, share, size=min(together, draws - start)) @ rows
        for start in range(0, draws, together)
    ]
    return np.concatenate(parts).astype(np.float64)


def _estimate(total: Floats, drawn: Floats | None, measure: Callable[[Floats], Floats]) -> Estimate | None:
    value = float(measure(total))
    if np.isnan(value):
        return None
    return Estimate(value) if drawn is None else Estimate(value, *_interval(measure(drawn)))


def _without_exception(share: Estimate | None, judged: int) -> Estimate | None:
    """Return a share; one of 0 or 1 with the interval that so many images without an exception allow.

    However often they are drawn, there is none among them, and the interval would have no width.
    """
    if share is None or share.low != share.high or share.value not in (0.0, 1.0) or share.low is None:
        return share
    room = 1 - ((1 - CONFIDENCE) / 2) ** (1 / judged)
    return Estimate(1.0, 1 - room, 1.0) if share.value else Estimate(0.0, 0.0, room)


def _interval(drawn: Floats) -> tuple[float, float] | tuple[None, None]:
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


_SWAP = [
    cell(Kind(kind), by_m, by_n) for kind in range(3) for by_n in (False, True) for by_m in (False, True)
]


def _swapped(
    rows: NDArray[np.int64], amounts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return the same with M and N swapped if that is the way round in which samples are drawn, else None.

    Of the two ways round one is chosen by the counts alone, so both are drawn alike.
    """
    turned = rows[:, _SWAP]
    order = np.lexsort(turned.T[::-1])
    other = turned[order], amounts[order]
    mine = (rows.tolist(), amounts.tolist())
    return other if (other[0].tolist(), other[1].tolist()) < mine else None


def _turned(measured: Paired) -> Paired:
    difference = measured.f1_difference
    if difference is not None:
        low = None if difference.high is None else -difference.high
        high = None if difference.low is None else -difference.low
        difference = Estimate(-difference.value, low, high)
    return Paired(measured.judged, measured.n, measured.m, difference)
