"""What Triton's failures mean: whether another try may help, or the request itself is refused.

| status | meaning here |
|---|---|
| UNAVAILABLE, RESOURCE_EXHAUSTED | down, draining, queue full or its timeout: try again |
| NOT_FOUND | draining, or not loaded yet although the database names it: try again |
| DEADLINE_EXCEEDED, CANCELLED | too slow: try again |
| INTERNAL, UNKNOWN, ABORTED | a dead stub and the like: try again |
| none | the client refused to build the request: names or dtypes are wrong |
| all others | the server refuses the request: names, dtypes, dims, permission |
"""

from tritonclient.utils import InferenceServerException

from orchestrator.errors import InferenceRejected, InferenceUnavailable

_TRANSIENT = {
    "UNAVAILABLE": "inference_unavailable",
    "RESOURCE_EXHAUSTED": "inference_unavailable",
    "CANCELLED": "inference_unavailable",
    "ABORTED": "inference_unavailable",
    "UNKNOWN": "inference_unavailable",
    "INTERNAL": "inference_internal",
    "NOT_FOUND": "model_not_served",
    "DEADLINE_EXCEEDED": "inference_timeout",
}


def translated(error: InferenceServerException) -> InferenceUnavailable | InferenceRejected:
    """Return the error of ours that `error` amounts to."""
    status = error.status()
    message = str(error.message())
    code = _TRANSIENT.get(str(status).removeprefix("StatusCode.")) if status is not None else None
    if code is not None:
        return InferenceUnavailable(f"Triton: {message}", code=code)
    return InferenceRejected(f"Triton refuses: {message}")
