"""Changes of rules, as the calls on thresholds and priorities share them: who, and what one would do."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from orchestrator.api import answers
from orchestrator.api.call import Call
from orchestrator.errors import StoreUnavailable
from orchestrator.records import Tag
from orchestrator.store import counters, tags
from orchestrator.store.rule_changes import Author
from orchestrator.store.transaction import Transaction
from orchestrator.tuning.effect import Effect
from orchestrator.wire.effects import EffectAnswer, TagEffectAnswer

T = TypeVar("T")

SHOWN_TAGS = 50
PATIENCE = 25.0
"""Seconds that a look at many images may take; clients wait for thirty."""


def author_of(call: Call) -> Author:
    """Return who is on record for what a call does."""
    return Author(call.user.name, call.user.id)


async def patiently(look: Awaitable[T]) -> T:
    """Wait for a look at many images. Raises StoreUnavailable when it takes too long."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await look
    except TimeoutError as error:
        raise StoreUnavailable(f"this took more than {PATIENCE:g} s: ask for a smaller sample") from error


async def answer(call: Call, effect: Effect) -> EffectAnswer:
    """Return an effect with the tags that it touches most; counts of a sample are scaled to all images."""
    shown = effect.tags[:SHOWN_TAGS]

    async def read(tx: Transaction) -> tuple[dict[int, Tag], dict[int, int]]:
        ids = {one.tag_id for one in shown}
        return await tags.by_ids(tx, ids), await counters.pending_of(tx, ids)

    named, pending = await call.read(read)

    def scaled(count: int) -> int:
        return round(count * effect.scale)

    return EffectAnswer(
        looked=effect.looked,
        estimated=effect.scale > 1,
        images=scaled(effect.images),
        added=scaled(effect.added),
        added_margin=round(effect.added_margin),
        removed=scaled(effect.removed),
        removed_margin=round(effect.removed_margin),
        updated=scaled(effect.updated),
        tags=tuple(
            TagEffectAnswer(
                tag=answers.tag(named[one.tag_id]),
                pending=pending.get(one.tag_id, 0),
                added=scaled(one.added),
                removed=scaled(one.removed),
                updated=scaled(one.updated),
                comes=one.comes,
                goes=one.goes,
            )
            for one in shown
            if one.tag_id in named
        ),
    )
