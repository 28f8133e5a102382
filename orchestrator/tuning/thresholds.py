"""Thresholds of a version as engineers handle them: say, look at what it would do, take back.

A board tag stands for all labels of the version that lead to it when it is asked for: what is stored is said
of those labels. The keeper re-maps by itself some seconds after a change.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.errors import Conflict, InvalidInput
from orchestrator.records import Floor, FloorWord, LabelCategory, RuleInputs, Thresholds, VersionState
from orchestrator.registry.lifecycle import find_version
from orchestrator.remap.plan import LEFT_SCORES
from orchestrator.settings import Settings
from orchestrator.store import audit, floors, models, outbox, rule_changes, rules, thresholds
from orchestrator.store.floors import WHOLE_CATEGORY, FloorKey
from orchestrator.store.models import VersionRow
from orchestrator.store.rule_changes import Author, Subject
from orchestrator.store.thresholds import ThresholdChange
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import Meaning, TaggingPlan
from orchestrator.tuning.effect import Effect, compare

CHANGED = "thresholds.changed"
_OPEN = Thresholds(general=0, character=0, board=0)


@dataclass(frozen=True, slots=True)
class FloorRequest:
    """What somebody says of one part of a version: a category, a label by its name, or a board tag."""

    floor: Floor
    category: LabelCategory | None = None
    external_tag: str | None = None
    tag_id: int | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do. `floors`: how many categories and labels it speaks of. `proposes`: false for a
    version that suggests nothing, whatever its thresholds are: it is staged or a shadow."""

    floors: int
    proposes: bool
    effect: Effect


@dataclass(frozen=True, slots=True)
class CategoryFloor:
    """A category of a version. `said`: by people; `default`: what counts while they say nothing, None for
    off."""

    category: LabelCategory
    said: Floor
    default: int | None


async def list_categories(tx: Transaction, settings: Settings, version_id: int) -> tuple[CategoryFloor, ...]:
    """Return the floors of a version's categories."""
    by_default = floors.defaults(settings, *await floors.advised(tx, version_id))
    said = (await floors.load_all(tx)).get(version_id, floors.Overrides()).by_category
    there = await floors.categories(tx, version_id)
    return tuple(
        CategoryFloor(
            category,
            FloorWord.DEFAULT if category not in said else _floor(said[category]),
            default,
        )
        for category, default in by_default.items()
        if category in there
    )


def _floor(score: int | None) -> Floor:
    return FloorWord.OFF if score is None else score


async def set_floors(
    store: Store,
    settings: Settings,
    name: str,
    version: int,
    requests: Sequence[FloorRequest],
    *,
    author: Author,
) -> ThresholdChange | None:
    """Say floors; returns the change, None when all was so already.

    Raises NotFound (`version_not_found`), Conflict (`version_removed`), InvalidInput (`bad_threshold`,
    `unknown_label`, `unknown_tag`, `no_label_of_tag`).
    """
    row = await _present(store, name, version)
    wanted = await _keys(store, settings, row, requests)
    return await store.write(lambda tx: _change(tx, row, wanted, author))


async def roll_back(
    store: Store, name: str, version: int, back_to: int | None, *, author: Author
) -> ThresholdChange | None:
    """Bring back the thresholds as they were after the change `back_to`, 0: before all changes, None: before
    the newest one. That is a change, too; returns it, None when all was so already.

    Raises NotFound (`version_not_found`, `threshold_change_not_found`), Conflict (`version_removed`).
    """
    row = await _present(store, name, version)

    async def work(tx: Transaction) -> ThresholdChange | None:
        number = await _point(tx, row, back_to)
        return await _change(tx, row, await thresholds.state_after(tx, row.id, number), author, number)

    return await store.write(work)


async def preview(
    store: Store,
    settings: Settings,
    name: str,
    version: int,
    requests: Sequence[FloorRequest],
    *,
    back_to: int | None = None,
    sample: int | None,
    progress: Callable[[int, int], object] = lambda looked, of: None,
) -> Preview:
    """Say what `set_floors` or, with `back_to`, `roll_back` would do to the pending queue; writes nothing.

    `sample`: look at so many images at most; None looks at all. Raises as those do.
    """
    row = await _present(store, name, version)
    if back_to is None:
        wanted: Mapping[FloorKey, Floor] = await _keys(store, settings, row, requests)
        thresholds.check(wanted)
    else:
        wanted = await store.read(lambda tx: thresholds.state_after(tx, row.id, back_to))

    async def read(tx: Transaction) -> tuple[RuleInputs, RuleInputs]:
        inputs = await rules.plan_inputs(tx, settings, {*LEFT_SCORES, row.state})
        changed = await models.get(tx, settings, row.id, floors=wanted)
        # A version that is no part of the rules, as one that only ever looked, does nothing.
        known = (changed if one.id == row.id else one for one in inputs.models)
        return inputs, replace(inputs, models=tuple(known))

    before, after = await store.read(read)
    plans = await asyncio.to_thread(lambda: (TaggingPlan.build(before), TaggingPlan.build(after)))
    effect = await compare(store, *plans, sample=sample, progress=progress)
    ours = plans[1].versions.get(row.id)
    return Preview(len(wanted), ours is not None and ours.proposes, effect)


async def _present(store: Store, name: str, version: int) -> VersionRow:
    row = await find_version(store, name, version)
    if row.state is VersionState.REMOVED:
        raise Conflict(f"{name} {version} was removed", code="version_removed")
    return row


async def _point(tx: Transaction, row: VersionRow, back_to: int | None) -> int:
    if back_to is not None:
        return back_to
    newest = await rule_changes.newest(tx, Subject.THRESHOLDS, model_version_id=row.id, count=2)
    return newest[1] if len(newest) > 1 else 0


async def _change(
    tx: Transaction,
    row: VersionRow,
    wanted: Mapping[FloorKey, Floor],
    author: Author,
    back_to: int | None = None,
) -> ThresholdChange | None:
    number = await thresholds.change(tx, row.id, wanted, author, back_to=back_to)
    if number is None:
        return None
    (change,) = await thresholds.list_changes(tx, change_id=number, limit=1)
    detail = {"change": number, "floors": len(change.floors), "back_to": back_to}
    act = "thresholds.set" if back_to is None else "thresholds.rolled_back"
    await audit.add(tx, actor=author.name, action=act, subject=f"{row.name}/{row.version}", detail=detail)
    told = {"model_name": row.name, "model_version": row.version, "user_id": author.user_id, **detail}
    await outbox.add(tx, CHANGED, told)
    return change


async def _keys(
    store: Store, settings: Settings, row: VersionRow, requests: Sequence[FloorRequest]
) -> dict[FloorKey, Floor]:
    """Return what is asked by category and label. Of two that speak of one label the later counts."""
    names = [one.external_tag for one in requests if one.external_tag is not None]
    labels = await store.read(lambda tx: floors.labels_named(tx, row.id, names))
    by_tag = await _labels_of_tags(store, settings, row, [one for one in requests if one.tag_id is not None])
    found: dict[FloorKey, Floor] = {}
    for one in requests:
        if one.category is not None:
            found[one.category, WHOLE_CATEGORY] = one.floor
        elif one.external_tag is not None:
            label = labels.get(one.external_tag)
            if label is None:
                raise InvalidInput(
                    f"{row.name} {row.version} has no label {one.external_tag!r}", code="unknown_label"
                )
            found[label.category, label.index] = one.floor
        elif one.tag_id is not None:
            found |= dict.fromkeys(by_tag[one.tag_id], one.floor)
    return found


async def _labels_of_tags(
    store: Store, settings: Settings, row: VersionRow, requests: Sequence[FloorRequest]
) -> dict[int, list[FloorKey]]:
    """Return the labels that lead to each of the tags that are named, by mapping, alias or board id."""
    if not requests:
        return {}

    async def read(tx: Transaction) -> RuleInputs:
        inputs = await rules.plan_inputs(tx, settings, (row.state,))
        model = await models.get(tx, settings, row.id)
        return replace(inputs, models=(replace(model, thresholds=_OPEN),))

    plan = await asyncio.to_thread(TaggingPlan.build, await store.read(read))
    version = plan.versions[row.id]
    categories = {label.index: label.category for label in version.model.labels}
    leading: dict[int, list[FloorKey]] = {}
    for index, rule in version.labels.items():
        if rule.meaning is Meaning.TAG:
            leading.setdefault(rule.tag_id, []).append((categories[index], index))
    found = {}
    for tag_id in {one.tag_id for one in requests if one.tag_id is not None}:
        canonical = plan.board.canonical.get(tag_id)
        if canonical is None:
            raise InvalidInput(f"no tag has the id {tag_id}", code="unknown_tag")
        if canonical not in leading:
            raise InvalidInput(
                f"no label of {row.name} {row.version} leads to {plan.board.tags[canonical].title!r}",
                code="no_label_of_tag",
            )
        found[tag_id] = leading[canonical]
    return found
