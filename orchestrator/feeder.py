"""The feeder: keeps a window of the backfills' images in the queue, and hears how each ended.

An image is marked as sent and queued in one transaction; the message comes after. A message that is lost, or
a Redis that is away, is the sweeper's business, as for every image; whatever dies, the counts stay exact.
"""

import structlog

from orchestrator.actors import IDS_PER_MESSAGE, WorkQueue
from orchestrator.backfill.selection import parse
from orchestrator.records import Priority, RunState
from orchestrator.store import backfills, images
from orchestrator.store.backfills import Backfill
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

log = structlog.get_logger(__name__)

WINDOW = 1024
"""Images of all backfills that may be queued at a time: what workers hold, and a few messages more."""
SETTLED_TOGETHER = 2 * WINDOW


class Feeder:
    """Feeds the queue from all running backfills, the oldest first. Its steps may be cut anywhere."""

    def __init__(self, store: Store, queue: WorkQueue, *, window: int = WINDOW) -> None:
        self._store = store
        self._queue = queue
        self._window = window

    async def feed(self) -> int:
        """Take a step with every backfill; returns how many images were queued. Raises StoreUnavailable."""
        found = await self._store.read(backfills.unsettled)
        room = self._window - sum(one.sent for one in found)
        fed = 0
        for one in found:
            ids = await self._step(one.id, room)
            room -= len(ids)
            fed += len(ids)
        return fed

    async def _step(self, backfill_id: int, room: int) -> list[int]:
        async def work(tx: Transaction) -> tuple[Backfill, list[int], list[int]]:
            found = await backfills.lock(tx, backfill_id)
            settled = await backfills.settle(tx, backfill_id, limit=SETTLED_TOGETHER) if found.sent else 0
            ids: list[int] = []
            messages: list[int] = []
            if found.state is RunState.RUNNING:
                if found.selecting:
                    await backfills.select(tx, found, parse(_conditions(found)))
                if await _in_order(tx, found):
                    free = room + settled
                    # Whole messages, unless nothing else is under way.
                    if free >= IDS_PER_MESSAGE[Priority.BACKFILL] or found.sent == settled:
                        ids = await backfills.take(tx, backfill_id, max(0, free))
                        messages = await images.requeue_many(tx, ids, Priority.BACKFILL)
                after = await backfills.get(tx, backfill_id)
                if not (after.selecting or after.waiting or after.sent):
                    await backfills.set_state(tx, backfill_id, RunState.DONE)
            return await backfills.get(tx, backfill_id), ids, messages

        after, ids, messages = await self._store.write(work)
        if messages and await self._queue.enqueue(messages, Priority.BACKFILL):
            await self._store.write(lambda tx: images.mark_enqueued(tx, messages))
        if after.state is RunState.DONE:
            log.info("backfill done", backfill_id=backfill_id, done=after.done, failed=after.failed)
        return ids


async def _in_order(tx: Transaction, found: Backfill) -> bool:
    """Whether the first image is known: the most valuable one may be the last that is found."""
    if not found.selecting or parse(_conditions(found)).stale is None:
        return True
    return not (await backfills.get(tx, found.id)).selecting


def _conditions(found: Backfill) -> list[str]:
    where = found.asked.get("where")
    return [str(one) for one in where] if isinstance(where, list) else []
