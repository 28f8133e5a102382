"""The keeper's part of retention: drops raw predictions that nobody keeps, a few images a transaction.

What a step drops and how far it is are one transaction, so a keeper that dies has done nothing twice and
leaves nothing half. When a pass has ended the next one comes after a pause: new images push old ones out, and
newer versions look at more.
"""

import time

import structlog

from orchestrator.store import raw_retention
from orchestrator.store.raw_retention import Chunk
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

log = structlog.get_logger(__name__)

BUDGET = 1.0
"""Seconds that one step of the keeper gives to dropping: a fifth of the time, and the disk has the rest."""
TOUCHED_TOGETHER = 100
"""Images that one transaction locks: reviewers and workers of those wait for it."""
PAUSE = 600.0
"""Seconds between two passes over a version's images."""


class Pruner:
    """Drops what the policies of versions do not keep. Its steps may be cut anywhere."""

    def __init__(self, store: Store, *, budget: float = BUDGET, pause: float = PAUSE) -> None:
        self._store = store
        self._budget = budget
        self._pause = pause

    async def work(self) -> int:
        """Work until no pass is due or the time is up; returns of how many images scores were dropped.

        Raises StoreUnavailable.
        """
        until, dropped = time.monotonic() + self._budget, 0
        while time.monotonic() < until:
            said = await self._store.read(lambda tx: raw_retention.load(tx, pause=self._pause))
            due = [one.model_version_id for one in said.values() if one.due]
            if not due:
                break
            dropped += (await self._step(due[0])).images
        return dropped

    async def _step(self, version_id: int) -> Chunk:
        async def work(tx: Transaction) -> Chunk:
            found = await raw_retention.lock(tx, version_id, pause=self._pause)
            if found is None or not found.due:
                return Chunk(0, 0, ended=False)  # said otherwise meanwhile, or another keeper's
            if not found.until_id:
                ended = not await raw_retention.begin_pass(tx, found)
                return Chunk(0, 0, ended=ended)
            return await raw_retention.step(tx, found, limit=TOUCHED_TOGETHER)

        done = await self._store.write(work)
        if done.ended:
            log.info("pass over raw predictions ended", model_version_id=version_id)
        return done
