"""How much of what the models say reaches the board, and what mapping the rest would bring."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.records import Label, LabelCategory, MappingAction, ServedModel, TagMapping, Vocabulary
from orchestrator.settings import Settings
from orchestrator.store import coverage as store_coverage
from orchestrator.store import mappings, models
from orchestrator.store.coverage import LabelSums
from orchestrator.store.floors import NEVER
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import threshold_of


@dataclass(frozen=True, slots=True)
class Share:
    """Predictions by what their names' mappings do with them."""

    mapped: int
    ignored: int
    unmapped: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.mapped + self.ignored + self.unmapped


@dataclass(frozen=True, slots=True)
class UnmappedName:
    """An external tag without a mapping. `above`: the predictions at or above their thresholds, so the most
    suggestions that mapping it would bring; `raw`: all that are stored."""

    source: str
    external_tag: str
    category: LabelCategory
    above: int
    raw: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of the active versions whose names are mapped, ratings left out. `names`: distinct external tags;
    `raw`: stored predictions; `above`: those at or above their thresholds. `unmapped`: most useful first."""

    names: Share
    raw: Share
    above: Share
    unmapped: tuple[UnmappedName, ...]


async def measure(
    store: Store, settings: Settings, *, progress: Callable[[int, int], object] = lambda done, all_: None
) -> Coverage:
    """Sum up every stored prediction of the active versions; reads all of them, in ranges of images.

    `progress` hears (image ids done, image ids).
    """

    async def read(tx: Transaction) -> tuple[list[ServedModel], tuple[TagMapping, ...]]:
        return await models.active(tx, settings), await mappings.load_all(tx)

    active, stored = await store.read(read)
    counted = [model for model in active if model.vocabulary is Vocabulary.DANBOORU]
    floors = [
        (model.id, [_floor(model, label) for label in model.labels]) for model in counted if model.labels
    ]
    return cover(counted, stored, await store_coverage.sum_labels(store, floors, progress=progress))


def cover(
    counted: Iterable[ServedModel], stored: Iterable[TagMapping], sums: Iterable[LabelSums]
) -> Coverage:
    """Put sums by label together with the mappings of the labels' names."""
    by_label = {(one.model_version_id, one.label): one for one in sums}
    actions = {(mapping.source, mapping.external_tag): mapping.action for mapping in stored}
    names: dict[tuple[str, str], UnmappedName] = {}
    for model in counted:
        for label in model.labels:
            if label.category is LabelCategory.RATING:
                continue
            key = (model.source, label.name)
            one = by_label.get((model.id, label.index))
            known = names.get(key)
            names[key] = UnmappedName(
                *key,
                label.category,
                above=(known.above if known else 0) + (one.above if one else 0),
                raw=(known.raw if known else 0) + (one.raw if one else 0),
            )
    unmapped = [name for key, name in names.items() if key not in actions]
    return Coverage(
        names=_share(names, actions, lambda name: 1),
        raw=_share(names, actions, lambda name: name.raw),
        above=_share(names, actions, lambda name: name.above),
        unmapped=tuple(sorted(unmapped, key=lambda n: (-n.above, -n.raw, n.source, n.external_tag))),
    )


def _share(
    names: Mapping[tuple[str, str], UnmappedName],
    actions: Mapping[tuple[str, str], MappingAction],
    amount: Callable[[UnmappedName], int],
) -> Share:
    def of(wanted: Sequence[MappingAction | None]) -> int:
        return sum(amount(name) for key, name in names.items() if actions.get(key) in wanted)

    return Share(mapped=of([MappingAction.MAP]), ignored=of([MappingAction.IGNORE]), unmapped=of([None]))


def _floor(model: ServedModel, label: Label) -> int:
    """Return the score from which a label counts; what is switched off never does."""
    floor = threshold_of(model.thresholds, label)
    return NEVER if floor is None else floor
