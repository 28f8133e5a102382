"""Who did what to models and other things that the board's people do not see; append-only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.store.rows import moment
from orchestrator.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act. `detail`: JSON text, an object."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str


async def add(
    tx: Transaction, *, actor: str, action: str, subject: str, detail: Mapping[str, object] | None = None
) -> int:
    """Append an act, in the transaction of what it tells of; returns its id."""
    return await tx.insert(
        "audit_log",
        actor=actor,
        action=action,
        subject=subject,
        detail=json.dumps(detail or {}, separators=(",", ":")),
    )


async def of(tx: Transaction, subject: str, *, limit: int = 50) -> list[AuditEntry]:
    """Return what was done to a subject, the newest first."""
    rows = await tx.fetch_all(
        "SELECT * FROM audit_log WHERE subject = :subject ORDER BY id DESC LIMIT :limit",
        subject=subject,
        limit=limit,
    )
    return [
        AuditEntry(
            row["id"], moment(row["at"]), row["actor"], row["action"], row["subject"], str(row["detail"])
        )
        for row in rows
    ]
