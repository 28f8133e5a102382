"""The two actors, and the sending side of their queues.

An actor does nothing but hand image ids to the pipeline. Both are idempotent: an image that another worker
holds, or that is done, is not claimed again.
"""

from collections.abc import Awaitable, Callable, Sequence

import anyio
import anyio.to_thread
import redis
import structlog
from dramatiq import Actor, actor

from orchestrator.broker import PatientRedisBroker, analyse_message, queue_depth
from orchestrator.records import Priority
from orchestrator.telemetry import Metrics, QueueDepth

log = structlog.get_logger(__name__)

ACTOR_NAMES = {Priority.LIVE: "analyse_live", Priority.BACKFILL: "analyse_backfill"}
IDS_PER_MESSAGE = {Priority.LIVE: 1, Priority.BACKFILL: 64}
SEND_WAIT = 3.0

Analyse = Callable[[Sequence[int], Priority], Awaitable[None]]


def declare(broker: PatientRedisBroker, analyse: Analyse) -> tuple[Actor[[list[int]], None], ...]:
    """Declare `analyse_live` and `analyse_backfill` on `broker`, both ending in `analyse`."""

    async def analyse_live(image_ids: list[int]) -> None:
        await analyse(image_ids, Priority.LIVE)

    async def analyse_backfill(image_ids: list[int]) -> None:
        await analyse(image_ids, Priority.BACKFILL)

    return (
        actor(broker=broker, queue_name=Priority.LIVE.value)(analyse_live),
        actor(broker=broker, queue_name=Priority.BACKFILL.value)(analyse_backfill),
    )


class WorkQueue:
    """Where analyses are asked for. Never blocks the event loop, never raises for a Redis that is away."""

    def __init__(self, broker: PatientRedisBroker, metrics: Metrics) -> None:
        self._broker = broker
        self._metrics = metrics

    @property
    def broker(self) -> PatientRedisBroker:
        """What the messages go through."""
        return self._broker

    async def enqueue(self, image_ids: Sequence[int], priority: Priority) -> bool:
        """Ask for the analysis of images whose rows are committed.

        False when Redis did not take all of them within SEND_WAIT seconds: nothing is lost then, the
        sweeper finds the rows.
        """
        if not image_ids:
            return True
        try:
            with anyio.fail_after(SEND_WAIT):
                # Left behind on cancellation: the thread ends by its own socket timeout.
                await anyio.to_thread.run_sync(self._send, image_ids, priority, abandon_on_cancel=True)
        except (redis.RedisError, TimeoutError) as error:
            log.warning("queue refused images", queue=priority, images=len(image_ids), error=repr(error))
            self._metrics.enqueued.labels(priority, "refused").inc(len(image_ids))
            return False
        self._metrics.enqueued.labels(priority, "sent").inc(len(image_ids))
        return True

    async def depth(self, priority: Priority) -> QueueDepth | None:
        """Count a queue's messages; None when Redis does not answer within SEND_WAIT seconds."""
        try:
            with anyio.fail_after(SEND_WAIT):
                return await anyio.to_thread.run_sync(
                    queue_depth, self._broker, priority, abandon_on_cancel=True
                )
        except (redis.RedisError, TimeoutError):
            return None

    async def is_ready(self) -> bool:
        """Whether Redis answers."""
        try:
            with anyio.fail_after(SEND_WAIT):
                return bool(await anyio.to_thread.run_sync(self._broker.client.ping, abandon_on_cancel=True))
        except (redis.RedisError, TimeoutError):
            return False

    def close(self) -> None:
        """Close the connections to Redis."""
        self._broker.client.close()

    def _send(self, image_ids: Sequence[int], priority: Priority) -> None:
        step = IDS_PER_MESSAGE[priority]
        for start in range(0, len(image_ids), step):
            ids = image_ids[start : start + step]
            self._broker.enqueue(analyse_message(priority, ACTOR_NAMES[priority], ids))
