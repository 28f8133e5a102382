"""Making and changing tags, and bringing the rows that depend on them in line.

A change is stored at once; the pending rows of the images concerned follow in small transactions. Most
changes concern few images and are done when the answer comes; what is left is the keeper's.
"""

from dataclasses import dataclass
from enum import Enum

import structlog

from orchestrator.accounts import Action, require
from orchestrator.errors import InvalidInput
from orchestrator.records import TagType, User
from orchestrator.review.once import Keyed, once
from orchestrator.store import alignment, audit, hierarchy, outbox, rules_version, tags
from orchestrator.store.alignment import Aligned, Alignment
from orchestrator.store.tags import TagUse
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

log = structlog.get_logger(__name__)

CHANGED = "tag.changed"
CHUNK = 200
"""Images a transaction: locks are held for some tens of milliseconds."""

AT_ONCE = 2_000
"""Images that are brought in line before a change is answered."""


class Keep(Enum):
    """A field that stays as it is; None would say that it has no value any more."""

    KEEP = "keep"


KEEP = Keep.KEEP


@dataclass(frozen=True, slots=True)
class NewTag:
    """A tag to be made; an alias has no parent."""

    title: str
    type: TagType
    external_id: int | None = None
    alias_of: int | None = None
    parent_id: int | None = None


@dataclass(frozen=True, slots=True)
class TagEdit:
    """What of a tag is to change."""

    title: str | Keep = KEEP
    alias_of: int | Keep | None = KEEP
    parent_id: int | Keep | None = KEEP


@dataclass(frozen=True, slots=True)
class TagEditOutcome:
    """The tag as it is now; what became of rows, and how many images the keeper has still to see to."""

    tag: TagUse
    aligned: Aligned
    left: int


async def create_tag(store: Store, actor: User, new: NewTag, *, idempotency_key: str | None = None) -> TagUse:
    """Make a tag. Raises Forbidden, InvalidInput (as `edit_tag`, and `tag_exists`), NotFound, Conflict."""
    require(actor, Action.EDIT_TAGS)

    async def make(tx: Transaction) -> TagUse:
        made = await tags.create(tx, title=new.title, type=new.type, external_id=new.external_id)
        await _relate(tx, made.id, TagEdit(alias_of=new.alias_of, parent_id=new.parent_id))
        await _tell(tx, actor, made.id, "create_tag")
        return await tags.use(tx, made.id)

    parts = ("create tag", new.title, new.type, new.external_id, new.alias_of, new.parent_id)
    return await store.write(
        lambda tx: once(tx, Keyed(actor, idempotency_key, parts), TagUse, lambda: make(tx))
    )


async def edit_tag(store: Store, actor: User, tag_id: int, edit: TagEdit) -> TagEditOutcome:
    """Change a tag: title, alias, place in the hierarchy. Doing so again changes nothing.

    Raises Forbidden, NotFound (the tag, its parent or its canonical tag), InvalidInput (`bad_title`,
    `tag_exists`, `alias_chain`, `alias_type`, `alias_in_hierarchy`, `parent_type`, `hierarchy_cycle`,
    `hierarchy_depth`).
    """
    require(actor, Action.EDIT_TAGS)

    async def change(tx: Transaction) -> Alignment | None:
        await rules_version.lock(tx)
        before = await tags.get(tx, tag_id)
        if edit.title is not KEEP:
            await tags.rename(tx, tag_id, edit.title)
        await _relate(tx, tag_id, edit)
        after = await tags.get(tx, tag_id)
        if after == before:
            return None
        await _tell(tx, actor, tag_id, "edit_tag")
        if (after.alias_of, after.parent_id) == (before.alias_of, before.parent_id):
            return None
        alias_changed = after.alias_of != before.alias_of
        return await alignment.note(tx, tag_id, alias_changed=alias_changed, user_id=actor.id)

    noted = await store.write(change)
    aligned, left = Aligned(), 0
    if noted is not None:
        aligned, left = await bring_in_line(store, noted, limit=AT_ONCE)
    now = await store.read(lambda tx: tags.use(tx, tag_id))
    return TagEditOutcome(now, aligned, left)


async def bring_in_line(store: Store, change: Alignment, *, limit: int | None = None) -> tuple[Aligned, int]:
    """Let rows follow a change, at most `limit` images; returns what became of them, and how many images are
    left.
    """
    images = await store.read(lambda tx: alignment.concerned(tx, change))
    now = images if limit is None else images[:limit]
    done = Aligned()
    for start in range(0, len(now), CHUNK):
        chunk = now[start : start + CHUNK]
        done += await store.write(lambda tx, ids=chunk: alignment.align(tx, change, ids))  # type: ignore[misc]
    left = len(images) - len(now)
    if not left:
        await store.write(lambda tx: alignment.finish(tx, change.id))
    return done, left


class Aligner:
    """The keeper's part: whatever change was left unfinished."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def finish_changes(self) -> int:
        """Finish every change that is still noted; returns how many there were. Raises StoreUnavailable."""
        changes = await self._store.read(alignment.unfinished)
        for change in changes:
            done, _ = await bring_in_line(self._store, change)
            log.info(
                "change of a tag finished",
                tag_id=change.tag_id,
                moved=done.moved,
                removed=done.removed,
                unlinked=done.unlinked,
            )
        return len(changes)


async def _relate(tx: Transaction, tag_id: int, edit: TagEdit) -> None:
    """Set parent and alias in the order that lets a tag leave the one for the other."""
    if edit.alias_of not in (KEEP, None) and edit.parent_id not in (KEEP, None):
        raise InvalidInput("an alias has no place in the hierarchy", code="alias_in_hierarchy")
    if edit.alias_of is None:
        await tags.set_alias(tx, tag_id, None)
    if not isinstance(edit.parent_id, Keep):
        await hierarchy.set_parents(tx, {tag_id: edit.parent_id})
    if not isinstance(edit.alias_of, Keep) and edit.alias_of is not None:
        await tags.set_alias(tx, tag_id, edit.alias_of)


async def _tell(tx: Transaction, actor: User, tag_id: int, action: str) -> None:
    tag = await tags.get(tx, tag_id)
    told = {
        "title": tag.title,
        "type": tag.type,
        "external_id": tag.external_id,
        "alias_of": tag.alias_of,
        "parent_id": tag.parent_id,
    }
    await audit.add(tx, actor=actor.name, action=action, subject=f"tag {tag_id}", detail=told)
    await outbox.add(tx, CHANGED, {"tag_id": tag_id, "user_id": actor.id, **told})
