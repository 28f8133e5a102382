"""Thresholds of model versions for engineers: look, say, look first, take back."""

from orchestrator.api import effects, pagination
from orchestrator.api.call import Call
from orchestrator.api.effects import author_of
from orchestrator.api.operations import Reply
from orchestrator.records import Floor, FloorWord, Thresholds, as_probability, as_score
from orchestrator.registry.lifecycle import find_version
from orchestrator.store import floors, models
from orchestrator.store import thresholds as stored
from orchestrator.store.floors import LabelFloor
from orchestrator.store.thresholds import ThresholdChange
from orchestrator.store.transaction import Transaction
from orchestrator.tagging.plan import threshold_of
from orchestrator.tuning import thresholds
from orchestrator.tuning.thresholds import CategoryFloor, FloorRequest
from orchestrator.wire.thresholds import (
    CategoryFloorAnswer,
    FloorChangeAnswer,
    FloorItem,
    FloorsChange,
    FloorValue,
    LabelFloorAnswer,
    PreviewRequest,
    RollBackRequest,
    ThresholdChangeAnswer,
    ThresholdChangePage,
    ThresholdChangesQuery,
    ThresholdEffectAnswer,
    ThresholdsAnswer,
    ThresholdsChanged,
    ThresholdsQuery,
)

CURSOR = "thresholds"
CHANGES_CURSOR = "threshold changes"


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
        resources.store, resources.settings, name, version, _requests(body.floors), author=author_of(call)
    )
    return Reply(200, ThresholdsChanged(change=_change_or_none(change)))


async def roll_back(call: Call) -> Reply:
    """Bring an earlier state back."""
    body = await call.json(RollBackRequest)
    name, version = call.model_version
    change = await thresholds.roll_back(
        call.resources.store, name, version, body.back_to, author=author_of(call)
    )
    return Reply(200, ThresholdsChanged(change=_change_or_none(change)))


async def preview(call: Call) -> Reply:
    """Say what a change would do to the pending queue."""
    body = await call.json(PreviewRequest)
    resources = call.resources
    name, version = call.model_version
    found = await effects.patiently(
        thresholds.preview(
            resources.store,
            resources.settings,
            name,
            version,
            _requests(body.floors),
            back_to=body.back_to,
            sample=body.sample,
        )
    )
    effect = await effects.answer(call, found.effect)
    return Reply(200, ThresholdEffectAnswer(**dict(effect), floors=found.floors, proposes=found.proposes))


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
