"""Who changed which mapping, when, from what to what; append-only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.records import MappingAction, TagMapping
from orchestrator.store.rows import moment
from orchestrator.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class MappingTarget:
    """What an external tag leads to. `title`: the tag's of today; None for `ignore`. `weight`: × 10,000."""

    action: MappingAction
    tag_id: int | None
    title: str | None
    weight: int


@dataclass(frozen=True, slots=True)
class MappingChange:
    """One change. `before` is None for a new mapping, `after` for one that was removed; `actor` is None for
    somebody with the command line."""

    id: int
    at: datetime
    actor: str | None
    source: str
    external_tag: str
    before: MappingTarget | None
    after: MappingTarget | None


Change = tuple[str, str, TagMapping | None, tuple[MappingAction, int | None, int] | None]
"""Source, external tag, the mapping before, and (action, tag id, weight) after."""


async def add(tx: Transaction, changes: Sequence[Change], *, actor_id: int | None) -> None:
    """Append changes, in the transaction that makes them."""
    nothing = (None, None, None)
    await tx.insert_many(
        "mapping_changes",
        (
            *("source", "external_tag", "user_id"),
            *("before_action", "before_tag_id", "before_weight"),
            *("after_action", "after_tag_id", "after_weight"),
        ),
        [
            (
                source,
                name,
                actor_id,
                *(nothing if before is None else (before.action, before.tag_id, before.weight)),
                *(nothing if after is None else after),
            )
            for source, name, before, after in changes
        ],
    )


async def list_changes(
    tx: Transaction,
    *,
    external_tag: str | None = None,
    source: str | None = None,
    before_id: int | None = None,
    limit: int = 50,
) -> tuple[MappingChange, ...]:
    """Return changes, the newest first: of one external tag, of one source, or all."""
    rows = await tx.fetch_all(
        """
        SELECT c.*, u.name AS actor, b.title AS before_title, a.title AS after_title
        FROM mapping_changes c
        LEFT JOIN users u ON u.id = c.user_id
        LEFT JOIN tags b ON b.id = c.before_tag_id
        LEFT JOIN tags a ON a.id = c.after_tag_id
        WHERE (:external_tag IS NULL OR c.external_tag = :external_tag)
          AND (:source IS NULL OR c.source = :source) AND (:before_id IS NULL OR c.id < :before_id)
        ORDER BY c.id DESC LIMIT :limit
        """,
        external_tag=external_tag,
        source=source,
        before_id=before_id,
        limit=limit,
    )

    def target(
        action: str | None, tag_id: int | None, title: str | None, weight: int
    ) -> MappingTarget | None:
        return None if action is None else MappingTarget(MappingAction(action), tag_id, title, weight)

    return tuple(
        MappingChange(
            id=row["id"],
            at=moment(row["at"]),
            actor=row["actor"],
            source=row["source"],
            external_tag=row["external_tag"],
            before=target(
                row["before_action"], row["before_tag_id"], row["before_title"], row["before_weight"]
            ),
            after=target(row["after_action"], row["after_tag_id"], row["after_title"], row["after_weight"]),
        )
        for row in rows
    )
