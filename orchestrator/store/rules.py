"""Everything that the rules of suggestion rest on, in one read, and its change stamp."""

from collections.abc import Collection

from orchestrator.records import RuleInputs, VersionState
from orchestrator.settings import Settings
from orchestrator.store import hierarchy, mappings, models, priorities, rules_version, tags
from orchestrator.store.transaction import Transaction


async def version(tx: Transaction) -> int:
    """Return the change stamp; a plan built at the same stamp is still right."""
    return await rules_version.current(tx)


async def plan_inputs(
    tx: Transaction, settings: Settings, states: Collection[VersionState] = (VersionState.ACTIVE,)
) -> RuleInputs:
    """Return tags, mappings, sources and versions, stamped with the version they are at least of.

    `states`: of the versions; active ones decide what is looked for, retired ones left scores behind.

    The stamp is read first: statements see later commits each by themselves (READ COMMITTED), so what is read
    after it can only be newer, and the caller's next comparison brings the plan up to date.
    """
    stamp = await rules_version.current(tx)
    return RuleInputs(
        version=stamp,
        tags=await tags.load_all(tx),
        mappings=await mappings.load_all(tx),
        character_sources=await hierarchy.load_character_sources(tx),
        models=tuple(await models.by_state(tx, settings, states)),
        priorities=await priorities.load_all(tx),
    )
