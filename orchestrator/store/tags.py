# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Tags, their aliases, and what is linked to an image. The hierarchy is in `hierarchy`."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import TITLE_LENGTH, Tag, TagType
from orchestrator.store import rules_version
from orchestrator.store.rows import TAG_COLUMNS, tag
from orchestrator.store.transaction import DuplicateKey, Transaction


@dataclass(frozen=True, slots=True)
class NewTag:
    """One row of `upsert_many`."""

    title: str
    type: TagType
    external_id: int | None = None


@dataclass(frozen=True, slots=True)
class TagUse:
    """A tag, how many links name it and how many pending suggestions; an alias has its own numbers."""

    tag: Tag
    links: int
    pending: int


_USE = f"""
    SELECT {TAG_COLUMNS},
           (SELECT COALESCE(SUM(c.amount), 0) FROM tag_counters c
            WHERE c.tag_id = t.id AND c.measure = 'links') AS links,
           (SELECT COALESCE(SUM(c.amount), 0) FROM tag_counters c
            WHERE c.tag_id = t.id AND c.measure = 'pending') AS pending
    FROM tags t
"""


async def create(tx: Transaction, *, title: str, type: TagType, external_id: int | None = None) -> Tag:  # noqa: A002
    """Add a tag. Raises InvalidInput when the title is empty, too long, or taken within its type."""
    _check_title(title)
    try:
        tag_id = await tx.insert("tags", title=title, type=type, external_id=external_id)
    except DuplicateKey as error:
        raise InvalidInput(
            f"a tag of this title or external id exists: {title}", code="tag_exists"
        ) from error
    await rules_version.bump(tx)
    return Tag(id=tag_id, external_id=external_id, title=title, type=type)


async def upsert_many(tx: Transaction, rows: Sequence[NewTag]) -> list[Tag]:
    """Add tags or rename them: found by external id, else by type and title. Answers in the order of `rows`.

    Raises InvalidInput when a title is taken by a tag of another external id.
    """
    for row in rows:
        _check_title(row.title)
    await rules_version.lock(tx)
    before = await _find(tx, rows)
    fresh = [row for row in rows if _match(before, row) is None]
    changed = bool(fresh)
    try:
        await tx.insert_many(
            "tags",
            ("title", "type", "external_id"),
            list(dict.fromkeys((row.title, row.type, row.external_id) for row in fresh)),
        )
        for row in rows:
            known = _match(before, row)
            if known is None:
                continue
            external_id = known.external_id if row.external_id is None else row.external_id
            if (known.title, known.type, known.external_id) != (row.title, row.type, external_id):
                changed = True
                await tx.execute(
                    "UPDATE tags SET title = :title, type = :type, external_id = :external_id WHERE id = :id",
                    title=row.title,
                    type=row.type,
                    external_id=external_id,
                    id=known.id,
                )
    except DuplicateKey as error:
        raise InvalidInput(
            f"two tags would share a title or an external id: {error}", code="tag_exists"
        ) from error
    if changed:
        await rules_version.bump(tx)
    after = await _find(tx, rows)
    answers = [_match(after, row) for row in rows]
    return [answer for answer in answers if answer is not None]


class _Found:
    """Tags by either of their names."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self.by_external = {t.external_id: t for t in tags if t.external_id is not None}
        self.by_title = {(t.type, t.title): t for t in tags}


def _match(found: _Found, row: NewTag) -> Tag | None:
    """The external id decides; a title counts only where the two do not contradict each other."""
    if row.external_id is not None and row.external_id in found.by_external:
        return found.by_external[row.external_id]
    titled = found.by_title.get((row.type, row.title))
    if titled is None:
        return None
    unnamed = row.external_id is None or titled.external_id is None
    return titled if unnamed else None


async def _find(tx: Transaction, rows: Sequence[NewTag]) -> _Found:
    if not rows:
        return _Found(())
    found = await tx.fetch_all(
        f"SELECT {TAG_COLUMNS} FROM tags t WHERE t.title IN :titles"
        f" UNION SELECT {TAG_COLUMNS} FROM tags t WHERE t.external_id IN :external_ids",
        titles=sorted({row.title for row in rows}),
        external_ids=sorted({row.external_id for row in rows if row.external_id is not None}) or [0],
    )
    return _Found([tag(row) for row in found])


def _check_title(title: str) -> None:
    if not title.strip() or len(title) > TITLE_LENGTH:
        raise InvalidInput(f"a title has 1 to {TITLE_LENGTH} characters", code="bad_title")


async def get(tx: Transaction, tag_id: int) -> Tag:
    """Return one tag. Raises NotFound."""
    row = await tx.fetch_one(f"SELECT {TAG_COLUMNS} FROM tags t WHERE t.id = :id", id=tag_id)
    if row is None:
        raise NotFound(f"no tag has the id {tag_id}", code="tag_not_found")
    return tag(row)


async def find(tx: Transaction, *, title: str, type: TagType | None = None) -> tuple[Tag, ...]:  # noqa: A002
    """Return the tags of exactly this title, of one type or of all; in id order."""
    rows = await tx.fetch_all(
        f"SELECT {TAG_COLUMNS} FROM tags t WHERE t.title = :title AND (:type IS NULL OR t.type = :type)"
        " ORDER BY t.id",
        title=title,
        type=type,
    )
    return tuple(tag(row) for row in rows)


async def by_external_ids(tx: Transaction, external_ids: Sequence[int]) -> dict[int, Tag]:
    """Return the tags that the board knows by these ids; unknown ones are left out."""
    if not external_ids:
        return {}
    rows = await tx.fetch_all(
        f"SELECT {TAG_COLUMNS} FROM tags t WHERE t.external_id IN :external_ids",
        external_ids=sorted(set(external_ids)),
    )
    return {row["tag_external_id"]: tag(row) for row in rows}


async def by_ids(tx: Transaction, tag_ids: Collection[int]) -> dict[int, Tag]:
    """Return tags by id; unknown ones are left out."""
    if not tag_ids:
        return {}
    rows = await tx.fetch_all(f"SELECT {TAG_COLUMNS} FROM tags t WHERE t.id IN :ids", ids=sorted(tag_ids))
    return {row["tag_id"]: tag(row) for row in rows}


async def groups(tx: Transaction, canonical_ids: Collection[int]) -> frozenset[int]:
    """Return these tags and all their aliases."""
    if not canonical_ids:
        return frozenset()
    rows = await tx.fetch_rows("SELECT id FROM tags WHERE alias_of IN :ids", ids=sorted(canonical_ids))
    return frozenset(canonical_ids) | {row[0] for row in rows}


async def search(
    tx: Transaction,
    *,
    part: str | None = None,
    type: TagType | None = None,  # noqa: A002
    after_id: int = 0,
    limit: int = 50,
) -> list[TagUse]:
    """Return a page of tags in id order; `part`: of the title, upper and lower case alike."""
    escaped = None if part is None else re.sub(r"([!%_])", r"!\1", part)
    rows = await tx.fetch_all(
        f"""
        {_USE}
        WHERE t.id > :after_id AND (:type IS NULL OR t.type = :type)
          AND (:pattern IS NULL OR t.title COLLATE utf8mb4_unicode_520_ci LIKE :pattern ESCAPE '!')
        ORDER BY t.id LIMIT :limit
        """,
        after_id=after_id,
        type=type,
        pattern=None if escaped is None else f"%{escaped}%",
        limit=limit,
    )
    return [TagUse(tag(row), int(row["links"]), int(row["pending"])) for row in rows]


async def use(tx: Transaction, tag_id: int) -> TagUse:
    """Return one tag and how much it is used. Raises NotFound."""
    row = await tx.fetch_one(f"{_USE} WHERE t.id = :id", id=tag_id)
    if row is None:
        raise NotFound(f"no tag has the id {tag_id}", code="tag_not_found")
    return TagUse(tag(row), int(row["links"]), int(row["pending"]))


async def load_all(tx: Transaction) -> tuple[Tag, ...]:
    """Return every tag in id order."""
    rows = await tx.fetch_rows(
        "SELECT id, external_id, title, type, alias_of, parent_id FROM tags ORDER BY id"
    )
    return tuple(
        Tag(id=r[0], external_id=r[1], title=r[2], type=TagType(r[3]), alias_of=r[4], parent_id=r[5])
        for r in rows
    )


async def set_alias(tx: Transaction, tag_id: int, canonical_id: int | None) -> None:
    """Make a tag a synonym of another of its type, or (None) a tag of its own again.

    No chains: the aliases that the tag has follow it to the canonical one. Raises InvalidInput for itself,
    for an alias as the target, for another type, for a tag in the hierarchy; NotFound.
    """
    await rules_version.lock(tx)
    subject = await _locked(tx, tag_id)
    if canonical_id is not None:
        canonical = await _locked(tx, canonical_id)
        if canonical.id == subject.id:
            raise InvalidInput("a tag is no alias of itself", code="alias_chain")
        if canonical.alias_of is not None:
            raise InvalidInput(
                f"an alias points to a canonical tag: this one is an alias of {canonical.alias_of}",
                code="alias_chain",
            )
        if canonical.type != subject.type:
            raise InvalidInput("an alias and its canonical tag are of one type", code="alias_type")
        used = "SELECT id FROM tags WHERE parent_id = :id LIMIT 1"
        if subject.parent_id is not None or await tx.fetch_one(used, id=tag_id):
            raise InvalidInput("a tag in the hierarchy cannot become an alias", code="alias_in_hierarchy")
    if subject.alias_of == canonical_id:
        return
    await tx.execute(
        "UPDATE tags SET alias_of = :canonical WHERE id = :id", canonical=canonical_id, id=tag_id
    )
    if canonical_id is not None:
        await tx.execute(
            "UPDATE tags SET alias_of = :canonical WHERE alias_of = :id", canonical=canonical_id, id=tag_id
        )
    await rules_version.bump(tx)


async def rename(tx: Transaction, tag_id: int, title: str) -> None:
    """Give a tag another title. Raises InvalidInput when it is empty, too long, or taken; NotFound."""
    _check_title(title)
    await rules_version.lock(tx)
    if (await _locked(tx, tag_id)).title == title:
        return
    try:
        await tx.execute("UPDATE tags SET title = :title WHERE id = :id", title=title, id=tag_id)
    except DuplicateKey as error:
        raise InvalidInput(f"a tag of this title exists: {title}", code="tag_exists") from error
    await rules_version.bump(tx)


async def _locked(tx: Transaction, tag_id: int) -> Tag:
    row = await tx.fetch_one(f"SELECT {TAG_COLUMNS} FROM tags t WHERE t.id = :id FOR UPDATE", id=tag_id)
    if row is None:
        raise NotFound(f"no tag has the id {tag_id}", code="tag_not_found")
    return tag(row)


async def applied(tx: Transaction, image_id: int) -> tuple[Tag, ...]:
    """Return the tags linked to an image, in id order."""
    rows = await tx.fetch_all(
        f"SELECT {TAG_COLUMNS} FROM tag_links l JOIN tags t ON t.id = l.tag_id"
        " WHERE l.image_id = :image_id ORDER BY t.id",
        image_id=image_id,
    )
    return tuple(tag(row) for row in rows)
