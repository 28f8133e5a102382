"""What each class of error means for an image."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import (
    DecodeError,
    FetchError,
    FetchUnavailable,
    InferenceRejected,
    InferenceUnavailable,
    StoreUnavailable,
)
from orchestrator.pipeline.retries import LONGEST_DELAY, judge

PERMANENT = [FetchError("gone", code="not_found"), DecodeError("no picture", code="not_an_image")]
OUTAGES = [
    InferenceUnavailable("down"),
    InferenceUnavailable("busy", code="inference_timeout"),
    InferenceUnavailable("not loaded", code="model_not_served"),
    StoreUnavailable("down"),
]
COUNTED = [
    (FetchUnavailable("503"), "fetch_unavailable"),
    (InferenceRejected("shape", code="scores_misshapen"), "scores_misshapen"),
    (InferenceUnavailable("the stub died", code="inference_internal"), "inference_internal"),
    (InferenceUnavailable("it hangs", code="model_hung"), "model_hung"),
    (TimeoutError(), "analysis_timeout"),
    (ZeroDivisionError("our mistake"), "internal_error"),
]


@pytest.mark.parametrize("error", PERMANENT, ids=lambda error: error.code)
def test_a_picture_at_fault_gets_no_second_try(error: Exception):
    verdict = judge(error, attempts=1, max_attempts=5, base=2.0)
    assert verdict.retry_in is None
    assert (verdict.failure.code, verdict.failure.detail) == (error.code, error.detail)


@pytest.mark.parametrize("error", OUTAGES, ids=lambda error: error.code)
def test_an_outage_never_uses_up_a_try(error: Exception):
    verdict = judge(error, attempts=99, max_attempts=5, base=2.0)
    assert not verdict.counted
    assert verdict.retry_in is not None
    assert 0 < verdict.retry_in < 10


@pytest.mark.parametrize(("error", "code"), COUNTED, ids=[code for _, code in COUNTED])
def test_other_errors_end_the_image_with_the_last_try(error: Exception, code: str):
    almost = judge(error, attempts=4, max_attempts=5, base=2.0)
    last = judge(error, attempts=5, max_attempts=5, base=2.0)
    assert almost.retry_in is not None
    assert almost.counted
    assert last.retry_in is None
    assert almost.failure.code == last.failure.code == code


def test_images_that_met_a_hanging_version_come_back_when_it_may_be_mended_and_not_all_at_once():
    hung = InferenceUnavailable("it hangs", code="model_hung")
    delays = [judge(hung, attempts=1, max_attempts=5, base=2.0).retry_in or 0 for _ in range(50)]
    assert all(16 <= delay <= 32 for delay in delays)
    assert max(delays) - min(delays) > 2


def test_an_unexpected_error_tells_people_no_internals():
    verdict = judge(ValueError("password=hunter2"), attempts=5, max_attempts=5, base=2.0)
    assert "hunter2" not in verdict.failure.detail


@given(attempts=st.integers(1, 60), base=st.floats(0.01, 60))
def test_delays_double_within_bounds(attempts: int, base: float):
    verdict = judge(FetchUnavailable("503"), attempts=attempts, max_attempts=100, base=base)
    longest = min(LONGEST_DELAY, base * 2 ** (attempts - 1))
    assert verdict.retry_in is not None
    assert longest / 2 <= verdict.retry_in <= longest
