"""What Triton's failures mean: whether another try may help, or the request itself is refused.

| status | meaning here |
|---|---|
| UNAVAILABLE, RESOURCE_EXHAUSTED | down, draining, queue full or its timeout: try again |
| UNAVAILABLE "not at ready state" | this version is not loaded, as with NOT_FOUND: try again |
| UNAVAILABLE "protocol is restricted" | the admin key is wrong: refused |
| NOT_FOUND | draining, or not loaded yet although the database names it: try again |
| DEADLINE_EXCEEDED, CANCELLED | too slow: try again |
| INTERNAL, UNKNOWN, ABORTED | a dead stub and the like: try again |
| none | the client refused to build the request: names or dtypes are wrong |
| all others | the server refuses the request: names, dtypes, dims, permission |
"""

from tritonclient.utils import InferenceServerException

from orchestrator.errors import InferenceRejected, InferenceUnavailable

SERVER_AWAY = "inference_unavailable"
"""The code of a server that is down or overloaded: no version's own fault."""

TIMEOUT = "inference_timeout"
DEAD_BACKEND = "inference_internal"
HUNG = "model_hung"
NOT_SERVED = "model_not_served"
BROKEN_SCORES = frozenset({"scores_misshapen", "scores_not_finite", "scores_not_probabilities"})
"""The codes of answers that came, and are none."""

VERSION_FAULTS = BROKEN_SCORES | {TIMEOUT, DEAD_BACKEND, HUNG, NOT_SERVED}
"""The codes that a version in service may give; with a server that is away it has nothing to do."""

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
_UNSERVED_WORDS = ("not at ready state", "is not found", "unknown model")
_RESTRICTED = "protocol is restricted"


def translated(error: InferenceServerException) -> InferenceUnavailable | InferenceRejected:
    """Return the error of ours that `error` amounts to."""
    status = error.status()
    message = str(error.message())
    code = _TRANSIENT.get(str(status).removeprefix("StatusCode.")) if status is not None else None
    if _RESTRICTED in message:
        return InferenceRejected(f"Triton refuses: {message}", code="inference_forbidden")
    if code == "inference_unavailable" and any(phrase in message for phrase in _UNSERVED_WORDS):
        code = "model_not_served"
    if code is not None:
        return InferenceUnavailable(f"Triton: {message}", code=code)
    return InferenceRejected(f"Triton refuses: {message}")
