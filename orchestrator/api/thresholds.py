"""Thresholds of model versions for engineers: look, say, look first, take back."""

import asyncio

from orchestrator.api import answers, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.errors import StoreUnavailable
from orchestrator.records import Floor, FloorWord, Tag, Thresholds, as_probability, as_score
from orchestrator.registry.lifecycle import find_version
from orchestrator.store import counters, floors, models, tags
from orchestrator.store import thresholds as stored
from orchestrator.store.floors import LabelFloor
from orchestrator.store.rule_changes import Author
from orchestrator.store.thresholds import ThresholdChange
from orchestrator.store.transaction import Transaction
from orchestrator.tagging.plan import threshold_of
from orchestrator.tuning import thresholds
from orchestrator.tuning.effect import TagEffect
from orchestrator.tuning.thresholds import CategoryFloor, FloorRequest, Preview
from orchestrator.wire.thresholds import (
    CategoryFloorAnswer,
    EffectAnswer,
    FloorChangeAnswer,
    FloorItem,
    FloorsChange,
    FloorValue,
    LabelFloorAnswer,
    PreviewRequest,
    RollBackRequest,
    TagEffectAnswer,
    ThresholdChangeAnswer,
    ThresholdChangePage,
    ThresholdChangesQuery,
    ThresholdsAnswer,
    ThresholdsChanged,
    ThresholdsQuery,
)

CURSOR = "thresholds"
CHANGES_CURSOR = "threshold changes"
SHOWN_TAGS = 50
PATIENCE = 25.0
"""Seconds that a look at many images may take; clients wait for thirty."""


async def show_thresholds(call: Call) -> Reply:
    """Show a version's thresholds."""
    query = call.query(ThresholdsQuery)
    after = pagination.decode(query.cursor, CURSOR, 1)
    row = await find_version(call.resources.store, *call.model_version)
    settings = call.resources.settings

    async def read(
        tx: Transaction,
    ) -> tuple[tuple[CategoryFloor, ...], tuple[LabelFloor, ...], Thresholds]:
        labels = await floors.list_labels(
            tx,
            row.id,
            said_only=not query.every,
            after=-1 if after is None else after[0],
            limit=query.limit + 1,
        )
        counting = (await models.get(tx, settings, row.id)).thresholds
        return await thresholds.list_categories(tx, settings, row.id), labels, counting

    categories, labels, counting = await call.read(read)
    page = labels[: query.limit]
    more = len(labels) > query.limit
    return Reply(
        200,
        ThresholdsAnswer(
            categories=tuple(
                CategoryFloorAnswer(
                    category=one.category,
                    floor=_counting(one.default) if one.said is FloorWord.DEFAULT else _value(one.said),
                    said=_value(one.said),
                    default=_counting(one.default),
                )
                for one in categories
            ),
            items=tuple(
                LabelFloorAnswer(
                    category=one.label.category,
                    external_tag=one.label.name,
                    floor=_counting(threshold_of(counting, one.label)),
                    said=_value(one.said),
                    advice=None if one.advice is None else as_probability(one.advice),
                )
                for one in page
            ),
            next_cursor=pagination.encode(CURSOR, page[-1].label.index) if more else None,
        ),
    )


async def set_thresholds(call: Call) -> Reply:
    """Say thresholds, all that are named or none."""
    body = await call.json(FloorsChange)
    resources = call.resources
    name, version = call.model_version
    change = await thresholds.set_floors(
        resources.store, resources.settings, name, version, _requests(body.floors), author=_author(call)
    )
    return Reply(200, ThresholdsChanged(change=_change_or_none(change)))


async def roll_back(call: Call) -> Reply:
    """Bring an earlier state back."""
    body = await call.json(RollBackRequest)
    name, version = call.model_version
    change = await thresholds.roll_back(
        call.resources.store, name, version, body.back_to, author=_author(call)
    )
    return Reply(200, ThresholdsChanged(change=_change_or_none(change)))


async def preview(call: Call) -> Reply:
    """Say what a change would do to the pending queue."""
    body = await call.json(PreviewRequest)
    resources = call.resources
    name, version = call.model_version
    try:
        async with asyncio.timeout(PATIENCE):
            found = await thresholds.preview(
                resources.store,
                resources.settings,
                name,
                version,
                _requests(body.floors),
                back_to=body.back_to,
                sample=body.sample,
            )
    except TimeoutError as error:
        raise StoreUnavailable(f"this took more than {PATIENCE:g} s: ask for a smaller sample") from error
    shown = found.effect.tags[:SHOWN_TAGS]

    async def read(tx: Transaction) -> tuple[dict[int, Tag], dict[int, int]]:
        ids = {one.tag_id for one in shown}
        return await tags.by_ids(tx, ids), await counters.pending_of(tx, ids)

    named, pending = await call.read(read)
    return Reply(200, _effect(found, shown, named, pending))


async def list_changes(call: Call) -> Reply:
    """List who changed which thresholds when."""
    query = call.query(ThresholdChangesQuery)
    before = pagination.decode(query.cursor, CHANGES_CURSOR, 1)
    version_id = None
    if query.model_name is not None and query.model_version is not None:
        version_id = (await find_version(call.resources.store, query.model_name, query.model_version)).id
    found = await call.read(
        lambda tx: stored.list_changes(
            tx,
            model_version_id=version_id,
            before_id=None if before is None else before[0],
            limit=query.limit + 1,
        )
    )
    page = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        200,
        ThresholdChangePage(
            items=tuple(_change(one) for one in page),
            next_cursor=pagination.encode(CHANGES_CURSOR, page[-1].act.id) if more else None,
        ),
    )


def _author(call: Call) -> Author:
    return Author(call.user.name, call.user.id)


def _requests(items: tuple[FloorItem, ...]) -> list[FloorRequest]:
    return [
        FloorRequest(
            floor=one.floor if isinstance(one.floor, FloorWord) else as_score(one.floor),
            category=one.category,
            external_tag=one.external_tag,
            tag_id=one.tag_id,
        )
        for one in items
    ]


def _value(floor: Floor) -> FloorValue:
    return floor if isinstance(floor, FloorWord) else as_probability(floor)


def _counting(score: int | None) -> FloorValue:
    return FloorWord.OFF if score is None else as_probability(score)


def _change_or_none(found: ThresholdChange | None) -> ThresholdChangeAnswer | None:
    return None if found is None else _change(found)


def _change(found: ThresholdChange) -> ThresholdChangeAnswer:
    return ThresholdChangeAnswer(
        id=found.act.id,
        at=found.act.at,
        actor=found.act.actor,
        model_name=found.model_name,
        model_version=found.model_version,
        back_to=found.act.back_to,
        floors=tuple(
            FloorChangeAnswer(
                category=one.category,
                external_tag=one.external_tag,
                before=_value(one.before),
                after=_value(one.after),
            )
            for one in found.floors
        ),
    )


def _effect(
    found: Preview, shown: tuple[TagEffect, ...], named: dict[int, Tag], pending: dict[int, int]
) -> EffectAnswer:
    effect = found.effect

    def scaled(count: int) -> int:
        return round(count * effect.scale)

    return EffectAnswer(
        floors=found.floors,
        proposes=found.proposes,
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
