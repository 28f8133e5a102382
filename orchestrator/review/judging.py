"""Judging suggestions of locked images in one transaction: what becomes of each, and what follows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.records import (
    Decision,
    RejectReason,
    SuggestionStatus,
    User,
    VerdictOutcome,
    VerdictRequest,
    VerdictResult,
)
from orchestrator.store import hierarchy, links, outbox, verdicts
from orchestrator.store.counters import Deltas
from orchestrator.store.transaction import Transaction
from orchestrator.store.verdicts import Act, JudgedRow, LogEntry

REVIEWED = "suggestions.reviewed"

_TARGET = {Decision.APPROVE: SuggestionStatus.APPROVED, Decision.REJECT: SuggestionStatus.REJECTED}


@dataclass(frozen=True, slots=True)
class Judging:
    """One review. `rows`: the suggestions that it may judge, by id; their images are locked.

    `into`: the batch that it adds to; a new one of `kind` unless given.
    """

    tx: Transaction
    actor: User
    now: datetime
    rows: Mapping[int, JudgedRow]
    kind: str
    into: int | None = None

    async def run(self, requests: Sequence[VerdictRequest]) -> tuple[int | None, tuple[VerdictResult, ...]]:
        """Judge every request, then write what changed: links, rows, log, event, counters.

        Returns the batch's id, None when nothing changed, and what became of each in the order asked.
        """
        judged = {request.suggestion_id: self._judge(request) for request in requests}
        applied = [r for r in requests if judged[r.suggestion_id] is VerdictOutcome.APPLIED]
        approved = [self.rows[r.suggestion_id] for r in applied if r.decision is Decision.APPROVE]
        rejected = [self.rows[r.suggestion_id] for r in applied if r.decision is Decision.REJECT]
        fresh = await links.link_pairs(
            self.tx,
            {(row.image_id, row.canonical.id) for row in approved},
            user_id=self.actor.id,
            origin=links.LinkOrigin.REVIEW,
        )
        # Two approved rows may share a canonical tag; the first one made the link.
        makers = {(row.image_id, row.canonical.id): row.id for row in reversed(approved)}
        linkers = frozenset(makers[pair] for pair in fresh)
        cascades = await self._cascades(approved, decided={r.suggestion_id for r in applied})
        cleared = [row for rows in cascades.values() for row in rows]
        await self._set(SuggestionStatus.APPROVED, approved)
        await self._set(SuggestionStatus.REJECTED, rejected)
        await self._set(SuggestionStatus.CLEARED, cleared)
        batch_id = await self._log(applied, linkers, cascades) if applied else None
        deltas = Deltas()
        for row in (*approved, *rejected, *cleared):
            if row.status is SuggestionStatus.PENDING:
                deltas.pending(row.tag.id, row.confidence, -1)
        for _, tag_id in fresh:
            deltas.links(tag_id, +1)
        await deltas.apply(self.tx)
        return batch_id, tuple(
            self._result(r, judged[r.suggestion_id], linkers, cascades.get(r.suggestion_id, ()))
            for r in requests
        )

    def _judge(self, request: VerdictRequest) -> VerdictOutcome:
        """Say what becomes of one request. A decided row is not decided again: it is undone first."""
        row = self.rows.get(request.suggestion_id)
        if row is None:
            return VerdictOutcome.NOT_FOUND
        if row.status is _TARGET[request.decision] and row.decided_by_id == self.actor.id:
            return VerdictOutcome.UNCHANGED
        if row.status is not SuggestionStatus.PENDING or row.version != request.version:
            return VerdictOutcome.CONFLICT
        return VerdictOutcome.APPLIED

    async def _cascades(
        self, approved: Sequence[JudgedRow], *, decided: Collection[int]
    ) -> dict[int, tuple[JudgedRow, ...]]:
        """Return, by the approved row at fault, the pending rows that its link makes redundant."""
        above = await hierarchy.ancestors_of(self.tx, {row.canonical.id for row in approved})
        redundant = {tag: ancestors | {tag} for tag, ancestors in above.items()}
        pending = await verdicts.pending_among(
            self.tx, {row.image_id for row in approved}, frozenset().union(*redundant.values())
        )
        left: dict[int, list[JudgedRow]] = {}
        for row in pending.values():
            if row.id not in decided:
                left.setdefault(row.image_id, []).append(row)
        cascades: dict[int, tuple[JudgedRow, ...]] = {}
        for cause in approved:
            mine, tags = left.get(cause.image_id, []), redundant[cause.canonical.id]
            cascades[cause.id] = tuple(row for row in mine if row.canonical.id in tags)
            left[cause.image_id] = [row for row in mine if row.canonical.id not in tags]
        return cascades

    async def _set(self, status: SuggestionStatus, rows: Sequence[JudgedRow]) -> None:
        await verdicts.set_status(
            self.tx, [row.id for row in rows], status, user_id=self.actor.id, at=self.now
        )

    async def _log(
        self,
        applied: Sequence[VerdictRequest],
        linkers: Collection[int],
        cascades: Mapping[int, Sequence[JudgedRow]],
    ) -> int:
        """Append verdicts and cascades as one batch, with its event; returns the batch's id."""
        entries: list[LogEntry] = []
        for request in applied:
            row = self.rows[request.suggestion_id]
            approve = request.decision is Decision.APPROVE
            reason = None if approve else request.reason or RejectReason.WRONG
            entries.append(
                LogEntry(
                    row=row,
                    act=Act.APPROVE if approve else Act.REJECT,
                    to_status=_TARGET[request.decision],
                    reason=reason,
                    note=request.note,
                    linked_tag_id=row.canonical.id if approve else None,
                    link_created=row.id in linkers,
                )
            )
            entries += [
                LogEntry(row=other, act=Act.CLEAR, to_status=SuggestionStatus.CLEARED, cause=row.id)
                for other in cascades.get(row.id, ())
            ]
        batch_id = self.into
        if batch_id is None:
            batch_id = await verdicts.open_batch(self.tx, user_id=self.actor.id, kind=self.kind)
        await verdicts.append(self.tx, batch_id, entries, user_id=self.actor.id, at=self.now)
        await outbox.add(self.tx, REVIEWED, event(batch_id, self.actor, self.now, entries))
        return batch_id

    def _result(
        self,
        request: VerdictRequest,
        outcome: VerdictOutcome,
        linkers: Collection[int],
        cleared: Sequence[JudgedRow],
    ) -> VerdictResult:
        row = self.rows.get(request.suggestion_id)
        if row is None:
            return VerdictResult(
                request.suggestion_id,
                outcome,
                None,
                None,
                None,
                linked=False,
                cleared=(),
                decided_by=None,
                decided_at=None,
            )
        applied = outcome is VerdictOutcome.APPLIED
        status = _TARGET[request.decision] if applied else row.status
        approved = status is SuggestionStatus.APPROVED
        return VerdictResult(
            suggestion_id=row.id,
            outcome=outcome,
            status=status,
            version=row.version + 1 if applied else row.version,
            tag=row.canonical if approved else row.tag,
            linked=row.id in linkers,
            cleared=tuple(other.id for other in cleared),
            decided_by=self.actor.name if applied else row.decided_by,
            decided_at=self.now if applied else row.decided_at,
            already_linked=approved and applied and row.id not in linkers,
            alias_resolved=approved and row.tag.alias_of is not None,
        )


def event(batch_id: int | None, actor: User, now: datetime, entries: Sequence[LogEntry]) -> dict[str, object]:
    """Return what the outside is told of a batch."""
    return {
        "batch_id": batch_id,
        "user_id": actor.id,
        "at": now.isoformat(),
        "verdicts": [
            {
                "suggestion_id": entry.row.id,
                "image_id": entry.row.image_id,
                "tag_id": entry.row.tag.id,
                "act": entry.act,
                "status": entry.to_status,
                "version": entry.row.version + 1,
                "linked_tag_id": entry.linked_tag_id,
                "link_created": entry.link_created,
            }
            for entry in entries
        ],
    }
