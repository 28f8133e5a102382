"""What an error means for the image: its end, or another try.

| error | verdict |
|---|---|
| ImageError | failed(code): trying the same picture again cannot help |
| InferenceUnavailable, StoreUnavailable | back to the queue, not counted: the installation is at fault |
| a backend that died or hangs | counted all the same: it may be this picture that does it |
| other TransientError, ModelError, timeout | back to the queue, counted, ever later; at last failed(code) |
| anything else | the same with `internal_error`; the traceback is logged |
"""

import random
from dataclasses import dataclass

from orchestrator.errors import ImageError, InferenceUnavailable, StoreUnavailable, TagdeskError
from orchestrator.inference.failures import DEAD_BACKEND, HUNG
from orchestrator.records import ImageFailure

OUTAGE_DELAY = 2.0
LONGEST_DELAY = 600.0

HUNG_FACTOR = 16
"""How many times longer an image waits that met a hanging version. The keeper needs a while to mend that:
images that waited less would all come back in the same moment, the one that may be the cause among them."""

_PERHAPS_THE_PICTURE = frozenset({DEAD_BACKEND, HUNG})

ANALYSIS_TIMEOUT = "analysis_timeout"
INTERNAL_ERROR = "internal_error"
ATTEMPTS_EXHAUSTED = "attempts_exhausted"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`retry_in`: seconds until the next try, None at the end. `counted`: whether the try used one up."""

    failure: ImageFailure
    retry_in: float | None
    counted: bool = True


def failure_of(error: BaseException) -> ImageFailure:
    """Name an error for the image's row."""
    match error:
        case TagdeskError():
            return ImageFailure(error.code, error.detail)
        case TimeoutError():
            return ImageFailure(ANALYSIS_TIMEOUT, "the analysis took too long")
        case _:
            return ImageFailure(INTERNAL_ERROR, f"unexpected {type(error).__name__}; the log has more")


def judge(error: BaseException, *, attempts: int, max_attempts: int, base: float) -> Verdict:
    """Decide what follows on `error` in try number `attempts` (from 1).

    The n-th counted delay is `base` × 2ⁿ⁻¹ seconds at most (HUNG_FACTOR times that after a hang),
    LONGEST_DELAY at most, and at least half of that: jitter keeps images that failed together from coming
    back together.
    """
    failure = failure_of(error)
    if isinstance(error, ImageError):
        return Verdict(failure, retry_in=None)
    if isinstance(error, InferenceUnavailable | StoreUnavailable) and error.code not in _PERHAPS_THE_PICTURE:
        return Verdict(failure, retry_in=OUTAGE_DELAY * random.uniform(0.5, 1.5), counted=False)
    if attempts >= max_attempts:
        return Verdict(failure, retry_in=None)
    if failure.code == HUNG:
        base *= HUNG_FACTOR
    longest = min(LONGEST_DELAY, base * 2 ** (attempts - 1))
    return Verdict(failure, retry_in=longest * random.uniform(0.5, 1.0))
