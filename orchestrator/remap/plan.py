"""The plan that stored scores are looked at with."""

import asyncio

from orchestrator.records import VersionState
from orchestrator.settings import Settings
from orchestrator.store import rules
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import TaggingPlan

LEFT_SCORES = (VersionState.ACTIVE, VersionState.RETIRED)


async def read_plan(store: Store, settings: Settings) -> TaggingPlan:
    """Return the rules of now, with retired versions: their scores count until a newer version has looked."""
    inputs = await store.read(lambda tx: rules.plan_inputs(tx, settings, LEFT_SCORES))
    return await asyncio.to_thread(TaggingPlan.build, inputs)
