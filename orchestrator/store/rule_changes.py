"""Acts of people on rules that have a history: who, when, and to which earlier state."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.store.transaction import Transaction


class Subject(StrEnum):
    """What an act changed."""

    THRESHOLDS = "thresholds"
    PRIORITIES = "priorities"


@dataclass(frozen=True, slots=True)
class Author:
    """Who acts. `user_id` is None for somebody with the command line."""

    name: str
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One act. `back_to`: the change whose state it brought back, 0 for the state before all changes; None
    for a change of its own."""

    id: int
    at: datetime
    actor: str
    back_to: int | None


async def add(
    tx: Transaction,
    subject: Subject,
    author: Author,
    *,
    model_version_id: int | None = None,
    back_to: int | None = None,
) -> int:
    """Append an act, in the transaction that does it; returns its id."""
    return await tx.insert(
        "rule_changes",
        subject=subject,
        model_version_id=model_version_id,
        back_to=back_to,
        actor=author.name,
        user_id=author.user_id,
    )


async def exists(
    tx: Transaction, subject: Subject, change_id: int, *, model_version_id: int | None = None
) -> bool:
    """Whether there is such an act on the subject, and on this version's."""
    return bool(
        await tx.fetch_rows(
            "SELECT id FROM rule_changes WHERE id = :id AND subject = :subject"
            " AND model_version_id <=> :version",
            id=change_id,
            subject=subject,
            version=model_version_id,
        )
    )


async def newest(
    tx: Transaction, subject: Subject, *, model_version_id: int | None = None, count: int
) -> tuple[int, ...]:
    """Return the ids of the newest acts on the subject, and on this version's, the newest first."""
    rows = await tx.fetch_rows(
        "SELECT id FROM rule_changes WHERE subject = :subject AND model_version_id <=> :version"
        " ORDER BY id DESC LIMIT :count",
        subject=subject,
        version=model_version_id,
        count=count,
    )
    return tuple(row[0] for row in rows)
