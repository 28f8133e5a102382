"""The keeper's part of re-mapping: works on what was asked for, and asks itself when rules have changed."""

import time
from collections.abc import Sequence

import structlog

from orchestrator.records import RunState
from orchestrator.remap import runs
from orchestrator.remap.chunk import TOUCHED_TOGETHER, Outdated, bring_up_to_date, look
from orchestrator.remap.plan import read_plan
from orchestrator.remap.runs import Scope
from orchestrator.settings import Settings
from orchestrator.store import remaps, rules_version
from orchestrator.store.remaps import Remap
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import TaggingPlan

log = structlog.get_logger(__name__)

BUDGET = 2.0
"""Seconds that one step of the keeper gives to re-maps, so that it ends soon when it is told to."""


class Remapper:
    """Re-maps chunk by chunk. A chunk's changes and the re-map's place are one transaction."""

    def __init__(self, settings: Settings, store: Store, *, budget: float = BUDGET) -> None:
        self._settings = settings
        self._store = store
        self._budget = budget
        self._plan: TaggingPlan | None = None
        self._stamp = -1
        self._stamp_seen = 0.0

    async def work(self) -> int:
        """Start what is due and work until nothing is left or the time is up; returns the chunks taken.

        Raises StoreUnavailable; what was under way is then still to be done.
        """
        await self._start_due()
        until, chunks = time.monotonic() + self._budget, 0
        while time.monotonic() < until:
            found = await self._store.read(remaps.running)
            if found is None:
                break
            await self._chunk(found)
            chunks += 1
        return chunks

    async def _start_due(self) -> None:
        """Re-map everything when the rules have changed, and have then been left alone for a while."""
        stamp = await self._store.read(rules_version.current)
        if stamp != self._stamp:
            self._stamp, self._stamp_seen = stamp, time.monotonic()
            return
        if time.monotonic() - self._stamp_seen < self._settings.remap_after:
            return
        if await self._store.read(remaps.covered) < stamp:
            started = await runs.start(self._store, Scope())
            log.info("re-map of everything begins", remap_id=started.id, stamp=stamp)

    async def _chunk(self, found: Remap) -> None:
        plan = await self._current_plan()
        scope = Scope.of(found)
        ids = await self._store.read(lambda tx: runs.next_ids(tx, scope, found.looked_to, found.until_id))
        seen = await look(self._store, plan, ids, scope.tags)
        stale = [image_id for image_id, _ in seen.stale]
        after = found
        try:
            for start in range(0, len(stale), TOUCHED_TOGETHER):
                part = stale[start : start + TOUCHED_TOGETHER]
                after = await self._touch(plan, after, ids, part, upto=part[-1])
                if after.looked_to != part[-1]:
                    return  # paused, or another keeper's
            after = await self._touch(plan, after, ids, [], upto=ids[-1] if ids else found.until_id)
        except Outdated:
            self._plan = None
            return
        if after.state is RunState.DONE:
            log.info("re-map done", remap_id=after.id, looked=after.looked, changed=after.changes.images)

    async def _touch(
        self, plan: TaggingPlan, found: Remap, ids: Sequence[int], stale: Sequence[int], *, upto: int
    ) -> Remap:
        """Bring stale images up to date and move the re-map's place behind them; with no `ids` left it is
        done. Raises Outdated, and nothing is changed."""
        looked = sum(found.looked_to < one <= upto for one in ids)

        async def work(tx: Transaction) -> Remap:
            locked = await remaps.lock(tx, found.id)
            if locked.state is not RunState.RUNNING or locked.looked_to != found.looked_to:
                return locked
            changes = await bring_up_to_date(tx, plan, stale)
            await remaps.advance(tx, found.id, looked_to=upto, looked=looked, changes=changes)
            if not ids:
                await remaps.set_state(tx, found.id, RunState.DONE)
            return await remaps.get(tx, found.id)

        return await self._store.write(work)

    async def _current_plan(self) -> TaggingPlan:
        stamp = await self._store.read(rules_version.current)
        if self._plan is None or self._plan.version != stamp:
            self._plan = await read_plan(self._store, self._settings)
        return self._plan
