"""Storing chunks of rows, each in a transaction that its caller has opened.

A chunk may be cut: people wait for what a transaction locks, so one with much to decide stores only its
first rows, and says how many.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.board_import.files import BadBoardFile
from orchestrator.board_import.rows import ImageRow, LinkRow, UserRow
from orchestrator.records import Eligibility, Role, SourceKind, User
from orchestrator.review import eligibility, tagging
from orchestrator.review.tagging import TagChange, TagNames
from orchestrator.store import board_import as stored
from orchestrator.store import rules_version, tags, verdicts
from orchestrator.store.board_import import ImageValues, KnownImage, KnownUser
from orchestrator.store.counters import Deltas
from orchestrator.store.import_runs import Counts
from orchestrator.store.transaction import Transaction
from orchestrator.tagging.plan import TaggingPlan

DECIDED_TOGETHER = 50
"""Images whose suggestions one transaction decides on."""


class Outdated(Exception):
    """Tags have changed since they were read; nothing was stored."""


class ActorNeeded(BadBoardFile):
    """Rows decide on suggestions and do not say who decides."""

    code = "import_actor_needed"

    def __init__(self, where: str = "these rows") -> None:
        super().__init__(
            f"{where}: this decides on suggestions that people are asked about, and does not say who decides:"
            " name a user by --as"
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """How many of a chunk's rows are stored, from its first on, and what became of them."""

    rows: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class BoardTags:
    """Tags as links name them. `canonical`: our id by the board's; `aliases`: those that images are linked
    to, by canonical tag. `stamp`: of the rules when this was read."""

    canonical: Mapping[int, int]
    aliases: Mapping[int, tuple[int, ...]]
    stamp: int


async def read_tags(tx: Transaction) -> BoardTags:
    """Return the tags of now."""
    stamp = await rules_version.current(tx)
    known = await tags.load_all(tx)
    return BoardTags(
        {tag.external_id: tag.alias_of or tag.id for tag in known if tag.external_id is not None},
        await stored.linked_aliases(tx),
        stamp,
    )


async def store_users(tx: Transaction, rows: Sequence[UserRow]) -> Counts:
    """Add users or change them: found by external id, else by a name that has none. Raises DuplicateKey."""
    known = await stored.known_users(tx)
    by_external = {user.external_id: user for user in known if user.external_id is not None}
    unnamed = {user.folded: user for user in known if user.external_id is None}
    folded = await stored.folded(tx, [row.name for row in rows])
    new: list[tuple[int, str, str]] = []
    changed: list[tuple[int, int, str, str]] = []
    for row, name in zip(rows, folded, strict=True):
        user: KnownUser | None = by_external.get(row.external_id) or unnamed.get(name)
        if user is None:
            new.append((row.external_id, row.name, row.role or Role.UPLOADER))
            continue
        wanted = (row.external_id, row.name, str(row.role or user.role))
        if (user.external_id, user.name, user.role) != wanted:
            changed.append((user.id, *wanted))
    await stored.change_users(tx, changed)
    await stored.add_users(tx, new)
    return Counts(new=len(new), changed=len(changed), existing=len(rows) - len(new) - len(changed))


def users_by_external_id(known: Sequence[KnownUser]) -> dict[int, User]:
    """Return users by the board's ids."""
    return {
        user.external_id: User(user.id, user.external_id, user.name, Role(user.role))
        for user in known
        if user.external_id is not None
    }


async def store_images(
    tx: Transaction,
    rows: Sequence[ImageRow],
    users: Mapping[int, User],
    *,
    actor: User | None,
    plan: TaggingPlan | None,
) -> Stored:
    """Add images, or change what the rows say of them. Raises ActorNeeded, DuplicateKey.

    `plan`: the rules of now; needed where an image that was looked at is shown again.
    """
    ids = await stored.image_ids(tx, [row.external_id for row in rows])
    known = await stored.known_images(tx, ids.values())
    differing = [one.id for row in rows if (one := known.get(row.external_id)) and _changed(row, one, users)]
    if differing:
        # Once more, now that nobody else changes them.
        await verdicts.lock_images(tx, differing)
        known |= await stored.known_images(tx, differing)
    new: dict[int, ImageValues] = {}
    changed: dict[int, ImageValues] = {}
    decided: dict[int, Eligibility] = {}
    taken = 0
    for row in rows:
        image = known.get(row.external_id)
        if image is None:
            new[row.external_id] = _values(row, None, users)
        elif _changed(row, image, users):
            values = _values(row, image, users)
            if image.seen and values.eligibility is not image.eligibility:
                if len(decided) == DECIDED_TOGETHER:
                    break
                decided[image.id] = values.eligibility
                values = replace(values, eligibility=image.eligibility)
            changed[image.id] = values
        taken += 1
    await stored.add_images(tx, new)
    await stored.change_images(tx, changed)
    if decided and (actor is None or plan is None):
        raise ActorNeeded
    for image_id, wanted in sorted(decided.items()):
        if actor is not None and plan is not None:
            await eligibility.change(tx, actor, image_id, wanted, plan)
    return Stored(taken, Counts(new=len(new), changed=len(changed), existing=taken - len(new) - len(changed)))


def _values(row: ImageRow, image: KnownImage | None, users: Mapping[int, User]) -> ImageValues:
    source, eligibility_, sha256 = row.source, row.eligibility or Eligibility.ACTIVE, row.sha256
    if image is not None:
        # What was uploaded is here and stays; and what was looked at is known better than a file knows it.
        source = image.source if image.source.kind is SourceKind.BLOB else row.source
        eligibility_ = row.eligibility or image.eligibility
        sha256 = image.sha256 if image.seen else row.sha256 or image.sha256
    return ImageValues(source, users[row.uploader].id, eligibility_, sha256, row.uploaded_at)


def _changed(row: ImageRow, image: KnownImage, users: Mapping[int, User]) -> bool:
    wanted = _values(row, image, users)
    return (wanted.source, wanted.uploader_id, wanted.eligibility, wanted.sha256) != (
        *(image.source, image.uploader_id, image.eligibility, image.sha256),
    ) or wanted.created_at not in (None, image.created_at)


async def store_links(
    tx: Transaction,
    rows: Sequence[LinkRow],
    names: BoardTags,
    users: Mapping[int, User],
    *,
    actor: User | None,
) -> Stored:
    """Link tags to images. Where people are asked about an image, as if the tags were put there by hand: see
    `tagging.change_tags`. Raises Outdated, ActorNeeded, BadBoardFile (an image or a tag is gone).
    """
    ids = await stored.image_ids(tx, {row.image for row in rows})
    locked = await verdicts.lock_images(tx, ids.values())
    if await rules_version.current(tx) != names.stamp:
        raise Outdated
    asked = await stored.with_pending(tx, ids.values())
    rows = _first(rows, ids, asked)
    plain: dict[tuple[int, int], int | None] = {}
    exact: defaultdict[int, dict[int, int | None]] = defaultdict(dict)
    for row in rows:
        image_id, tag_id = ids.get(row.image), names.canonical.get(row.tag)
        if image_id is None or tag_id is None:
            raise BadBoardFile(f"line {row.line}: its image or its tag is gone since the file was checked")
        by = None if row.by is None else users[row.by].id
        if image_id in asked:
            exact[image_id].setdefault(tag_id, row.by)
        else:
            plain.setdefault((image_id, tag_id), by)
    deltas = Deltas()
    fresh = await _unlinked(tx, plain, names)
    await stored.add_links(tx, fresh)
    for tag_id, links in Counter(tag_id for _, tag_id in fresh).items():
        deltas.links(tag_id, links)
    added = len(fresh)
    for image_id, wanted in sorted(exact.items()):
        by_user: defaultdict[int | None, list[int]] = defaultdict(list)
        for tag_id, external_id in wanted.items():
            by_user[external_id].append(tag_id)
        for external_id, tag_ids in by_user.items():
            who = actor if external_id is None else users[external_id]
            if who is None:
                raise ActorNeeded
            outcome = await tagging.apply(
                tx,
                who,
                locked,
                image_id,
                change=TagChange.ADD,
                names=TagNames(ids=tuple(tag_ids)),
                deltas=deltas,
            )
            added += len(outcome.added)
    await deltas.apply(tx)
    return Stored(len(rows), Counts(new=added, existing=len(rows) - added))


def _first(rows: Sequence[LinkRow], ids: Mapping[int, int], asked: frozenset[int]) -> Sequence[LinkRow]:
    """Return the first rows, as many as have DECIDED_TOGETHER images about which people are asked."""
    if len(asked) <= DECIDED_TOGETHER:
        return rows
    seen: set[int] = set()
    for place, row in enumerate(rows):
        image_id = ids.get(row.image)
        if image_id in asked and image_id not in seen:
            if len(seen) == DECIDED_TOGETHER:
                return rows[:place]
            seen.add(image_id)
    return rows


async def _unlinked(
    tx: Transaction, wanted: Mapping[tuple[int, int], int | None], names: BoardTags
) -> dict[tuple[int, int], int | None]:
    """Return those pairs that are not linked, neither themselves nor through an alias."""
    through = {
        (image_id, alias): (image_id, tag_id)
        for image_id, tag_id in wanted
        for alias in names.aliases.get(tag_id, ())
    }
    there = await stored.linked(tx, {*wanted, *through})
    gone = {through.get(pair, pair) for pair in there}
    return {pair: by for pair, by in wanted.items() if pair not in gone}
