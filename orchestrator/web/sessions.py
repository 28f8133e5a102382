"""The desk's session: a sealed cookie that names a token by its hash.

The token itself never goes back to the browser, and a session ends when its token is revoked, when its time
is up, or when the person signs out.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from orchestrator.settings import Settings

COOKIE = "tagdesk_session"
LIFETIME = 12 * 3600
PATH = "/desk"

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Sessions:
    """Seals and opens session cookies. Every process of an installation derives the same key."""

    key: bytes
    secure: bool
    public_url: str | None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Sessions":
        """Derive the key from the session secret, or from the database's address where none is set."""
        secret = settings.session_secret.get_secret_value() or settings.database_url.get_secret_value()
        key = hmac.digest(secret.encode(), b"tagdesk desk session", "sha256")
        return cls(key, settings.secure_cookies, settings.public_url)

    def seal(self, token: str, *, now: float | None = None) -> str:
        """Return the cookie's value for a token that was just authenticated."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        ends = int((time.time() if now is None else now) + LIFETIME)
        body = base64.urlsafe_b64encode(json.dumps([digest, ends]).encode()).decode()
        return f"{body}.{self._mark(body)}"

    def open(self, request: Request) -> bytes | None:
        """Return the SHA-256 of the session's token; `None` without a valid session."""
        body, _, mark = request.cookies.get(COOKIE, "").partition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(body).encode()):
            return None
        try:
            digest, ends = json.loads(base64.urlsafe_b64decode(body))
            return bytes.fromhex(digest) if time.time() < ends else None
        except (ValueError, TypeError, binascii.Error):
            return None

    def start(self, response: Response, request: Request, token: str) -> None:
        """Give the browser a session."""
        response.set_cookie(
            COOKIE,
            self.seal(token),
            max_age=LIFETIME,
            path=PATH,
            secure=self.is_secure(request),
            httponly=True,
            samesite="strict",
        )

    def end(self, response: Response, request: Request) -> None:
        """Take the session from the browser."""
        response.delete_cookie(
            COOKIE, path=PATH, secure=self.is_secure(request), httponly=True, samesite="strict"
        )

    def is_secure(self, request: Request) -> bool:
        """Whether the cookie travels by https only: always, but for a desk on this very machine."""
        return self.secure or (request.url.hostname or "") not in _LOOPBACK

    def is_same_origin(self, request: Request) -> bool:
        """Whether a write comes from the desk's own pages, by the Origin that every browser sends with it."""
        origin = request.headers.get("Origin", "")
        if self.public_url is not None:
            ours = urlsplit(self.public_url)
            return origin == f"{ours.scheme}://{ours.netloc}"
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc == request.headers.get("Host", "")

    def _mark(self, body: str) -> str:
        return hmac.digest(self.key, body.encode(), "sha256").hex()
