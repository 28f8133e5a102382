"""A review's answer as JSON text and back, so that a repeated request gets the very same answer."""

from collections.abc import Sequence
from functools import lru_cache

from pydantic import TypeAdapter

from orchestrator.records import ReviewOutcome, VerdictRequest
from orchestrator.store import idempotency


@lru_cache(maxsize=1)
def _outcome() -> TypeAdapter[ReviewOutcome]:
    # Built on first use: it takes milliseconds, and nothing is built at import.
    return TypeAdapter(ReviewOutcome)


def encode(outcome: ReviewOutcome) -> str:
    """Return the outcome as JSON text."""
    return _outcome().dump_json(outcome).decode()


def decode(text: str) -> ReviewOutcome:
    """Return the outcome that `encode` made the text from."""
    return _outcome().validate_json(text)


def fingerprint(image_id: int | None, requests: Sequence[VerdictRequest]) -> bytes:
    """Return the hash that tells two requests under one key apart."""
    return idempotency.fingerprint(
        "review", image_id, [[r.suggestion_id, r.version, r.decision, r.reason, r.note] for r in requests]
    )
