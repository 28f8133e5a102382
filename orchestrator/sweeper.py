"""The sweeper: what the queue forgot, the database remembers.

Redis may have lost its memory, an upload may have come while it was away, a retry's moment may have come, a
worker may have died with its claims. The rows of such images say so, and the sweeper sends them again. It
tells the forgotten from the waiting by the queue's depth, for a duplicate costs little but not nothing.
"""

from collections.abc import Sequence

import structlog

from orchestrator.actors import WorkQueue
from orchestrator.records import Priority
from orchestrator.settings import Settings
from orchestrator.store import backlog
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.telemetry import Metrics

log = structlog.get_logger(__name__)

GRACE = 2.0  # between an upload's commit and its message
PATIENCE = 30.0  # for an image whose message may still be among the others
WINDOW = 256  # images at a time; a queue as deep as this has enough to do


class Sweeper:
    """Sends forgotten images again. Several may run at once: it would only cost duplicates."""

    def __init__(self, settings: Settings, store: Store, queue: WorkQueue, metrics: Metrics) -> None:
        self._lease = settings.claim_lease
        self._store = store
        self._queue = queue
        self._metrics = metrics

    async def sweep(self) -> int:
        """Send what is due once; returns the number of images. Raises StoreUnavailable.

        An empty queue has forgotten whatever waited longer than GRACE; of one that is not, an image is sent
        again after PATIENCE; a full one is left alone. A Redis that is away is left for the next sweep.
        """
        sent = 0
        for priority in Priority:
            depth = await self._queue.depth(priority)
            if depth is None:
                return sent
            waiting = depth.ready + depth.in_flight
            if waiting >= WINDOW:
                continue
            image_ids = await self._due(priority, GRACE if waiting == 0 else PATIENCE)
            if not image_ids or not await self._queue.enqueue(image_ids, priority):
                continue
            await self._store.write(lambda tx, ids=image_ids: backlog.mark_enqueued(tx, ids))  # type: ignore[misc]
            self._metrics.swept.labels(priority).inc(len(image_ids))
            log.info("swept", queue=priority, images=len(image_ids))
            sent += len(image_ids)
        return sent

    async def _due(self, priority: Priority, older_than: float) -> Sequence[int]:
        async def read(tx: Transaction) -> list[tuple[int, Priority]]:
            return await backlog.due_for_sweep(tx, older_than=older_than, limit=WINDOW, lease=self._lease)

        return [image_id for image_id, queue in await self._store.read(read) if queue is priority]
