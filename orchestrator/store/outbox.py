"""Events for the outside, written in the transaction of what they tell of; a publisher drains them later."""

import json
from collections.abc import Mapping

from orchestrator.store.transaction import Transaction


async def add(tx: Transaction, kind: str, payload: Mapping[str, object]) -> int:
    """Append an event; returns its id, which orders events as they were written."""
    return await tx.insert("outbox", kind=kind, payload=json.dumps(payload, separators=(",", ":")))
