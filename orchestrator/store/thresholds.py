"""Changing thresholds, with a history that any earlier state can be brought back from."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import SCORE_ONE, Floor, FloorWord, LabelCategory
from orchestrator.store import rule_changes, rules_version
from orchestrator.store.floors import WHOLE_CATEGORY, FloorKey
from orchestrator.store.rows import moment
from orchestrator.store.rule_changes import Act, Author, Subject
from orchestrator.store.transaction import Transaction

_OFF = -1


@dataclass(frozen=True, slots=True)
class FloorChange:
    """What changed of one category (`external_tag` None) or label."""

    category: LabelCategory
    external_tag: str | None
    before: Floor
    after: Floor


@dataclass(frozen=True, slots=True)
class ThresholdChange:
    """One act on a version's thresholds, by category and then label."""

    act: Act
    model_name: str
    model_version: int
    floors: tuple[FloorChange, ...]


def check(wanted: Mapping[FloorKey, Floor]) -> None:
    """Raise InvalidInput (`bad_threshold`) for floors that make no sense."""
    for (category, _), floor in wanted.items():
        if category is LabelCategory.RATING:
            raise InvalidInput("ratings have no threshold: the surest one counts", code="bad_threshold")
        if not isinstance(floor, FloorWord) and not 0 <= floor <= SCORE_ONE:
            raise InvalidInput("a threshold is 0 to 1", code="bad_threshold")


async def change(
    tx: Transaction,
    model_version_id: int,
    wanted: Mapping[FloorKey, Floor],
    author: Author,
    *,
    back_to: int | None = None,
) -> int | None:
    """Say floors of a version, scores in ten-thousandths; returns the change's id, None when all was so.

    Raises InvalidInput (`bad_threshold`, `unknown_version`, `unknown_label`).
    """
    check(wanted)
    # Alone from here on, so that history says what really was before.
    await rules_version.lock(tx)
    await _check_labels(tx, model_version_id, wanted)
    before = await _said(tx, model_version_id)
    changed = {
        key: (said, floor)
        for key, floor in sorted(wanted.items())
        if (said := before.get(key, FloorWord.DEFAULT)) != floor
    }
    if not changed:
        return None
    for category, label in [key for key, (_, floor) in changed.items() if floor is FloorWord.DEFAULT]:
        await tx.execute(
            "DELETE FROM thresholds WHERE model_version_id = :id AND category = :category AND label = :label",
            id=model_version_id,
            category=category,
            label=label,
        )
    await tx.insert_many(
        "thresholds",
        ("model_version_id", "category", "label", "score", "user_id"),
        [
            (model_version_id, *key, None if isinstance(floor, FloorWord) else floor, author.user_id)
            for key, (_, floor) in changed.items()
            if floor is not FloorWord.DEFAULT
        ],
        on_duplicate="score = VALUES(score), user_id = VALUES(user_id)",
    )
    change_id = await rule_changes.add(
        tx, Subject.THRESHOLDS, author, model_version_id=model_version_id, back_to=back_to
    )
    await tx.insert_many(
        "threshold_changes",
        ("change_id", "category", "label", "before_floor", "after_floor"),
        [(change_id, *key, _stored(said), _stored(floor)) for key, (said, floor) in changed.items()],
    )
    await rules_version.bump(tx)
    return change_id


async def set_score(
    tx: Transaction,
    model_version_id: int,
    category: LabelCategory,
    score: int | None,
    *,
    label: int | None = None,
    actor_id: int | None,
) -> None:
    """Say one floor, as a program that sets an installation up does; None switches it off.

    Raises InvalidInput as `change`.
    """
    key = category, WHOLE_CATEGORY if label is None else label
    floor = FloorWord.OFF if score is None else score
    await change(tx, model_version_id, {key: floor}, Author("setting up", actor_id))


async def state_after(tx: Transaction, model_version_id: int, change_id: int) -> dict[FloorKey, Floor]:
    """Return what brings back the state after a change of this version; 0: before all of them.

    Only what was ever changed is named. Raises NotFound (`threshold_change_not_found`).
    """
    if change_id and not await rule_changes.exists(
        tx, Subject.THRESHOLDS, change_id, model_version_id=model_version_id
    ):
        raise NotFound(
            f"no change of this version's thresholds has the id {change_id}",
            code="threshold_change_not_found",
        )
    found: dict[FloorKey, Floor] = {}
    for number, category, label, before, after in await tx.fetch_rows(
        "SELECT r.id, t.category, t.label, t.before_floor, t.after_floor FROM rule_changes r"
        " JOIN threshold_changes t ON t.change_id = r.id"
        " WHERE r.subject = 'thresholds' AND r.model_version_id = :id ORDER BY r.id",
        id=model_version_id,
    ):
        key = LabelCategory(category), label
        if number <= change_id:
            found[key] = _floor(after)
        else:
            found.setdefault(key, _floor(before))
    return found


async def list_changes(
    tx: Transaction,
    *,
    model_version_id: int | None = None,
    change_id: int | None = None,
    before_id: int | None = None,
    limit: int = 50,
) -> tuple[ThresholdChange, ...]:
    """Return changes, the newest first: of one version or of all, or the one of this id."""
    acts = await tx.fetch_all(
        """
        SELECT r.*, v.name, v.version FROM rule_changes r JOIN model_versions v ON v.id = r.model_version_id
        WHERE r.subject = 'thresholds' AND (:version IS NULL OR r.model_version_id = :version)
          AND (:change_id IS NULL OR r.id = :change_id) AND (:before_id IS NULL OR r.id < :before_id)
        ORDER BY r.id DESC LIMIT :limit
        """,
        version=model_version_id,
        change_id=change_id,
        before_id=before_id,
        limit=limit,
    )
    floors: dict[int, list[FloorChange]] = {}
    if acts:
        for number, category, name, before, after in await tx.fetch_rows(
            "SELECT t.change_id, t.category, l.name, t.before_floor, t.after_floor"
            " FROM threshold_changes t JOIN rule_changes r ON r.id = t.change_id"
            " LEFT JOIN labels l ON l.model_version_id = r.model_version_id AND l.label = t.label"
            " WHERE t.change_id IN :ids ORDER BY t.change_id, t.category, t.label",
            ids=[row["id"] for row in acts],
        ):
            floors.setdefault(number, []).append(
                FloorChange(LabelCategory(category), name, _floor(before), _floor(after))
            )
    return tuple(
        ThresholdChange(
            act=Act(row["id"], moment(row["at"]), row["actor"], row["back_to"]),
            model_name=row["name"],
            model_version=row["version"],
            floors=tuple(floors.get(row["id"], ())),
        )
        for row in acts
    )


async def _check_labels(tx: Transaction, model_version_id: int, wanted: Mapping[FloorKey, Floor]) -> None:
    if not await tx.fetch_rows("SELECT id FROM model_versions WHERE id = :id", id=model_version_id):
        raise InvalidInput(f"no model version has the id {model_version_id}", code="unknown_version")
    named = {label: category for category, label in wanted if label != WHOLE_CATEGORY}
    if not named:
        return
    known = dict(
        await tx.fetch_rows(
            "SELECT label, category FROM labels WHERE model_version_id = :id AND label IN :labels",
            id=model_version_id,
            labels=sorted(named),
        )
    )
    for label, category in sorted(named.items()):
        if known.get(label) != category:
            raise InvalidInput(f"the version has no {category} label {label}", code="unknown_label")


async def _said(tx: Transaction, model_version_id: int) -> dict[FloorKey, Floor]:
    return {
        (LabelCategory(category), label): FloorWord.OFF if score is None else score
        for category, label, score in await tx.fetch_rows(
            "SELECT category, label, score FROM thresholds WHERE model_version_id = :id", id=model_version_id
        )
    }


def _stored(floor: Floor) -> int | None:
    if isinstance(floor, FloorWord):
        return None if floor is FloorWord.DEFAULT else _OFF
    return floor


def _floor(stored: int | None) -> Floor:
    if stored is None:
        return FloorWord.DEFAULT
    return FloorWord.OFF if stored == _OFF else stored
