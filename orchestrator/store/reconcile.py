# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Bring images' suggestions in line with what the rules propose now, many images at a time.

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

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.records import Evidence, ProposedSuggestion, SuggestionStatus
from orchestrator.store import hierarchy, links, rules_version, verdicts
from orchestrator.store.counters import Deltas
from orchestrator.store.rows import moment
from orchestrator.store.transaction import Transaction

Place = tuple[int, int]
"""(image id, tag id): where a suggestion stands."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """What the rules propose on one image. `explicit`: a person asked for this analysis, `asked_by`."""

    image_id: int
    proposals: Sequence[ProposedSuggestion]
    explicit: bool = False
    asked_by: int | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    """A suggestion's row before the change."""

    id: int
    image_id: int
    tag_id: int
    status: SuggestionStatus
    score: int
    confidence: int
    model_version_id: int
    inferred: bool
    exploration: bool

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.image_id, self.tag_id

    def differs(self, proposal: ProposedSuggestion) -> bool:
        """Whether bringing the row up to date would change anything that people see."""
        return (self.score, self.confidence, self.model_version_id, self.inferred, self.exploration) != (
            proposal.score,
            proposal.confidence,
            proposal.model_version_id,
            proposal.inferred,
            proposal.exploration,
        )


async def reconcile(tx: Transaction, images: Sequence[Proposed], deltas: Deltas) -> None:
    """Apply what is proposed on images whose rows the caller has locked; what to count is added to `deltas`.

    Each statement is for all of the images: how many there are hardly matters to what one costs.
    """
    if not images:
        return
    await rules_version.hold(tx)
    wanted = await _wanted(tx, images)
    stored = await _lock(tx, [image.image_id for image in images])
    explicit = {image.image_id: image.asked_by for image in images if image.explicit}

    gone = [
        row for place, row in stored.items() if row.status is SuggestionStatus.PENDING and place not in wanted
    ]
    updated: list[_Stored] = []
    reopened: dict[int, int | None] = {}
    for place, proposal in sorted(wanted.items(), key=lambda item: item[0]):
        row = stored.get(place)
        if row is None:
            deltas.pending(proposal.tag_id, proposal.confidence, +1)
        elif row.status is SuggestionStatus.PENDING and row.differs(proposal):
            deltas.pending(proposal.tag_id, row.confidence, -1)
            deltas.pending(proposal.tag_id, proposal.confidence, +1)
            updated.append(row)
        elif row.status is SuggestionStatus.APPROVED and place[0] in explicit and not proposal.exploration:
            deltas.pending(proposal.tag_id, proposal.confidence, +1)
            updated.append(row)
            reopened[row.id] = explicit[place[0]]
    for row in gone:
        deltas.pending(row.tag_id, row.confidence, -1)

    await _log_reopened(tx, reopened)
    await _remove(tx, gone)
    await _update(tx, [(row.id, wanted[row.place]) for row in sorted(updated, key=lambda row: row.id)])
    ids = {place: row.id for place, row in stored.items()}
    ids |= await _insert(tx, {place: one for place, one in wanted.items() if place not in stored})
    undecided = {
        ids[place]
        for place in wanted
        if (known := stored.get(place)) is None or known.status is SuggestionStatus.PENDING
    }
    fresh = {ids[place] for place in wanted if place not in stored}
    await _store_evidence(tx, {ids[place]: one.evidence for place, one in wanted.items()}, undecided, fresh)


async def _wanted(tx: Transaction, images: Sequence[Proposed]) -> dict[Place, ProposedSuggestion]:
    """Return the proposals that are neither linked by now nor said by what is, on canonical tags."""
    applied = await links.applied_to(tx, [image.image_id for image in images])
    ancestors = await hierarchy.ancestors_of(tx, frozenset().union(*applied.values()))
    aliases = await _aliases(tx, {one.tag_id for image in images for one in image.proposals})
    wanted: dict[Place, ProposedSuggestion] = {}
    for image in images:
        linked = applied[image.image_id]
        redundant = linked.union(*(ancestors[tag_id] for tag_id in linked))
        for tag_id, proposal in _canonical(image.proposals, aliases).items():
            if tag_id not in redundant:
                wanted[image.image_id, tag_id] = proposal
    return wanted


async def _aliases(tx: Transaction, tag_ids: Collection[int]) -> dict[int, int]:
    """Return the canonical tag of those of `tag_ids` that are aliases."""
    if not tag_ids:
        return {}
    rows = await tx.fetch_rows(
        "SELECT id, alias_of FROM tags WHERE id IN :tags AND alias_of IS NOT NULL", tags=sorted(tag_ids)
    )
    return {row[0]: row[1] for row in rows}


def _canonical(
    proposals: Sequence[ProposedSuggestion], aliases: Mapping[int, int]
) -> dict[int, ProposedSuggestion]:
    """Return the proposals by canonical tag; of two that meet there the surer one, with both's evidence."""
    found: dict[int, ProposedSuggestion] = {}
    for proposal in sorted(proposals, key=lambda one: (one.exploration, -one.confidence, one.tag_id)):
        tag_id = aliases.get(proposal.tag_id, proposal.tag_id)
        first = found.get(tag_id)
        if first is None:
            found[tag_id] = proposal if tag_id == proposal.tag_id else replace(proposal, tag_id=tag_id)
            continue
        known = {(one.model_version_id, one.label) for one in first.evidence}
        more = [one for one in proposal.evidence if (one.model_version_id, one.label) not in known]
        found[tag_id] = replace(first, evidence=(*first.evidence, *more))
    return found


async def _log_reopened(tx: Transaction, asked_by: Mapping[int, int | None]) -> None:
    """Log approved rows that are about to become pending again, one batch for each in whose name.

    `asked_by`: suggestion → who asked for the analysis, None where nobody knows.
    """
    if not asked_by:
        return
    rows = await verdicts.rows(tx, sorted(asked_by))
    (now,) = await tx.fetch_rows("SELECT UTC_TIMESTAMP(6)")
    by_user: dict[int, list[verdicts.LogEntry]] = {}
    for row in rows.values():
        user_id = asked_by[row.id] or row.decided_by_id
        if user_id is None:
            raise RuntimeError(f"nobody has approved suggestion {row.id}")
        entry = verdicts.LogEntry(row=row, act=verdicts.Act.REOPEN, to_status=SuggestionStatus.PENDING)
        by_user.setdefault(user_id, []).append(entry)
    for user_id, entries in sorted(by_user.items()):
        batch_id = await verdicts.open_batch(tx, user_id=user_id, kind="reopen")
        await verdicts.append(tx, batch_id, entries, user_id=user_id, at=moment(now[0]))


async def _lock(tx: Transaction, image_ids: Sequence[int]) -> dict[Place, _Stored]:
    """Lock the images' suggestions in id order and return them."""
    rows = await tx.fetch_rows(
        "SELECT id, image_id, tag_id, status, score, confidence, model_version_id, inferred, exploration"
        # By that index only: a scan would wait for, and lock, what is other images'.
        " FROM suggestions FORCE INDEX (suggestions_image_tag)"
        " WHERE image_id IN :image_ids ORDER BY id FOR UPDATE",
        image_ids=sorted(image_ids),
    )
    return {
        (row[1], row[2]): _Stored(
            row[0],
            row[1],
            row[2],
            SuggestionStatus(row[3]),
            row[4],
            row[5],
            row[6],
            bool(row[7]),
            bool(row[8]),
        )
        for row in rows
    }


async def _remove(tx: Transaction, rows: Sequence[_Stored]) -> None:
    if rows:
        await tx.execute("DELETE FROM suggestions WHERE id IN :ids", ids=sorted(row.id for row in rows))


async def _update(tx: Transaction, rows: Sequence[tuple[int, ProposedSuggestion]]) -> None:
    if not rows:
        return
    values = {
        f"row_{number}": (
            suggestion_id,
            one.score,
            one.confidence,
            one.inferred,
            one.exploration,
            one.model_version_id,
        )
        for number, (suggestion_id, one) in enumerate(rows)
    }
    listed = ", ".join(f":{name}" for name in values)
    await tx.execute(
        f"""
        UPDATE (WITH n (id, score, confidence, inferred, exploration, model_version_id) AS (VALUES {listed})
                SELECT * FROM n) n
        STRAIGHT_JOIN suggestions s ON s.id = n.id
        SET s.status = 'pending', s.score = n.score, s.confidence = n.confidence, s.inferred = n.inferred,
            s.exploration = n.exploration, s.model_version_id = n.model_version_id,
            s.version = s.version + 1, s.decided_by = NULL, s.decided_at = NULL
        """,
        **values,
    )


async def _insert(tx: Transaction, proposals: Mapping[Place, ProposedSuggestion]) -> dict[Place, int]:
    """Insert new pending rows; returns their ids."""
    rows = await tx.insert_many(
        "suggestions",
        ("image_id", "tag_id", "score", "confidence", "model_version_id", "inferred", "exploration"),
        [
            (image_id, tag_id, p.score, p.confidence, p.model_version_id, p.inferred, p.exploration)
            for (image_id, tag_id), p in sorted(proposals.items(), key=lambda item: item[0])
        ],
        returning=("image_id", "tag_id", "id"),
    )
    return {(image_id, tag_id): suggestion_id for image_id, tag_id, suggestion_id in rows}


async def _store_evidence(
    tx: Transaction, evidence: Mapping[int, Sequence[Evidence]], undecided: set[int], fresh: set[int]
) -> None:
    """Undecided rows keep exactly what speaks for them now; decided ones also what people saw then.

    `fresh`: suggestions of this transaction, which have none yet.
    """
    old = sorted(evidence.keys() - fresh)
    known = (
        {}
        if not old
        else {
            (row[0], row[1], row[2]): (row[3], row[4])
            for row in await tx.fetch_rows(
                "SELECT suggestion_id, model_version_id, label, mapping_id, score FROM suggestion_evidence"
                " WHERE suggestion_id IN :ids",
                ids=old,
            )
        }
    )
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
