"""A write that is safe to repeat: the same request under the same key is done once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter

from orchestrator.records import User
from orchestrator.store import idempotency
from orchestrator.store.transaction import Transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request and the key it came under, if any. `parts`: what makes it what it is, of JSON's types."""

    actor: User
    key: str | None
    parts: tuple[object, ...]


async def once(tx: Transaction, request: Keyed, shape: type[T], work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` and keep its answer, or return the answer that the same request got under its key.

    Without a key, just do it. Raises Conflict (`idempotency_key_reused`).
    """
    if request.key is None:
        return await work()
    user_id, key = request.actor.id, request.key
    parts = idempotency.fingerprint(*request.parts)
    known = await idempotency.begin(tx, user_id=user_id, key=key, request=parts)
    adapter = TypeAdapter(shape)
    if known is not None:
        return adapter.validate_json(known)
    answer = await work()
    await idempotency.finish(tx, user_id=user_id, key=key, response=adapter.dump_json(answer).decode())
    return answer
