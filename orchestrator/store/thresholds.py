"""Raw-score floors kept in the database, above the defaults of manifest and settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.errors import InvalidInput
from orchestrator.records import SCORE_ONE, LabelCategory
from orchestrator.store import rules_version
from orchestrator.store.transaction import MissingParent, Transaction

WHOLE_CATEGORY = -1


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the database says of one version. A category's None switches it off; absent: the default."""

    by_category: Mapping[LabelCategory, int | None] = field(default_factory=dict)
    by_label: Mapping[int, int | None] = field(default_factory=dict)


async def load_all(tx: Transaction) -> dict[int, Overrides]:
    """Return the overrides by model version id."""
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


async def set_score(
    tx: Transaction,
    model_version_id: int,
    category: LabelCategory,
    score: int | None,
    *,
    label: int | None = None,
    actor_id: int | None,
) -> None:
    """Set the floor of a category, or of one of its labels, in ten-thousandths; None switches it off.

    Raises InvalidInput for a score outside 0 … 10,000 or an unknown version.
    """
    if score is not None and not 0 <= score <= SCORE_ONE:
        raise InvalidInput("a threshold is 0 to 1", code="bad_threshold")
    try:
        await tx.insert_many(
            "thresholds",
            ("model_version_id", "category", "label", "score", "user_id"),
            [(model_version_id, category, WHOLE_CATEGORY if label is None else label, score, actor_id)],
            on_duplicate="score = VALUES(score), user_id = VALUES(user_id)",
        )
    except MissingParent as error:
        raise InvalidInput(
            f"no model version has the id {model_version_id}", code="unknown_version"
        ) from error
    await rules_version.bump(tx)
