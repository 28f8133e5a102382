"""Reviewing one image's suggestions, in one transaction.

A verdict is valid only against the row version that the reviewer saw. A lost race is a per-item conflict
that says who decided what and when; the other items go through. Approving links the canonical tag and
clears pending rows that the link makes redundant: those of the same canonical tag and of its ancestors.
Explicit verdicts of the same request come before such cascades, whatever their order.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.accounts import require_review
from orchestrator.errors import InvalidInput
from orchestrator.records import (
    Decision,
    RejectReason,
    ReviewOutcome,
    SuggestionStatus,
    User,
    VerdictOutcome,
    VerdictRequest,
    VerdictResult,
)
from orchestrator.review import replay
from orchestrator.store import hierarchy, idempotency, links, outbox, suggestions, verdicts
from orchestrator.store.counters import Deltas
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.store.verdicts import Act, JudgedRow, LogEntry

MAX_VERDICTS = 500
NOTE_LENGTH = 500
REVIEWED = "suggestions.reviewed"

_TARGET = {Decision.APPROVE: SuggestionStatus.APPROVED, Decision.REJECT: SuggestionStatus.REJECTED}


async def review(
    store: Store,
    actor: User,
    image_id: int,
    requests: Sequence[VerdictRequest],
    *,
    idempotency_key: str | None = None,
) -> ReviewOutcome:
    """Apply verdicts to one image's suggestions and say what really happened to each, in the order asked.

    A repeat under the same key returns the first answer. Raises NotFound (the image), Forbidden (another's
    image), InvalidInput, Conflict (`idempotency_key_reused`).
    """
    _check(requests)
    return await store.write(lambda tx: _review(tx, actor, image_id, requests, idempotency_key))


def _check(requests: Sequence[VerdictRequest]) -> None:
    if not 0 < len(requests) <= MAX_VERDICTS:
        raise InvalidInput(f"a review has 1 to {MAX_VERDICTS} verdicts", code="bad_review_size")
    if len({request.suggestion_id for request in requests}) != len(requests):
        raise InvalidInput("a suggestion is judged twice in one review", code="judged_twice")
    for request in requests:
        if request.decision is Decision.APPROVE and request.reason is not None:
            raise InvalidInput("a reason goes with a rejection only", code="bad_reason")
        if request.reason is RejectReason.OTHER and not (request.note or "").strip():
            raise InvalidInput("the reason 'other' needs a note", code="note_missing")
        if request.note is not None and len(request.note) > NOTE_LENGTH:
            raise InvalidInput(f"a note has at most {NOTE_LENGTH} characters", code="note_too_long")


async def _review(
    tx: Transaction, actor: User, image_id: int, requests: Sequence[VerdictRequest], key: str | None
) -> ReviewOutcome:
    uploader_id, now = await verdicts.lock_image(tx, image_id)
    require_review(actor, uploader_id)
    if key is not None:
        request = replay.fingerprint(image_id, requests)
        answer = await idempotency.begin(tx, user_id=actor.id, key=key, request=request)
        if answer is not None:
            return replay.decode(answer)
    outcome = await _Review(tx, actor, image_id, now, await verdicts.lock_rows(tx, image_id)).run(requests)
    if key is not None:
        await idempotency.finish(tx, user_id=actor.id, key=key, response=replay.encode(outcome))
    return outcome


@dataclass(frozen=True, slots=True)
class _Review:
    """One review of one image whose rows are locked."""

    tx: Transaction
    actor: User
    image_id: int
    now: datetime
    rows: Mapping[int, JudgedRow]

    async def run(self, requests: Sequence[VerdictRequest]) -> ReviewOutcome:
        """Judge every request, then write what changed: links, rows, log, event, counters."""
        judged = {request.suggestion_id: self._judge(request) for request in requests}
        applied = [r for r in requests if judged[r.suggestion_id] is VerdictOutcome.APPLIED]
        approved = [self.rows[r.suggestion_id] for r in applied if r.decision is Decision.APPROVE]
        rejected = [self.rows[r.suggestion_id] for r in applied if r.decision is Decision.REJECT]
        fresh = await links.link(
            self.tx,
            self.image_id,
            {row.canonical.id for row in approved},
            user_id=self.actor.id,
            origin=links.LinkOrigin.REVIEW,
        )
        # Two approved rows may share a canonical tag; the first one made the link.
        makers = {row.canonical.id: row.id for row in reversed(approved) if row.canonical.id in fresh}
        linkers = frozenset(makers.values())
        cascades = await self._cascades(approved, decided={r.suggestion_id for r in applied})
        cleared = [row for rows in cascades.values() for row in rows]
        await self._set(SuggestionStatus.APPROVED, approved)
        await self._set(SuggestionStatus.REJECTED, rejected)
        await self._set(SuggestionStatus.CLEARED, cleared)
        batch_id = await self._log(applied, linkers, cascades) if applied else None
        results = tuple(
            self._result(r, judged[r.suggestion_id], linkers, cascades.get(r.suggestion_id, ()))
            for r in requests
        )
        counts = await suggestions.counts(self.tx, self.image_id)
        deltas = Deltas()
        for row in (*approved, *rejected, *cleared):
            if row.status is SuggestionStatus.PENDING:
                deltas.pending(row.tag.id, row.confidence, -1)
        for tag_id in fresh:
            deltas.links(tag_id, +1)
        await deltas.apply(self.tx)
        return ReviewOutcome(batch_id=batch_id, results=results, counts=counts)

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
        left = [r for r in self.rows.values() if r.status is SuggestionStatus.PENDING and r.id not in decided]
        cascades: dict[int, tuple[JudgedRow, ...]] = {}
        for cause in approved:
            redundant = above[cause.canonical.id] | {cause.canonical.id}
            cascades[cause.id] = tuple(row for row in left if row.canonical.id in redundant)
            left = [row for row in left if row.canonical.id not in redundant]
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
        batch_id = await verdicts.open_batch(self.tx, user_id=self.actor.id, kind="review")
        await verdicts.append(self.tx, batch_id, self.image_id, entries, user_id=self.actor.id, at=self.now)
        await outbox.add(
            self.tx,
            REVIEWED,
            {
                "batch_id": batch_id,
                "image_id": self.image_id,
                "user_id": self.actor.id,
                "at": self.now.isoformat(),
                "verdicts": [
                    {
                        "suggestion_id": entry.row.id,
                        "tag_id": entry.row.tag.id,
                        "act": entry.act,
                        "status": entry.to_status,
                        "version": entry.row.version + 1,
                        "linked_tag_id": entry.linked_tag_id,
                        "link_created": entry.link_created,
                    }
                    for entry in entries
                ],
            },
        )
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
        return VerdictResult(
            suggestion_id=row.id,
            outcome=outcome,
            status=status,
            version=row.version + 1 if applied else row.version,
            tag=row.canonical if status is SuggestionStatus.APPROVED else row.tag,
            linked=row.id in linkers,
            cleared=tuple(other.id for other in cleared),
            decided_by=self.actor.name if applied else row.decided_by,
            decided_at=self.now if applied else row.decided_at,
        )
