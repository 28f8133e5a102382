"""What each of Triton's statuses means."""

import pytest
from tritonclient.utils import InferenceServerException

from orchestrator.errors import InferenceRejected, InferenceUnavailable
from orchestrator.inference.failures import translated


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("UNAVAILABLE", "inference_unavailable"),
        ("RESOURCE_EXHAUSTED", "inference_unavailable"),
        ("CANCELLED", "inference_unavailable"),
        ("UNKNOWN", "inference_unavailable"),
        ("INTERNAL", "inference_internal"),
        ("NOT_FOUND", "model_not_served"),
        ("DEADLINE_EXCEEDED", "inference_timeout"),
    ],
)
def test_worth_another_try(status, code) -> None:
    error = translated(InferenceServerException("why", status=f"StatusCode.{status}"))

    assert isinstance(error, InferenceUnavailable)
    assert error.code == code
    assert "why" in error.detail


def test_a_version_that_is_not_loaded_has_its_own_code() -> None:
    message = "Request for unknown model: 'wd14' version 2 is not at ready state"

    error = translated(InferenceServerException(message, status="StatusCode.UNAVAILABLE"))

    assert isinstance(error, InferenceUnavailable)
    assert error.code == "model_not_served"


@pytest.mark.parametrize("status", ["INVALID_ARGUMENT", "UNIMPLEMENTED", "PERMISSION_DENIED", "OUT_OF_RANGE"])
def test_the_request_is_at_fault(status) -> None:
    assert isinstance(
        translated(InferenceServerException("why", status=f"StatusCode.{status}")), InferenceRejected
    )


def test_without_a_status_the_client_itself_refused() -> None:
    assert isinstance(translated(InferenceServerException("dtype")), InferenceRejected)
