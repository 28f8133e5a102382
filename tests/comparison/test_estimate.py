"""Precision, recall, F1 and their intervals, from counts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from orchestrator.comparison.estimate import CELLS, MIN_IMAGES, Estimate, Kind, Paired, cell, paired

APPROVED_BOTH = cell(Kind.APPROVED, True, True)
APPROVED_M = cell(Kind.APPROVED, True, False)
REJECTED_N = cell(Kind.REJECTED, False, True)
REJECTED_BOTH = cell(Kind.REJECTED, True, True)
APPLIED_N = cell(Kind.APPLIED, False, True)
APPLIED_NEITHER = cell(Kind.APPLIED, False, False)


def row(*cells: int) -> tuple[int, ...]:
    counts = Counter(cells)
    return tuple(counts[at] for at in range(CELLS))


def value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else round(estimate.value, 6)


def test_numbers_of_a_few_images() -> None:
    # Given 3 approved tags, of which N misses one, 1 rejected that both say, 2 applied of which N says one
    found = paired(
        {
            row(APPROVED_BOTH, APPROVED_M): 1,
            row(APPROVED_BOTH, REJECTED_BOTH): 1,
            row(APPLIED_N, APPLIED_NEITHER): 1,
        }
    )
    # Then precision is of what was judged, recall of what is on the images
    assert found.judged == 3
    assert [value(one) for one in (found.m.precision, found.m.recall)] == [0.75, 0.6]
    assert [value(one) for one in (found.n.precision, found.n.recall)] == [round(2 / 3, 6), 0.6]
    assert [value(found.m.unprompted), value(found.n.unprompted)] == [0.0, 0.5]
    assert value(found.m.f1) == round(2 * 0.75 * 0.6 / 1.35, 6)
    # And so few images have no intervals
    assert found.f1_difference is not None
    assert found.f1_difference.low is None


def test_what_nothing_was_said_of_has_no_number() -> None:
    assert paired({}) == paired(Counter())
    assert paired({}).m.precision is None
    only_applied = paired({row(APPLIED_N): 30})
    assert only_applied.n.precision is None
    assert only_applied.n.f1 is None
    assert value(only_applied.m.f1) == 0.0  # nothing of what is there is said
    only_rejected = paired({row(REJECTED_N): 30})
    assert value(only_rejected.n.precision) == 0.0
    assert only_rejected.n.f1 is None


def test_a_share_without_exception_is_not_certain() -> None:
    """Given 40 images on which N is always right and M never, then that is no proof of it."""
    found = paired({row(cell(Kind.APPROVED, False, True)): 40})
    assert found.n.recall is not None
    assert found.m.recall is not None
    assert (found.n.recall.high, found.m.recall.low) == (1.0, 0.0)
    assert found.n.recall.low == pytest.approx(1 - found.m.recall.high) == pytest.approx(0.912, abs=0.001)


rows = st.dictionaries(
    st.lists(st.integers(0, 2), min_size=CELLS, max_size=CELLS).map(tuple).filter(any),
    st.integers(1, 40),
    max_size=8,
)


def mirrored(images: dict[tuple[int, ...], int]) -> dict[tuple[int, ...], int]:
    swap = [cell(Kind(k), m, n) for k in range(3) for n in (False, True) for m in (False, True)]
    return {tuple(one[at] for at in swap): amount for one, amount in images.items()}


def numbers(measured: Paired) -> list[float | None]:
    qualities = [one for side in (measured.m, measured.n) for one in (side.precision, side.recall, side.f1)]
    return [part for one in qualities for part in ([None] if one is None else [one.value, one.low, one.high])]


@effort(max_examples=40, deadline=None)
@given(images=rows)
def test_swapping_the_versions_negates_the_difference(images: dict[tuple[int, ...], int]) -> None:
    found, turned = paired(images), paired(mirrored(images))
    assert numbers(turned) == numbers(Paired(0, found.n, found.m, None))
    if found.f1_difference is None or turned.f1_difference is None:
        assert found.f1_difference is turned.f1_difference is None
        return
    assert turned.f1_difference.value == pytest.approx(-found.f1_difference.value)
    if found.f1_difference.low is not None and found.f1_difference.high is not None:
        assert turned.f1_difference.low == pytest.approx(-found.f1_difference.high)
        assert turned.f1_difference.high == pytest.approx(-found.f1_difference.low)


@effort(max_examples=30, deadline=None)
@given(images=rows)
def test_an_interval_has_its_number_in_it_or_near(images: dict[tuple[int, ...], int]) -> None:
    found = paired(images)
    for one in (found.m.precision, found.m.recall, found.n.precision, found.n.recall):
        if one is not None and one.low is not None and one.high is not None:
            assert 0 <= one.low <= one.high <= 1
            assert one.low - 0.1 <= one.value <= one.high + 0.1
            assert found.judged >= MIN_IMAGES


def test_the_interval_of_the_difference_mostly_contains_the_truth() -> None:
    """Given boards drawn from a known world, in which the pairs of an image go together, then about 95 of
    100 intervals contain the difference that the world has."""
    random = np.random.default_rng(4711)
    worlds = [
        # an easy image: both right on three tags; a hard one: N alone right, or M alone; or both wrong
        (0.5, row(APPROVED_BOTH, APPROVED_BOTH, APPROVED_BOTH)),
        (0.2, row(cell(Kind.APPROVED, False, True), cell(Kind.APPLIED, False, True), REJECTED_BOTH)),
        (0.1, row(APPROVED_M, APPROVED_M, REJECTED_N)),
        (0.2, row(REJECTED_BOTH, APPLIED_NEITHER)),
    ]
    shares = [share for share, _ in worlds]
    truth = paired({one: round(share * 1_000_000) for share, one in worlds}).f1_difference
    assert truth is not None
    hits = 0
    for _ in range(100):
        amounts = random.multinomial(200, shares)
        found = paired({one: int(n) for (_, one), n in zip(worlds, amounts, strict=True)}).f1_difference
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth.value <= found.high
    assert 88 <= hits <= 100
