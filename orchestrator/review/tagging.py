"""What people tag outside the desk, as the board tells it, and what that says of suggestions.

A pending suggestion of a tag that was just put there is approved by implication: that counts for recall, not
for precision, and the log says `imply`. What the new links make redundant is cleared. A tag that is taken
away leaves the approval standing, with an `unlink` in the log. What the board decided so on suggestions is a
batch of its own and can be undone like a review.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.accounts import require_review
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import MAX_TAGS, SuggestionCounts, SuggestionStatus, Tag, User
from orchestrator.review.judging import event
from orchestrator.review.once import Keyed, once
from orchestrator.store import hierarchy, links, outbox, suggestions, tags, verdicts
from orchestrator.store.counters import Deltas
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.store.verdicts import Act, JudgedRow, LockedImages, LogEntry

BOARD = "board"
TAGS_CHANGED = "image.tags_changed"


class TagChange(StrEnum):
    """How the tags named relate to those that the image has: these exactly, these too, not these."""

    EXACTLY = "exactly"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class TagNames:
    """Tags by our ids and by the board's."""

    ids: tuple[int, ...] = ()
    external_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedAlias:
    """A tag that was named, and the canonical one that it stands for."""

    named: Tag
    canonical: Tag


@dataclass(frozen=True, slots=True)
class TaggingOutcome:
    """What really happened. `tags`: linked now. `approved`, `cleared`: pending suggestions that this decided;
    `unlinked`: approved ones whose tag went. `batch_id`: of those decisions; None when there were none.
    """

    image_id: int
    batch_id: int | None
    tags: tuple[Tag, ...]
    added: tuple[Tag, ...]
    removed: tuple[Tag, ...]
    aliases: tuple[ResolvedAlias, ...]
    approved: tuple[int, ...]
    cleared: tuple[int, ...]
    unlinked: tuple[int, ...]
    counts: SuggestionCounts


async def change_tags(
    store: Store,
    actor: User,
    image_id: int,
    change: TagChange,
    names: TagNames,
    *,
    idempotency_key: str | None = None,
) -> TaggingOutcome:
    """Bring an image's tags in line with what people tagged; aliases stand for their canonical tags.

    Doing so again changes nothing. Raises NotFound (the image), Forbidden (another's image), InvalidInput
    (`too_many_tags`, `unknown_tag`), Conflict (`idempotency_key_reused`).
    """
    if len(names.ids) + len(names.external_ids) > MAX_TAGS:
        raise InvalidInput(f"at most {MAX_TAGS} tags at a time", code="too_many_tags")

    async def work(tx: Transaction) -> TaggingOutcome:
        locked = await verdicts.lock_images(tx, [image_id])
        if image_id not in locked.uploaders:
            raise NotFound(f"no image has the id {image_id}", code="image_not_found")
        require_review(actor, locked.uploaders[image_id])
        parts = ("tags", image_id, change, sorted(set(names.ids)), sorted(set(names.external_ids)))
        deltas = Deltas()
        outcome = await once(
            tx,
            Keyed(actor, idempotency_key, parts),
            TaggingOutcome,
            lambda: apply(tx, actor, locked, image_id, change=change, names=names, deltas=deltas),
        )
        await deltas.apply(tx)
        return outcome

    return await store.write(work)


async def apply(
    tx: Transaction,
    actor: User,
    locked: LockedImages,
    image_id: int,
    *,
    change: TagChange,
    names: TagNames,
    deltas: Deltas,
) -> TaggingOutcome:
    """Change the tags of one of the locked images; what is to be counted is added to `deltas`.

    Raises InvalidInput (`unknown_tag`).
    """
    return await _Tagging(tx, actor, locked, image_id, deltas).run(change, names)


@dataclass(frozen=True, slots=True)
class _Tagging:
    """One change; the image is locked."""

    tx: Transaction
    actor: User
    locked: LockedImages
    image_id: int
    deltas: Deltas

    async def run(self, change: TagChange, names: TagNames) -> TaggingOutcome:
        """Change links, then rows, log, event and counters."""
        named = await self._named(names)
        canonical = await tags.by_ids(self.tx, {tag.alias_of or tag.id for tag in named})
        before = await tags.applied(self.tx, self.image_id)
        there = {tag.alias_of or tag.id for tag in before}
        added = set() if change is TagChange.REMOVE else canonical.keys() - there
        dropped = {
            TagChange.EXACTLY: there - canonical.keys(),
            TagChange.ADD: set(),
            TagChange.REMOVE: there & canonical.keys(),
        }[change]
        removed = [tag for tag in before if (tag.alias_of or tag.id) in dropped]
        await links.link_pairs(
            self.tx,
            {(self.image_id, tag_id) for tag_id in added},
            user_id=self.actor.id,
            origin=links.LinkOrigin.BOARD,
        )
        await links.unlink_pairs(self.tx, {(self.image_id, tag.id) for tag in removed})
        implied, cleared = await self._decide(added)
        gone = await verdicts.approved_among(self.tx, [self.image_id], dropped)
        entries = [*implied, *cleared, *(_unlinking(row) for row in gone.values())]
        batch_id = await self._write(entries)
        if added or removed:
            await self._tell(batch_id, added, removed, entries)
        self._count(added, removed, [*implied, *cleared])
        return TaggingOutcome(
            image_id=self.image_id,
            batch_id=batch_id,
            tags=await tags.applied(self.tx, self.image_id),
            added=tuple(canonical[tag_id] for tag_id in sorted(added)),
            removed=tuple(removed),
            aliases=tuple(
                ResolvedAlias(tag, canonical[tag.alias_of]) for tag in named if tag.alias_of is not None
            ),
            approved=tuple(entry.row.id for entry in implied),
            cleared=tuple(entry.row.id for entry in cleared),
            unlinked=tuple(gone),
            counts=await suggestions.counts(self.tx, self.image_id),
        )

    async def _named(self, names: TagNames) -> list[Tag]:
        """Return the tags that were named, in id order. Raises InvalidInput for unknown ones."""
        by_id = await tags.by_ids(self.tx, set(names.ids))
        by_external = await tags.by_external_ids(self.tx, names.external_ids)
        unknown = [
            *(f"id {one}" for one in sorted(set(names.ids) - by_id.keys())),
            *(f"external id {one}" for one in sorted(set(names.external_ids) - by_external.keys())),
        ]
        if unknown:
            raise InvalidInput(f"no tag has {', '.join(unknown[:10])}", code="unknown_tag")
        found = by_id | {tag.id: tag for tag in by_external.values()}
        return [found[tag_id] for tag_id in sorted(found)]

    async def _decide(self, added: set[int]) -> tuple[list[LogEntry], list[LogEntry]]:
        """Return what the new links decide: the pending rows approved by implication, and those cleared."""
        above = await hierarchy.ancestors_of(self.tx, added)
        pending = await verdicts.pending_among(self.tx, [self.image_id], added.union(*above.values()))
        # One row a tag is approved, its own before an alias's; the others say the same.
        makers: dict[int, JudgedRow] = {}
        for row in sorted(
            pending.values(), key=lambda one: (one.tag != one.canonical, -one.confidence, one.id)
        ):
            if row.canonical.id in added:
                makers.setdefault(row.canonical.id, row)
        implied = [
            LogEntry(
                row=row,
                act=Act.IMPLY,
                to_status=SuggestionStatus.APPROVED,
                linked_tag_id=tag_id,
                link_created=True,
            )
            for tag_id, row in sorted(makers.items())
        ]
        cleared = [
            LogEntry(
                row=row,
                act=Act.CLEAR,
                to_status=SuggestionStatus.CLEARED,
                cause=next(
                    (
                        maker.id
                        for tag_id, maker in sorted(makers.items())
                        if row.canonical.id in above[tag_id] | {tag_id}
                    ),
                    None,
                ),
            )
            for row in pending.values()
            if makers.get(row.canonical.id) is not row
        ]
        return implied, cleared

    async def _write(self, entries: Sequence[LogEntry]) -> int | None:
        """Change the rows and append to the log as one batch; returns its id."""
        if not entries:
            return None
        for status in (SuggestionStatus.APPROVED, SuggestionStatus.CLEARED):
            decided = [one.row.id for one in entries if one.to_status is status and one.act is not Act.UNLINK]
            await verdicts.set_status(self.tx, decided, status, user_id=self.actor.id, at=self.locked.now)
        await verdicts.touch(self.tx, [one.row.id for one in entries if one.act is Act.UNLINK])
        batch_id = await verdicts.open_batch(self.tx, user_id=self.actor.id, kind=BOARD)
        await verdicts.append(self.tx, batch_id, entries, user_id=self.actor.id, at=self.locked.now)
        return batch_id

    async def _tell(
        self, batch_id: int | None, added: set[int], removed: Sequence[Tag], entries: Sequence[LogEntry]
    ) -> None:
        told = event(batch_id, self.actor, self.locked.now, entries)
        told |= {
            "image_id": self.image_id,
            "added": sorted(added),
            "removed": [tag.id for tag in removed],
        }
        await outbox.add(self.tx, TAGS_CHANGED, told)

    def _count(self, added: set[int], removed: Sequence[Tag], decided: Sequence[LogEntry]) -> None:
        for entry in decided:
            self.deltas.pending(entry.row.tag.id, entry.row.confidence, -1)
        for tag_id in added:
            self.deltas.links(tag_id, +1)
        for tag in removed:
            self.deltas.links(tag.id, -1)


def _unlinking(row: JudgedRow) -> LogEntry:
    return LogEntry(
        row=row, act=Act.UNLINK, to_status=SuggestionStatus.APPROVED, linked_tag_id=row.canonical.id
    )
