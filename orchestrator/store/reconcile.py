"""Bring an image's suggestions in line with what the rules propose now.

What becomes of a row (DESIGN 5); its `version` rises with every change that a reviewer could have seen:

- pending, still proposed: scores brought up to date; no longer proposed: removed.
- rejected, cleared: stay as they are; evidence is added.
- an exploration is a pending row like others, but asks nobody again who has decided.
- approved: stays; pending again only when its link was removed and a person asked for this analysis. The log
  says so (`reopen`), in the name of who asked, or where nobody knows, of whose approval it was.
- a tag that is linked by now, or an ancestor of one that is, counts as not proposed, and a tag that is an
  alias by now counts as its canonical one: the rules ran on what was so before this transaction took its
  locks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.records import Evidence, ProposedSuggestion, SuggestionStatus
from orchestrator.store import hierarchy, links, rules_version, verdicts
from orchestrator.store.counters import Deltas
from orchestrator.store.rows import moment
from orchestrator.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class _Stored:
    """A suggestion's row before the change."""

    id: int
    tag_id: int
    status: SuggestionStatus
    score: int
    confidence: int
    model_version_id: int
    inferred: bool
    exploration: bool

    def differs(self, proposal: ProposedSuggestion) -> bool:
        """Whether bringing the row up to date would change anything that people see."""
        return (self.score, self.confidence, self.model_version_id, self.inferred, self.exploration) != (
            proposal.score,
            proposal.confidence,
            proposal.model_version_id,
            proposal.inferred,
            proposal.exploration,
        )


async def reconcile(
    tx: Transaction,
    image_id: int,
    proposals: Sequence[ProposedSuggestion],
    deltas: Deltas,
    *,
    explicit: bool,
    asked_by: int | None = None,
) -> None:
    """Apply `proposals` to an image whose row the caller has locked; what to count is added to `deltas`.

    `asked_by`: the person who asked for this analysis, when it is `explicit`.
    """
    await rules_version.hold(tx)
    proposals = await _canonical(tx, proposals)
    stored = await _lock(tx, image_id)
    applied = await links.applied_ids(tx, image_id)
    redundant = applied.union(*(await hierarchy.ancestors_of(tx, applied)).values())
    wanted = {p.tag_id: p for p in proposals if p.tag_id not in redundant}

    gone = [
        row for row in stored.values() if row.status is SuggestionStatus.PENDING and row.tag_id not in wanted
    ]
    updated: list[_Stored] = []
    reopened: list[int] = []
    for tag_id, proposal in sorted(wanted.items()):
        row = stored.get(tag_id)
        if row is None:
            deltas.pending(tag_id, proposal.confidence, +1)
        elif row.status is SuggestionStatus.PENDING and row.differs(proposal):
            deltas.pending(tag_id, row.confidence, -1)
            deltas.pending(tag_id, proposal.confidence, +1)
            updated.append(row)
        elif row.status is SuggestionStatus.APPROVED and explicit and not proposal.exploration:
            deltas.pending(tag_id, proposal.confidence, +1)
            updated.append(row)
            reopened.append(row.id)
    for row in gone:
        deltas.pending(row.tag_id, row.confidence, -1)

    await _log_reopened(tx, reopened, asked_by)
    await _remove(tx, gone)
    await _update(tx, [(row.id, wanted[row.tag_id]) for row in sorted(updated, key=lambda row: row.id)])
    ids = {tag_id: row.id for tag_id, row in stored.items()}
    ids |= await _insert(tx, image_id, [p for tag_id, p in sorted(wanted.items()) if tag_id not in stored])
    undecided = {
        ids[tag_id]
        for tag_id in wanted
        if (known := stored.get(tag_id)) is None or known.status is SuggestionStatus.PENDING
    }
    await _store_evidence(tx, {ids[tag]: p.evidence for tag, p in wanted.items()}, undecided)


async def _canonical(tx: Transaction, proposals: Sequence[ProposedSuggestion]) -> list[ProposedSuggestion]:
    """Return the proposals on canonical tags; of two that meet there the surer one, with both's evidence."""
    if not proposals:
        return []
    aliases = {
        row[0]: row[1]
        for row in await tx.fetch_rows(
            "SELECT id, alias_of FROM tags WHERE id IN :tags AND alias_of IS NOT NULL",
            tags=sorted(proposal.tag_id for proposal in proposals),
        )
    }
    found: dict[int, ProposedSuggestion] = {}
    for proposal in sorted(proposals, key=lambda one: (one.exploration, -one.confidence, one.tag_id)):
        tag_id = aliases.get(proposal.tag_id, proposal.tag_id)
        first = found.setdefault(tag_id, replace(proposal, tag_id=tag_id))
        known = {(one.model_version_id, one.label) for one in first.evidence}
        more = [one for one in proposal.evidence if (one.model_version_id, one.label) not in known]
        found[tag_id] = replace(first, evidence=(*first.evidence, *more))
    return list(found.values())


async def _log_reopened(tx: Transaction, suggestion_ids: Sequence[int], asked_by: int | None) -> None:
    """Log approved rows that are about to become pending again, one batch for each in whose name."""
    if not suggestion_ids:
        return
    rows = await verdicts.rows(tx, suggestion_ids)
    (now,) = await tx.fetch_rows("SELECT UTC_TIMESTAMP(6)")
    by_user: dict[int, list[verdicts.LogEntry]] = {}
    for row in rows.values():
        user_id = asked_by or row.decided_by_id
        if user_id is None:
            raise RuntimeError(f"nobody has approved suggestion {row.id}")
        entry = verdicts.LogEntry(row=row, act=verdicts.Act.REOPEN, to_status=SuggestionStatus.PENDING)
        by_user.setdefault(user_id, []).append(entry)
    for user_id, entries in sorted(by_user.items()):
        batch_id = await verdicts.open_batch(tx, user_id=user_id, kind="reopen")
        await verdicts.append(tx, batch_id, entries, user_id=user_id, at=moment(now[0]))


async def _lock(tx: Transaction, image_id: int) -> dict[int, _Stored]:
    """Lock the image's suggestions in id order and return them by tag."""
    rows = await tx.fetch_rows(
        "SELECT id, tag_id, status, score, confidence, model_version_id, inferred, exploration"
        " FROM suggestions WHERE image_id = :image_id ORDER BY id FOR UPDATE",
        image_id=image_id,
    )
    return {
        row[1]: _Stored(
            row[0], row[1], SuggestionStatus(row[2]), row[3], row[4], row[5], bool(row[6]), bool(row[7])
        )
        for row in rows
    }


async def _remove(tx: Transaction, rows: Sequence[_Stored]) -> None:
    if rows:
        await tx.execute("DELETE FROM suggestions WHERE id IN :ids", ids=sorted(row.id for row in rows))


async def _update(tx: Transaction, rows: Sequence[tuple[int, ProposedSuggestion]]) -> None:
    for suggestion_id, proposal in rows:
        await tx.execute(
            """
            UPDATE suggestions
            SET status = 'pending', score = :score, confidence = :confidence, inferred = :inferred,
                exploration = :exploration, model_version_id = :model_version_id, version = version + 1,
                decided_by = NULL, decided_at = NULL
            WHERE id = :id
            """,
            id=suggestion_id,
            score=proposal.score,
            confidence=proposal.confidence,
            inferred=proposal.inferred,
            exploration=proposal.exploration,
            model_version_id=proposal.model_version_id,
        )


async def _insert(tx: Transaction, image_id: int, proposals: Sequence[ProposedSuggestion]) -> dict[int, int]:
    """Insert new pending rows; returns their ids by tag."""
    rows = await tx.insert_many(
        "suggestions",
        ("image_id", "tag_id", "score", "confidence", "model_version_id", "inferred", "exploration"),
        [
            (image_id, p.tag_id, p.score, p.confidence, p.model_version_id, p.inferred, p.exploration)
            for p in proposals
        ],
        returning=("tag_id", "id"),
    )
    return dict(rows)


async def _store_evidence(
    tx: Transaction, evidence: Mapping[int, Sequence[Evidence]], undecided: set[int]
) -> None:
    """Undecided rows keep exactly what speaks for them now; decided ones also what people saw then."""
    if not evidence:
        return
    known = {
        (row[0], row[1], row[2]): (row[3], row[4])
        for row in await tx.fetch_rows(
            "SELECT suggestion_id, model_version_id, label, mapping_id, score FROM suggestion_evidence"
            " WHERE suggestion_id IN :ids",
            ids=sorted(evidence),
        )
    }
    wanted = {
        (suggestion_id, item.model_version_id, item.label): (item.mapping_id, item.score)
        for suggestion_id, items in evidence.items()
        for item in items
    }
    stale = sorted(key for key in known if key not in wanted and key[0] in undecided)
    if stale:
        await tx.execute(
            "DELETE FROM suggestion_evidence WHERE (suggestion_id, model_version_id, label) IN :stale",
            stale=stale,
        )
    await tx.insert_many(
        "suggestion_evidence",
        ("suggestion_id", "model_version_id", "label", "mapping_id", "score"),
        [(*key, *value) for key, value in sorted(wanted.items()) if known.get(key) != value],
        on_duplicate="mapping_id = VALUES(mapping_id), score = VALUES(score)",
    )
