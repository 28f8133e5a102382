"""Confirmations: somebody saw how much a bulk review would decide, and may say yes to just that.

A token is bound to the person, to what was asked for, to how many rows matched and to the last row that there
was. It is sealed, not stored: every process of an installation derives the same key.
"""

import base64
import binascii
import hmac
import json
import secrets
import time
from dataclasses import dataclass

from orchestrator.errors import InvalidInput
from orchestrator.settings import Settings

LIFETIME = 900
NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What somebody saw. `request`: hash of what was asked for; `until`: the last suggestion id there was.

    `nonce`: 16 bytes that tell this look from any other. `expires`: seconds since 1970.
    """

    user_id: int
    request: bytes
    count: int
    until: int
    nonce: bytes
    expires: int

    def expired(self, *, now: float | None = None) -> bool:
        """Whether too much time has passed since the look."""
        return (time.time() if now is None else now) >= self.expires


@dataclass(frozen=True, slots=True)
class Confirmations:
    """Seals and opens tokens."""

    key: bytes

    @classmethod
    def from_settings(cls, settings: Settings) -> "Confirmations":
        """Derive the key from the session secret, or from the database's address where none is set."""
        secret = settings.session_secret.get_secret_value() or settings.database_url.get_secret_value()
        return cls(hmac.digest(secret.encode(), b"tagdesk bulk confirmation", "sha256"))

    def note(
        self, *, user_id: int, request: bytes, count: int, until: int, now: float | None = None
    ) -> Confirmed:
        """Return what somebody has just seen."""
        expires = int((time.time() if now is None else now) + LIFETIME)
        return Confirmed(user_id, request, count, until, secrets.token_bytes(NONCE_BYTES), expires)

    def seal(self, seen: Confirmed) -> str:
        """Return the token that says so; ASCII, fit for JSON and addresses."""
        parts = (
            seen.user_id,
            seen.request.hex(),
            seen.count,
            seen.until,
            seen.nonce.hex(),
            seen.expires,
        )
        body = base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode()
        return f"{body}.{self._mark(body)}"

    def open(self, token: str, *, user_id: int, request: bytes) -> Confirmed:
        """Return what the token says. It may have expired.

        Raises InvalidInput (`bad_confirmation`) when we did not seal it, or for somebody else, or for another
        request.
        """
        body, _, mark = token.partition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(body).encode()):
            raise _bad("this is no confirmation of ours")
        try:
            who, what, count, until, nonce, expires = json.loads(base64.urlsafe_b64decode(body))
            seen = Confirmed(who, bytes.fromhex(what), count, until, bytes.fromhex(nonce), expires)
        except (ValueError, TypeError, binascii.Error) as error:
            raise _bad("this is no confirmation of ours") from error
        if seen.user_id != user_id:
            raise _bad("this confirmation was given to somebody else")
        if seen.request != request:
            raise _bad("this confirmation is of another request: look again with what you want now")
        return seen

    def _mark(self, body: str) -> str:
        return hmac.digest(self.key, body.encode(), "sha256").hex()


def _bad(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="bad_confirmation")
