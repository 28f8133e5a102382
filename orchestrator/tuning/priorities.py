"""Priorities of models as engineers handle them: say, look at what it would do, take back.

Which model decides where several speak of one tag; the evidence of all is kept whoever does. The keeper
re-maps by itself some seconds after a change.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.records import PriorityRule, RuleInputs
from orchestrator.remap.plan import LEFT_SCORES
from orchestrator.settings import Settings
from orchestrator.store import audit, outbox, priorities, rule_changes, rules
from orchestrator.store.priorities import Models, PriorityChange, RuleKey
from orchestrator.store.rule_changes import Author, Subject
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import TaggingPlan
from orchestrator.tuning.effect import Effect, compare

CHANGED = "priorities.changed"
SUBJECT = "priorities"


async def set_rules(
    store: Store, wanted: Mapping[RuleKey, Models], *, author: Author
) -> PriorityChange | None:
    """Say which models go first; returns the change, None when all was so already.

    Raises InvalidInput (`bad_priority`, `unknown_model`, `unknown_tag`).
    """
    return await store.write(lambda tx: _change(tx, wanted, author))


async def roll_back(store: Store, back_to: int | None, *, author: Author) -> PriorityChange | None:
    """Bring back the rules as they were after the change `back_to`, 0: before all changes, None: before the
    newest one. That is a change, too; returns it, None when all was so already.

    Raises NotFound (`priority_change_not_found`).
    """

    async def work(tx: Transaction) -> PriorityChange | None:
        number = back_to
        if number is None:
            newest = await rule_changes.newest(tx, Subject.PRIORITIES, count=2)
            number = newest[1] if len(newest) > 1 else 0
        return await _change(tx, await priorities.state_after(tx, number), author, number)

    return await store.write(work)


async def preview(
    store: Store,
    settings: Settings,
    wanted: Mapping[RuleKey, Models],
    *,
    sample: int | None,
    progress: Callable[[int, int], object] = lambda looked, of: None,
) -> Effect:
    """Say what `set_rules` would do to the pending queue; writes nothing.

    `sample`: look at so many images at most; None looks at all. Raises as `set_rules`.
    """

    async def read(tx: Transaction) -> RuleInputs:
        await priorities.check(tx, wanted)
        return await rules.plan_inputs(tx, settings, LEFT_SCORES)

    before = await store.read(read)
    said = {(one.tag_type, one.tag_id): one.models for one in before.priorities} | dict(wanted)
    after = replace(
        before,
        priorities=tuple(PriorityRule(names, *key) for key, names in said.items() if names),
    )
    plans = await asyncio.to_thread(lambda: (TaggingPlan.build(before), TaggingPlan.build(after)))
    return await compare(store, *plans, sample=sample, progress=progress)


async def _change(
    tx: Transaction, wanted: Mapping[RuleKey, Models], author: Author, back_to: int | None = None
) -> PriorityChange | None:
    number = await priorities.change(tx, wanted, author, back_to=back_to)
    if number is None:
        return None
    (change,) = await priorities.list_changes(tx, change_id=number, limit=1)
    detail = {"change": number, "rules": len(change.rules), "back_to": back_to}
    act = "priorities.set" if back_to is None else "priorities.rolled_back"
    await audit.add(tx, actor=author.name, action=act, subject=SUBJECT, detail=detail)
    await outbox.add(tx, CHANGED, {"user_id": author.user_id, **detail})
    return change
