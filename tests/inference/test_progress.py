"""What counts as stuck, by Triton's own count of what a version computed."""

import pytest

from orchestrator.inference.progress import SLOWEST_TIMES, Progress

PATIENCE = 30.0


def test_a_version_that_computed_something_meanwhile_is_only_slow():
    assert not Progress(8, 0.1).is_stuck(Progress(7, 0.1), 10 * PATIENCE, patience=PATIENCE)


def test_one_that_was_reloaded_meanwhile_begins_anew():
    assert not Progress(1, 0.1).is_stuck(Progress(7, 0.1), 10 * PATIENCE, patience=PATIENCE)


@pytest.mark.parametrize(("seconds", "stuck"), [(PATIENCE - 1, False), (PATIENCE, True)])
def test_one_that_computed_nothing_is_stuck_once_the_patience_is_over(seconds: float, stuck: bool):
    assert Progress(7, 0.1).is_stuck(Progress(7, 0.1), seconds, patience=PATIENCE) is stuck


def test_one_whose_batches_take_long_is_given_longer():
    slow = Progress(7, 11.0)
    assert not slow.is_stuck(slow, SLOWEST_TIMES * 11 - 1, patience=PATIENCE)
    assert slow.is_stuck(slow, SLOWEST_TIMES * 11, patience=PATIENCE)
