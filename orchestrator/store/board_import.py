# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Statements over thousands of rows at a time, for board imports: one JSON parameter each, by JSON_TABLE."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.records import Eligibility, ImageSource, SourceKind, TagType
from orchestrator.store.transaction import Transaction

TOGETHER = 10_000
"""Rows a statement: a packet of some hundred kilobytes."""


@dataclass(frozen=True, slots=True)
class KnownImage:
    """An image that there is. `seen`: some version has looked at it. `created_at`: in UTC, naive."""

    id: int
    external_id: int
    source: ImageSource
    uploader_id: int
    eligibility: Eligibility
    sha256: bytes | None
    created_at: datetime
    seen: bool


@dataclass(frozen=True, slots=True)
class ImageValues:
    """What is stored of an image. None: of a new one, now; of one that there is, what it was."""

    source: ImageSource
    uploader_id: int
    eligibility: Eligibility
    sha256: bytes | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownUser:
    """A user that there is. `folded`: the name as names are compared."""

    id: int
    external_id: int | None
    name: str
    role: str
    folded: bytes


def _table(columns: Sequence[tuple[str, str]]) -> str:
    """Return `:rows`, a JSON array of arrays, as a table of these columns and types."""
    listed = ", ".join(f"{name} {kind} PATH '$[{number}]'" for number, (name, kind) in enumerate(columns))
    return f"JSON_TABLE(:rows, '$[*]' COLUMNS ({listed}))"


_TITLE = "VARCHAR(255) CHARACTER SET utf8mb4"
_PAIRS = _table([("image_id", "BIGINT"), ("tag_id", "BIGINT")])


def _packed(rows: object) -> str:
    return json.dumps(rows, separators=(",", ":"))


async def image_ids(tx: Transaction, external_ids: Collection[int]) -> dict[int, int]:
    """Return our ids of images by the board's; unknown ones are left out."""
    if not external_ids:
        return {}
    rows = await tx.fetch_rows(
        f"SELECT i.external_id, i.id FROM {_table([('external_id', 'BIGINT')])} n"
        " STRAIGHT_JOIN images i ON i.external_id = n.external_id",
        rows=_packed([[one] for one in sorted(external_ids)]),
    )
    return {row[0]: row[1] for row in rows}


async def known_images(tx: Transaction, ids: Collection[int]) -> dict[int, KnownImage]:
    """Return images by the board's id of them."""
    if not ids:
        return {}
    rows = await tx.fetch_rows(
        "SELECT i.id, i.external_id, i.source_kind, i.source_location, i.uploader_id, i.eligibility,"
        f" i.sha256, i.created_at, i.has_alpha IS NOT NULL FROM {_table([('id', 'BIGINT')])} n"
        " STRAIGHT_JOIN images i ON i.id = n.id",
        rows=_packed([[one] for one in sorted(ids)]),
    )
    return {
        row[1]: KnownImage(
            row[0],
            row[1],
            ImageSource(SourceKind(row[2]), row[3]),
            row[4],
            Eligibility(row[5]),
            row[6],
            row[7],
            bool(row[8]),
        )
        for row in rows
    }


async def add_images(tx: Transaction, new: Mapping[int, ImageValues]) -> None:
    """Add images, by the board's ids; nobody has asked for their analysis. Raises DuplicateKey."""
    ((now,),) = await tx.fetch_rows("SELECT UTC_TIMESTAMP(6)")
    await tx.insert_many(
        "images",
        (
            *("external_id", "source_kind", "source_location", "uploader_id", "eligibility", "sha256"),
            *("created_at", "state", "priority"),
        ),
        [
            (
                *(external_id, one.source.kind, one.source.location, one.uploader_id, one.eligibility),
                *(one.sha256, one.created_at or now, "imported", "backfill"),
            )
            for external_id, one in sorted(new.items())
        ],
    )


_IMAGE_COLUMNS = (
    ("id", "BIGINT"),
    ("source_kind", "VARCHAR(8)"),
    ("source_location", "VARCHAR(2048) CHARACTER SET utf8mb4"),
    ("uploader_id", "BIGINT"),
    ("eligibility", "VARCHAR(16)"),
    ("sha256", "CHAR(64)"),
    ("created_at", "DATETIME(6)"),
)


async def change_images(tx: Transaction, changed: Mapping[int, ImageValues]) -> None:
    """Store new values of locked images, by our ids."""
    if changed:
        await tx.execute(
            f"UPDATE {_table(_IMAGE_COLUMNS)} n STRAIGHT_JOIN images i ON i.id = n.id"
            " SET i.source_kind = n.source_kind, i.source_location = n.source_location,"
            " i.uploader_id = n.uploader_id, i.eligibility = n.eligibility,"
            " i.sha256 = COALESCE(UNHEX(n.sha256), i.sha256),"
            " i.created_at = COALESCE(n.created_at, i.created_at)",
            rows=_packed(
                [
                    (
                        *(image_id, one.source.kind, one.source.location, one.uploader_id, one.eligibility),
                        None if one.sha256 is None else one.sha256.hex(),
                        None if one.created_at is None else str(one.created_at),
                    )
                    for image_id, one in sorted(changed.items())
                ]
            ),
        )


async def with_pending(tx: Transaction, ids: Collection[int]) -> frozenset[int]:
    """Return those of these images that have pending suggestions."""
    if not ids:
        return frozenset()
    rows = await tx.fetch_rows(
        f"SELECT n.id FROM {_table([('id', 'BIGINT')])} n WHERE EXISTS (SELECT 1 FROM suggestions s"
        " WHERE s.image_id = n.id AND s.status = 'pending')",
        rows=_packed([[one] for one in sorted(ids)]),
    )
    return frozenset(row[0] for row in rows)


async def any_suggestion(tx: Transaction, *, pending: bool) -> bool:
    """Whether there is a suggestion on the board, a pending one or any."""
    status = "WHERE status = 'pending'" if pending else ""
    return bool(await tx.fetch_rows(f"SELECT id FROM suggestions {status} LIMIT 1"))


async def linked_aliases(tx: Transaction) -> dict[int, tuple[int, ...]]:
    """Return aliases that some image is still linked to, by their canonical tag."""
    found: dict[int, tuple[int, ...]] = {}
    for canonical, alias in await tx.fetch_rows(
        "SELECT t.alias_of, t.id FROM tags t WHERE t.alias_of IS NOT NULL"
        " AND EXISTS (SELECT 1 FROM tag_links l WHERE l.tag_id = t.id)"
    ):
        found[canonical] = (*found.get(canonical, ()), alias)
    return found


async def linked(tx: Transaction, pairs: Collection[tuple[int, int]]) -> frozenset[tuple[int, int]]:
    """Return those of these (image id, tag id) that are linked."""
    if not pairs:
        return frozenset()
    rows = await tx.fetch_rows(
        f"SELECT l.image_id, l.tag_id FROM {_PAIRS} n"
        " STRAIGHT_JOIN tag_links l ON l.image_id = n.image_id AND l.tag_id = n.tag_id",
        rows=_packed(sorted(pairs)),
    )
    return frozenset((row[0], row[1]) for row in rows)


_LINK_COLUMNS = (("image_id", "BIGINT"), ("tag_id", "BIGINT"), ("user_id", "BIGINT"))


async def add_links(tx: Transaction, links: Mapping[tuple[int, int], int | None]) -> None:
    """Link (image id, canonical tag id) pairs of locked images that are not linked; values: by whom."""
    if links:
        await tx.execute(
            "INSERT INTO tag_links (image_id, tag_id, origin, user_id)"
            f" SELECT n.image_id, n.tag_id, 'import', n.user_id FROM {_table(_LINK_COLUMNS)} n",
            rows=_packed([(*pair, links[pair]) for pair in sorted(links)]),
        )


async def known_users(tx: Transaction) -> list[KnownUser]:
    """Return every user, in id order."""
    rows = await tx.fetch_rows(
        "SELECT id, external_id, name, role, WEIGHT_STRING(name) FROM users ORDER BY id"
    )
    return [KnownUser(*row) for row in rows]


async def folded(tx: Transaction, names: Sequence[str]) -> list[bytes]:
    """Return names as the database compares them, in the order given."""
    if not names:
        return []
    columns = _table([("place", "INT"), ("name", "VARCHAR(100) CHARACTER SET utf8mb4")])
    rows = await tx.fetch_rows(
        f"SELECT WEIGHT_STRING(n.name COLLATE utf8mb4_unicode_520_ci) FROM {columns} n ORDER BY n.place",
        rows=_packed(list(enumerate(names))),
    )
    return [row[0] for row in rows]


async def add_users(tx: Transaction, new: Sequence[tuple[int, str, str]]) -> None:
    """Add users: external id, name, role. Raises DuplicateKey."""
    await tx.insert_many("users", ("external_id", "name", "role"), sorted(new))


async def change_users(tx: Transaction, changed: Sequence[tuple[int, int, str, str]]) -> None:
    """Store external id, name and role of users, by our ids. Raises DuplicateKey."""
    for user_id, external_id, name, role in sorted(changed):
        await tx.execute(
            "UPDATE users SET external_id = :external_id, name = :name, role = :role WHERE id = :id",
            id=user_id,
            external_id=external_id,
            name=name,
            role=role,
        )


async def add_tags(tx: Transaction, new: Sequence[tuple[int, str, TagType]]) -> dict[int, int]:
    """Add tags: external id, title, type; returns our ids by external id."""
    rows = await tx.insert_many(
        "tags", ("external_id", "title", "type"), new, returning=("external_id", "id")
    )
    return {row[0]: row[1] for row in rows}


async def change_tags(tx: Transaction, changed: Mapping[int, tuple[int, str, TagType]]) -> None:
    """Store external id, title and type of tags, by our ids; titles may change places."""
    rows = sorted(changed.items())
    chunks = [rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER)]
    # A title that another tag of the same file gives up is free only when that one has let go of it.
    for chunk in chunks:
        await tx.execute(
            f"UPDATE {_table([('id', 'BIGINT')])} n STRAIGHT_JOIN tags t ON t.id = n.id"
            " SET t.title = CONCAT(_utf8mb4 x'01', t.id)",
            rows=_packed([[tag_id] for tag_id, _ in chunk]),
        )
    columns = (("id", "BIGINT"), ("external_id", "BIGINT"), ("title", _TITLE), ("type", "VARCHAR(16)"))
    for chunk in chunks:
        await tx.execute(
            f"UPDATE {_table(columns)} n STRAIGHT_JOIN tags t ON t.id = n.id"
            " SET t.external_id = n.external_id, t.title = n.title, t.type = n.type",
            rows=_packed([(tag_id, *values) for tag_id, values in chunk]),
        )


async def set_relation(tx: Transaction, column: str, values: Mapping[int, int | None]) -> None:
    """Store `alias_of` or `parent_id` of tags, by our ids. The caller has checked them."""
    rows = sorted(values.items())
    for start in range(0, len(rows), TOGETHER):
        await tx.execute(
            f"UPDATE {_table([('id', 'BIGINT'), ('other', 'BIGINT')])} n STRAIGHT_JOIN tags t ON t.id = n.id"
            f" SET t.{column} = n.other",
            rows=_packed(rows[start : start + TOGETHER]),
        )


async def set_closure(tx: Transaction, chains: Mapping[int, Sequence[int]]) -> None:
    """Store the proper ancestors of tags, nearest first."""
    tags = sorted(chains)
    for start in range(0, len(tags), TOGETHER):
        await tx.execute(
            "DELETE FROM tag_closure WHERE descendant_id IN :tags", tags=tags[start : start + TOGETHER]
        )
    await tx.insert_many(
        "tag_closure",
        ("descendant_id", "ancestor_id", "depth"),
        [(tag, above, depth) for tag in tags for depth, above in enumerate(chains[tag], 1)],
    )
