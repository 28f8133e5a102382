"""Raw-score floors: what people say of a version's categories and labels, above the defaults.

A label's floor, strongest first: what people say of the label, what they say of its category, the version's
own advice for the label, its advice for the category, the settings. Characters are off until people switch
them on, all or one by one: their mappings must have been reviewed first. Saying it is in `thresholds`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from orchestrator.records import (
    SCORE_ONE,
    Floor,
    FloorWord,
    Label,
    LabelCategory,
    Thresholds,
    as_score,
)
from orchestrator.settings import Settings
from orchestrator.store.transaction import Transaction

K = TypeVar("K")

WHOLE_CATEGORY = -1
NEVER = SCORE_ONE + 1
"""A floor that no score reaches."""

FloorKey = tuple[LabelCategory, int]
"""A category and a label's index in it, or WHOLE_CATEGORY."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What people say of one version. None switches a category or label off; absent: nothing is said."""

    by_category: Mapping[LabelCategory, int | None] = field(default_factory=dict)
    by_label: Mapping[int, int | None] = field(default_factory=dict)

    def changed(self, floors: Mapping[FloorKey, Floor]) -> "Overrides":
        """Return what would be said after a change."""
        categories, labels = dict(self.by_category), dict(self.by_label)
        for (category, label), floor in floors.items():
            if label == WHOLE_CATEGORY:
                _put(categories, category, floor)
            else:
                _put(labels, label, floor)
        return Overrides(categories, labels)


def _put(said: dict[K, int | None], key: K, floor: Floor) -> None:
    if floor is FloorWord.DEFAULT:
        said.pop(key, None)
    else:
        said[key] = None if isinstance(floor, FloorWord) else floor


@dataclass(frozen=True, slots=True)
class LabelFloor:
    """A label with what is said of it. `advice`: the version's own, in ten-thousandths; `said`: by people."""

    label: Label
    advice: int | None
    said: Floor


def defaults(
    settings: Settings, general: int | None, board: int | None
) -> Mapping[LabelCategory, int | None]:
    """Return the floors of categories of which people say nothing. `general`, `board`: the version's own
    advice, None where it has none."""
    return {
        LabelCategory.GENERAL: as_score(settings.min_confidence_danbooru) if general is None else general,
        LabelCategory.CHARACTER: None,
        LabelCategory.BOARD: as_score(settings.min_confidence_custom) if board is None else board,
    }


def effective(
    by_default: Mapping[LabelCategory, int | None],
    labels: Mapping[int, tuple[LabelCategory, int | None]],
    overrides: Overrides,
) -> Thresholds:
    """Put all that is said together. `labels`: category and the version's own advice, by index."""
    floors = {**by_default, **overrides.by_category}
    by_label = {
        index: advice
        for index, (category, advice) in labels.items()
        # What people say of a category stands above the version's advice for the labels in it.
        if advice is not None and category not in overrides.by_category and floors.get(category) is not None
    }
    by_label |= {index: NEVER if score is None else score for index, score in overrides.by_label.items()}
    for index, score in overrides.by_label.items():
        category = labels[index][0] if index in labels else None
        if score is not None and category in floors and floors[category] is None:
            # A label that people switched on alone, in a category that is off.
            floors[category] = NEVER
    return Thresholds(
        general=floors[LabelCategory.GENERAL],
        character=floors[LabelCategory.CHARACTER],
        board=floors[LabelCategory.BOARD],
        by_label=by_label,
    )


async def load_all(tx: Transaction) -> dict[int, Overrides]:
    """Return what people say by model version id."""
    categories: dict[int, dict[LabelCategory, int | None]] = {}
    labels: dict[int, dict[int, int | None]] = {}
    for version, category, label, score in await tx.fetch_rows(
        "SELECT model_version_id, category, label, score FROM thresholds"
    ):
        if label == WHOLE_CATEGORY:
            categories.setdefault(version, {})[LabelCategory(category)] = score
        else:
            labels.setdefault(version, {})[label] = score
    return {
        version: Overrides(categories.get(version, {}), labels.get(version, {}))
        for version in {*categories, *labels}
    }


async def advised(tx: Transaction, version_id: int) -> tuple[int | None, int | None]:
    """Return a version's own advice for general labels and for the board's own tags."""
    ((general, board),) = await tx.fetch_rows(
        "SELECT general_floor, board_floor FROM model_versions WHERE id = :id", id=version_id
    )
    return general, board


async def list_labels(
    tx: Transaction, version_id: int, *, said_only: bool, after: int = -1, limit: int = 100
) -> tuple[LabelFloor, ...]:
    """Return a page of a version's labels in order of their index; `said_only`: those that people speak of.
    Ratings are left out: they have no floors."""
    rows = await tx.fetch_rows(
        "SELECT l.label, l.name, l.category, l.floor, t.label IS NOT NULL, t.score FROM labels l"
        " LEFT JOIN thresholds t ON t.model_version_id = l.model_version_id AND t.category = l.category"
        "  AND t.label = l.label"
        " WHERE l.model_version_id = :id AND l.label > :after AND l.category <> 'rating'"
        "  AND (t.label IS NOT NULL OR NOT :said_only) ORDER BY l.label LIMIT :limit",
        id=version_id,
        after=after,
        said_only=said_only,
        limit=limit,
    )
    return tuple(
        LabelFloor(
            Label(index, name, LabelCategory(category)),
            advice,
            FloorWord.DEFAULT if not said else FloorWord.OFF if score is None else score,
        )
        for index, name, category, advice, said, score in rows
    )


async def labels_named(tx: Transaction, version_id: int, names: Sequence[str]) -> dict[str, Label]:
    """Return a version's labels by name; unknown names are left out."""
    if not names:
        return {}
    rows = await tx.fetch_rows(
        "SELECT label, name, category FROM labels WHERE model_version_id = :id AND name IN :names",
        id=version_id,
        names=sorted(set(names)),
    )
    return {name: Label(index, name, LabelCategory(category)) for index, name, category in rows}


async def categories(tx: Transaction, version_id: int) -> frozenset[LabelCategory]:
    """Return the categories that a version's labels are of."""
    rows = await tx.fetch_rows(
        "SELECT DISTINCT category FROM labels WHERE model_version_id = :id", id=version_id
    )
    return frozenset(LabelCategory(row[0]) for row in rows)
