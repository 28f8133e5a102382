"""How live work fares, told by every process that does some to every process that would do something beside.

Both go through Redis, which may be lost: then nobody knows, and nothing is done beside.
"""

from typing import Any

import anyio
import anyio.to_thread
import redis

from orchestrator.broker import PatientRedisBroker
from orchestrator.pipeline.spare import Load
from orchestrator.records import Priority

KEPT_MS = 1500
"""How long what was told is believed."""

PATIENCE = 2.0


class Pulse:
    """Tells and hears of live work. Never raises for a Redis that is away, never blocks the event loop."""

    def __init__(self, broker: PatientRedisBroker) -> None:
        self._broker = broker
        self._key = f"{broker.namespace}:live-latency"

    async def tell(self, latency: float) -> None:
        """Say how long live inferences took of late, in seconds."""
        await self._do(lambda client: client.set(self._key, repr(latency), px=KEPT_MS))

    async def hear(self) -> Load | None:
        """Return how live work fares, None when nobody knows."""

        def ask(client: Any) -> tuple[int, bytes | None]:
            pipe = client.pipeline(transaction=False)
            pipe.llen(f"{self._broker.namespace}:{Priority.LIVE}").get(self._key)
            waiting, latency = pipe.execute()
            return waiting, latency

        found = await self._do(ask)
        if found is None:
            return None
        waiting, latency = found
        return Load(waiting, None if latency is None else float(latency))

    async def _do(self, work: Any) -> Any:
        try:
            with anyio.fail_after(PATIENCE):
                return await anyio.to_thread.run_sync(work, self._broker.client, abandon_on_cancel=True)
        except (redis.RedisError, TimeoutError):
            return None
