"""Which model goes first where several speak of one tag, for engineers: look, say, look first, take back."""

from collections.abc import Sequence

from orchestrator.api import answers, effects, pagination
from orchestrator.api.call import Call
from orchestrator.api.effects import author_of
from orchestrator.api.operations import Reply
from orchestrator.records import PriorityRule, Tag
from orchestrator.store import priorities as stored
from orchestrator.store import tags
from orchestrator.store.priorities import Models, PriorityChange, RuleKey
from orchestrator.store.transaction import Transaction
from orchestrator.tuning import priorities
from orchestrator.wire.priorities import (
    PrioritiesAnswer,
    PrioritiesChange,
    PrioritiesChanged,
    PrioritiesPreview,
    PrioritiesRollBack,
    PriorityAnswer,
    PriorityChangeAnswer,
    PriorityChangePage,
    PriorityChangesQuery,
    PriorityItem,
    PriorityRuleChange,
)

CHANGES_CURSOR = "priority changes"


async def show_priorities(call: Call) -> Reply:
    """Show what is said."""

    async def read(tx: Transaction) -> tuple[tuple[PriorityRule, ...], dict[int, Tag], tuple[str, ...]]:
        rules = await stored.load_all(tx)
        named = await tags.by_ids(tx, {one.tag_id for one in rules if one.tag_id is not None})
        return rules, named, await stored.model_order(tx)

    rules, named, order = await call.read(read)
    return Reply(
        200,
        PrioritiesAnswer(
            order=order,
            items=tuple(
                PriorityAnswer(
                    type=one.tag_type,
                    tag=None if one.tag_id is None else answers.tag(named[one.tag_id]),
                    models=one.models,
                )
                for one in rules
            ),
            next_cursor=None,
        ),
    )


async def set_priorities(call: Call) -> Reply:
    """Say priorities, all that are named or none."""
    body = await call.json(PrioritiesChange)
    change = await priorities.set_rules(call.resources.store, _rules(body.rules), author=author_of(call))
    return Reply(200, PrioritiesChanged(change=None if change is None else _change(change)))


async def preview(call: Call) -> Reply:
    """Say what a change would do to the pending queue."""
    body = await call.json(PrioritiesPreview)
    resources = call.resources
    found = await effects.patiently(
        priorities.preview(resources.store, resources.settings, _rules(body.rules), sample=body.sample)
    )
    return Reply(200, await effects.answer(call, found))


async def roll_back(call: Call) -> Reply:
    """Bring an earlier state back."""
    body = await call.json(PrioritiesRollBack)
    change = await priorities.roll_back(call.resources.store, body.back_to, author=author_of(call))
    return Reply(200, PrioritiesChanged(change=None if change is None else _change(change)))


async def list_changes(call: Call) -> Reply:
    """List who changed which priorities when."""
    query = call.query(PriorityChangesQuery)
    before = pagination.decode(query.cursor, CHANGES_CURSOR, 1)
    found = await call.read(
        lambda tx: stored.list_changes(
            tx, before_id=None if before is None else before[0], limit=query.limit + 1
        )
    )
    page = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        200,
        PriorityChangePage(
            items=tuple(_change(one) for one in page),
            next_cursor=pagination.encode(CHANGES_CURSOR, page[-1].act.id) if more else None,
        ),
    )


def _rules(items: Sequence[PriorityItem]) -> dict[RuleKey, Models]:
    return {(one.type, one.tag_id): one.models for one in items}


def _change(found: PriorityChange) -> PriorityChangeAnswer:
    return PriorityChangeAnswer(
        id=found.act.id,
        at=found.act.at,
        actor=found.act.actor,
        back_to=found.act.back_to,
        rules=tuple(
            PriorityRuleChange(
                type=one.tag_type,
                tag_id=one.tag_id,
                title=one.title,
                before=one.before,
                after=one.after,
            )
            for one in found.rules
        ),
    )
