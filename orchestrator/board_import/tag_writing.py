"""Storing what a file of tags changes: one transaction, and then the rows that depend on tags."""

from orchestrator.board_import.tag_plan import Key, TagPlan
from orchestrator.board_import.writing import ActorNeeded, Outdated
from orchestrator.records import User
from orchestrator.store import alignment, rules_version
from orchestrator.store import board_import as stored
from orchestrator.store.alignment import Alignment
from orchestrator.store.transaction import Transaction


async def store_tags(tx: Transaction, plan: TagPlan, stamp: int, actor: User | None) -> list[Alignment]:
    """Store a plan made of the tags as they were at `stamp`; returns the changes that rows have to follow.

    Raises Outdated, ActorNeeded.
    """
    await rules_version.lock(tx)
    if await rules_version.current(tx) != stamp:
        raise Outdated
    if plan.empty:
        return []
    await stored.change_tags(
        tx, {tag_id: (row.external_id, row.title, row.type) for tag_id, row in plan.renamed.items()}
    )
    ids = await stored.add_tags(tx, [(row.external_id, row.title, row.type) for row in plan.new])

    def ours(key: Key) -> int:
        return key if key > 0 else ids[-key]

    for column, values in (("alias_of", plan.aliases), ("parent_id", plan.parents)):
        await stored.set_relation(
            tx, column, {ours(k): None if v is None else ours(v) for k, v in values.items()}
        )
    await stored.set_closure(tx, {ours(k): [ours(one) for one in chain] for k, chain in plan.closure.items()})
    notes = []
    if plan.moved and await stored.any_suggestion(tx, pending=False):
        if actor is None:
            raise ActorNeeded
        for tag_id, alias_changed in sorted(plan.moved.items()):
            notes.append(await alignment.note(tx, tag_id, alias_changed=alias_changed, user_id=actor.id))
    await rules_version.bump(tx)
    return notes
