"""Taking a batch back, or part of one, in one transaction; `bulk_undo` takes back what is too large for that.

Every row that is still at the version which the verdict left is restored, cascades included; a row that
somebody has acted on since is left and reported. A link goes when the last approval that asked for it goes,
unless people put the tag there by other means. A row whose tag is on the image all the same is not asked
about again: it ends `cleared`, and so does an alias's where its canonical tag has a row. What the board said
by tagging is taken back with its link; that it took a tag away, or that a person asked for another analysis,
are no verdicts and stay.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator import accounts
from orchestrator.accounts import Action
from orchestrator.errors import Conflict, Forbidden
from orchestrator.records import (
    SuggestionStatus,
    UndoneAs,
    UndoOutcome,
    UndoResult,
    User,
)
from orchestrator.review.judging import event
from orchestrator.store import batches, hierarchy, jobs, links, outbox, verdicts
from orchestrator.store.batches import Batch, Line
from orchestrator.store.counters import Deltas
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.store.verdicts import Act, JudgedRow, LockedImages, LogEntry

NO_VERDICTS = frozenset({Act.UNLINK, Act.REOPEN})

OWN_PERIOD = timedelta(hours=24)
"""How long people may take their own verdicts back; moderators always may, and anybody's."""

_ORIGINS = {Act.IMPLY: links.LinkOrigin.BOARD}
"""Who made the link of an act; review, where it does not say."""

UNDO = "undo"
UNDONE = "suggestions.undone"


async def undo(
    store: Store, actor: User, batch_id: int, *, suggestion_ids: Collection[int] | None = None
) -> UndoOutcome:
    """Take a batch back, or only what was decided on `suggestion_ids` and followed from that.

    Doing so again changes nothing. Raises NotFound (`batch_not_found`), Forbidden (`not_your_batch`,
    `undo_too_late`), Conflict (`undo_of_undo`, `job_running`).
    """
    return await store.write(lambda tx: undo_now(tx, actor, batch_id, suggestion_ids))


async def undo_now(
    tx: Transaction, actor: User, batch_id: int, suggestion_ids: Collection[int] | None
) -> UndoOutcome:
    """Take a batch back within a transaction that has locked nothing; see `undo`."""
    batch = await batches.get(tx, batch_id)
    images = await batches.images(tx, batch_id, suggestion_ids)
    locked = await verdicts.lock_images(tx, images)
    await check(tx, actor, batch, locked.now)
    return await _undo(tx, actor, batch, locked, images=images, suggestion_ids=suggestion_ids)


async def undo_images(
    tx: Transaction, actor: User, batch: Batch, image_ids: Collection[int], *, into: int
) -> UndoOutcome:
    """Take back what a batch did to these images, as a part of the batch `into`. Nothing is checked."""
    locked = await verdicts.lock_images(tx, image_ids)
    return await _undo(tx, actor, batch, locked, images=image_ids, into=into)


async def _undo(
    tx: Transaction,
    actor: User,
    batch: Batch,
    locked: LockedImages,
    *,
    images: Collection[int],
    suggestion_ids: Collection[int] | None = None,
    into: int | None = None,
) -> UndoOutcome:
    # After the locks: a concurrent undo of the same batch has marked its lines by now.
    standing = await batches.standing(tx, batch.id, images, suggestion_ids)
    lines = [line for line in standing if line.act not in NO_VERDICTS]
    rows = await verdicts.rows(tx, {line.suggestion_id for line in lines})
    return await _Undoing(tx, actor, batch, locked, lines, rows, into).run()


async def check(tx: Transaction, actor: User, batch: Batch, now: datetime) -> None:
    """Raise Forbidden or Conflict unless the actor may take a batch back now."""
    _allow(actor, batch, now)
    if batch.kind == UNDO:
        raise Conflict("an undo is not undone: decide anew instead", code="undo_of_undo")
    job = await jobs.open_on(tx, batch.id)
    if job is not None:
        raise Conflict(
            f"job {job.id} is still at work on this batch: cancel it, or wait for its end", code="job_running"
        )


def _allow(actor: User, batch: Batch, now: datetime) -> None:
    if accounts.may(actor.role, Action.UNDO_ANY):
        return
    if actor.id != batch.user_id or not accounts.may(actor.role, Action.UNDO_OWN):
        raise Forbidden("these verdicts are another's", code="not_your_batch")
    if now - batch.created_at > OWN_PERIOD:
        raise Forbidden(
            "own verdicts may be undone for 24 hours; a moderator can do it still", code="undo_too_late"
        )


@dataclass(frozen=True, slots=True)
class _Undoing:
    """One undo; the images are locked. `into`: the batch that it adds to; one of its own unless given."""

    tx: Transaction
    actor: User
    batch: Batch
    locked: LockedImages
    lines: Sequence[Line]
    rows: Mapping[int, JudgedRow]
    into: int | None = None

    async def run(self) -> UndoOutcome:
        """Restore what can be restored, in one batch."""
        undone = [line for line in self.lines if self._as_left(line)]
        unlinked = await self._unlink(undone)
        redundant = await self._redundant(undone)
        entries = [
            LogEntry(
                row=self.rows[line.suggestion_id],
                act=Act.UNDO,
                to_status=SuggestionStatus.CLEARED if line in redundant else line.from_status,
                linked_tag_id=line.linked_tag_id,
            )
            for line in undone
        ]
        batch_id = await self._write(undone, entries, unlinked) if undone else None
        status = {entry.row.id: entry.to_status for entry in entries}
        return UndoOutcome(
            batch_id=batch_id,
            undone_batch_id=self.batch.id,
            results=tuple(self._result(line, status, line in redundant, unlinked) for line in self.lines),
        )

    def _as_left(self, line: Line) -> bool:
        row = self.rows.get(line.suggestion_id)
        return row is not None and (row.version, row.status) == (line.to_version, line.to_status)

    async def _unlink(self, undone: Sequence[Line]) -> frozenset[tuple[int, int]]:
        """Remove the links that no approval asks for any more; returns (image id, tag id) of each."""
        gone = {line.suggestion_id for line in undone}
        makers = {
            (line.image_id, line.linked_tag_id): _ORIGINS.get(line.act, links.LinkOrigin.REVIEW)
            for line in undone
            if line.linked_tag_id is not None
        }
        wanted = makers.keys()
        standing = await verdicts.approved_among(
            self.tx, {image for image, _ in wanted}, {tag for _, tag in wanted}
        )
        kept = {(row.image_id, row.canonical.id) for row in standing.values() if row.id not in gone}
        return frozenset().union(
            *[
                await links.unlink_pairs(
                    self.tx, {pair for pair in wanted - kept if makers[pair] is origin}, origin=origin
                )
                for origin in sorted(set(makers.values()))
            ]
        )

    async def _redundant(self, undone: Sequence[Line]) -> list[Line]:
        """Return the lines whose rows would be pending although nobody should be asked."""
        back = [line for line in undone if line.from_status is SuggestionStatus.PENDING]
        applied = await links.applied_to(self.tx, {line.image_id for line in back})
        above = await hierarchy.ancestors_of(self.tx, frozenset().union(*applied.values()))
        covered = {image: tags.union(*(above[tag] for tag in tags)) for image, tags in applied.items()}
        doubled = await self._doubled(back)
        return [
            line
            for line in back
            if line.image_id in self.locked.hidden
            or line.suggestion_id in doubled
            or self.rows[line.suggestion_id].canonical.id in covered[line.image_id]
        ]

    async def _doubled(self, back: Sequence[Line]) -> set[int]:
        """Return the suggestions of what is an alias by now, where another row asks about its canonical tag
        or has answered."""
        rows = [self.rows[line.suggestion_id] for line in back]
        aliased = [row for row in rows if row.tag.alias_of is not None]
        if not aliased:
            return set()
        taken = await verdicts.pairs_with_rows(self.tx, {(row.image_id, row.canonical.id) for row in aliased})
        doubled = set()
        for row in sorted(aliased, key=lambda one: one.id):
            pair = (row.image_id, row.canonical.id)
            if pair in taken:
                doubled.add(row.id)
            taken |= {pair}
        return doubled

    async def _write(
        self, undone: Sequence[Line], entries: Sequence[LogEntry], unlinked: Collection[tuple[int, int]]
    ) -> int:
        by_status: dict[SuggestionStatus, list[int]] = {}
        for entry in entries:
            by_status.setdefault(entry.to_status, []).append(entry.row.id)
        for status, ids in sorted(by_status.items()):
            undecided = status is SuggestionStatus.PENDING
            await verdicts.set_status(
                self.tx,
                ids,
                status,
                user_id=None if undecided else self.actor.id,
                at=None if undecided else self.locked.now,
            )
        batch_id = self.into
        if batch_id is None:
            batch_id = await verdicts.open_batch(
                self.tx, user_id=self.actor.id, kind=UNDO, undoes=self.batch.id
            )
        await verdicts.append(self.tx, batch_id, entries, user_id=self.actor.id, at=self.locked.now)
        await batches.mark_undone(self.tx, self.batch.id, [line.id for line in undone], by=batch_id)
        told = event(batch_id, self.actor, self.locked.now, entries)
        told |= {"undoes": self.batch.id, "unlinked": sorted(unlinked)}
        await outbox.add(self.tx, UNDONE, told)
        deltas = Deltas()
        for entry in entries:
            if entry.to_status is SuggestionStatus.PENDING:
                deltas.pending(entry.row.tag.id, entry.row.confidence, +1)
        for _, tag_id in unlinked:
            deltas.links(tag_id, -1)
        await deltas.apply(self.tx)
        return batch_id

    def _result(
        self,
        line: Line,
        status: Mapping[int, SuggestionStatus],
        redundant: bool,
        unlinked: Collection[tuple[int, int]],
    ) -> UndoResult:
        row = self.rows.get(line.suggestion_id)
        if line.suggestion_id not in status:
            return UndoResult(
                suggestion_id=line.suggestion_id,
                outcome=UndoneAs.SUPERSEDED,
                status=None if row is None else row.status,
                version=None if row is None else row.version,
                unlinked=False,
                decided_by=None if row is None else row.decided_by,
                decided_at=None if row is None else row.decided_at,
            )
        now = status[line.suggestion_id]
        decided = now is not SuggestionStatus.PENDING
        return UndoResult(
            suggestion_id=line.suggestion_id,
            outcome=UndoneAs.REDUNDANT if redundant else UndoneAs.RESTORED,
            status=now,
            version=self.rows[line.suggestion_id].version + 1,
            unlinked=(line.image_id, line.linked_tag_id) in unlinked,
            decided_by=self.actor.name if decided else None,
            decided_at=self.locked.now if decided else None,
        )
