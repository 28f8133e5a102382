"""Idempotency keys: the same request under the same key is answered once and replayed after that.

`begin` and `finish` belong to the transaction of the write itself, so a key exists exactly when its write
does. A concurrent repeat waits in `begin` for the first one's commit.
"""

import hashlib
import json

from orchestrator.errors import Conflict, InvalidInput
from orchestrator.store.transaction import DuplicateKey, Transaction

KEY_LENGTH = 200


def fingerprint(*parts: object) -> bytes:
    """Return a request's hash. Parts must be made of JSON's types."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).digest()


async def begin(tx: Transaction, *, user_id: int, key: str, request: bytes) -> str | None:
    """Reserve a key, or return the stored answer (JSON text) of the request that had it.

    Raises Conflict (`idempotency_key_reused`) when the key was used for another request, InvalidInput for
    an empty or overlong key.
    """
    if not 0 < len(key) <= KEY_LENGTH:
        raise InvalidInput(f"a key has 1 to {KEY_LENGTH} characters", code="bad_idempotency_key")
    try:
        await tx.insert_many(
            "idempotency_keys", ("user_id", "idempotency_key", "request_sha256"), [(user_id, key, request)]
        )
    except DuplicateKey:
        row = await tx.fetch_one(
            "SELECT request_sha256, response FROM idempotency_keys"
            " WHERE user_id = :user_id AND idempotency_key = :key",
            user_id=user_id,
            key=key,
        )
        if row is None or row["request_sha256"] != request:
            raise Conflict("the key was used for another request", code="idempotency_key_reused") from None
        return str(row["response"])
    return None


async def finish(tx: Transaction, *, user_id: int, key: str, response: str) -> None:
    """Store the answer (JSON text) that repeats will get."""
    await tx.execute(
        "UPDATE idempotency_keys SET response = :response"
        " WHERE user_id = :user_id AND idempotency_key = :key",
        user_id=user_id,
        key=key,
        response=response,
    )
