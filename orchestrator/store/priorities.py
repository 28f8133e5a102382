"""Which model goes first where several speak of one tag, with a history."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import PriorityRule, TagType
from orchestrator.store import rule_changes, rules_version, tags
from orchestrator.store.rows import moment
from orchestrator.store.rule_changes import Act, Author, Subject
from orchestrator.store.transaction import Transaction

RuleKey = tuple[TagType | None, int | None]
"""A type of tags, or a tag's id; the other one is None."""

Models = tuple[str, ...]
"""Names of models in their order; none: nothing is said."""


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What changed of a type of tags or of one tag. `title`: the tag's of today."""

    tag_type: TagType | None
    tag_id: int | None
    title: str | None
    before: Models
    after: Models


@dataclass(frozen=True, slots=True)
class PriorityChange:
    """One act on priorities."""

    act: Act
    rules: tuple[RuleChange, ...]


async def load_all(tx: Transaction) -> tuple[PriorityRule, ...]:
    """Return every rule, those of types first."""
    rows = await tx.fetch_rows(
        "SELECT tag_type, tag_id, models FROM priority_rules ORDER BY tag_id, tag_type"
    )
    return tuple(
        PriorityRule(_models(names), None if kind is None else TagType(kind), tag_id)
        for kind, tag_id, names in rows
    )


async def check(tx: Transaction, wanted: Mapping[RuleKey, Models]) -> None:
    """Raise InvalidInput (`bad_priority`, `unknown_model`, `unknown_tag`) for rules that make no sense."""
    for names in wanted.values():
        if len(set(names)) < len(names):
            raise InvalidInput("a model is named twice", code="bad_priority")
    known = {row[0] for row in await tx.fetch_rows("SELECT DISTINCT name FROM model_versions")}
    unknown = sorted({name for names in wanted.values() for name in names} - known)
    if unknown:
        raise InvalidInput(f"no model is called {unknown[0]}", code="unknown_model")
    named = {tag_id for _, tag_id in wanted if tag_id is not None}
    missing = named - (await tags.by_ids(tx, named)).keys()
    if missing:
        raise InvalidInput(f"no tag has the id {min(missing)}", code="unknown_tag")


async def change(
    tx: Transaction, wanted: Mapping[RuleKey, Models], author: Author, *, back_to: int | None = None
) -> int | None:
    """Say rules, none for what is said no longer; returns the change's id, None when all was so.

    Raises InvalidInput as `check`.
    """
    await rules_version.lock(tx)
    await check(tx, wanted)
    before = {(rule.tag_type, rule.tag_id): rule.models for rule in await load_all(tx)}
    changed = {key: names for key, names in wanted.items() if before.get(key, ()) != names}
    if not changed:
        return None
    for tag_type, tag_id in changed:
        await tx.execute(
            "DELETE FROM priority_rules WHERE tag_type <=> :type AND tag_id <=> :id", type=tag_type, id=tag_id
        )
    await tx.insert_many(
        "priority_rules",
        ("tag_type", "tag_id", "models"),
        [(*key, _stored(names)) for key, names in changed.items() if names],
    )
    change_id = await rule_changes.add(tx, Subject.PRIORITIES, author, back_to=back_to)
    await tx.insert_many(
        "priority_changes",
        ("change_id", "tag_type", "tag_id", "before_models", "after_models"),
        [(change_id, *key, _stored(before.get(key, ())), _stored(names)) for key, names in changed.items()],
    )
    await rules_version.bump(tx)
    return change_id


async def state_after(tx: Transaction, change_id: int) -> dict[RuleKey, Models]:
    """Return what brings back the state after a change; 0: before all of them.

    Only what was ever changed is named. Raises NotFound (`priority_change_not_found`).
    """
    if change_id and not await rule_changes.exists(tx, Subject.PRIORITIES, change_id):
        raise NotFound(f"no change of priorities has the id {change_id}", code="priority_change_not_found")
    found: dict[RuleKey, Models] = {}
    for number, tag_type, tag_id, before, after in await tx.fetch_rows(
        "SELECT change_id, tag_type, tag_id, before_models, after_models FROM priority_changes ORDER BY id"
    ):
        key = None if tag_type is None else TagType(tag_type), tag_id
        if number <= change_id:
            found[key] = _models(after)
        else:
            found.setdefault(key, _models(before))
    return found


async def list_changes(
    tx: Transaction, *, change_id: int | None = None, before_id: int | None = None, limit: int = 50
) -> tuple[PriorityChange, ...]:
    """Return changes, the newest first: all, or the one of this id."""
    acts = await tx.fetch_all(
        "SELECT * FROM rule_changes WHERE subject = 'priorities' AND (:change_id IS NULL OR id = :change_id)"
        " AND (:before_id IS NULL OR id < :before_id) ORDER BY id DESC LIMIT :limit",
        change_id=change_id,
        before_id=before_id,
        limit=limit,
    )
    rules: dict[int, list[RuleChange]] = {}
    if acts:
        for number, tag_type, tag_id, title, before, after in await tx.fetch_rows(
            "SELECT c.change_id, c.tag_type, c.tag_id, t.title, c.before_models, c.after_models"
            " FROM priority_changes c LEFT JOIN tags t ON t.id = c.tag_id"
            " WHERE c.change_id IN :ids ORDER BY c.id",
            ids=[row["id"] for row in acts],
        ):
            kind = None if tag_type is None else TagType(tag_type)
            rules.setdefault(number, []).append(
                RuleChange(kind, tag_id, title, _models(before), _models(after))
            )
    return tuple(
        PriorityChange(
            Act(row["id"], moment(row["at"]), row["actor"], row["back_to"]), tuple(rules.get(row["id"], ()))
        )
        for row in acts
    )


async def model_order(tx: Transaction) -> tuple[str, ...]:
    """Return the names of the models that are in use, in the order that counts where nothing is said."""
    rows = await tx.fetch_rows(
        "SELECT name FROM model_versions WHERE state = 'active' ORDER BY priority, version DESC, id DESC"
    )
    return tuple(row[0] for row in rows)


def _models(stored: str | None) -> Models:
    return () if stored is None else tuple(str(name) for name in json.loads(stored))


def _stored(names: Models) -> str | None:
    return json.dumps(names) if names else None
