"""Opaque keyset cursors: where the page before ended, never how many rows came before."""

import base64
import binascii
import json
from collections.abc import Sequence

from orchestrator.errors import InvalidInput


def encode(kind: str, *key: int) -> str:
    """Return the cursor of a list of this kind after the row with this key."""
    text = json.dumps([kind, *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str | None, kind: str, length: int) -> Sequence[int] | None:
    """Return the key that `encode` made the cursor from. Raises InvalidInput (`bad_cursor`)."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _bad() from error
    if not isinstance(found, list) or len(found) != length + 1 or found[0] != kind:
        raise _bad()
    if not all(type(part) is int and 0 <= part < 2**63 for part in found[1:]):
        raise _bad()
    return found[1:]


def _bad() -> InvalidInput:
    return InvalidInput("the cursor is not one of this list", code="bad_cursor")
