"""The rows of a queue's page, with what a reviewer needs beside each: image, tags, who holds it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.records import Tag, TagType
from orchestrator.store.rows import moment
from orchestrator.store.transaction import Row, Transaction

_TYPES = {str(one): one for one in TagType}


@dataclass(frozen=True, slots=True)
class QueuedImage:
    """What a reviewer needs to know of a row's image. `tags`: those linked to it, by title."""

    id: int
    external_id: int | None
    uploader: str
    width: int | None
    height: int | None
    media_type: str | None
    spoiler: bool
    tags: tuple[Tag, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class QueuedRow:
    """A pending suggestion in its tag's queue. `holder`, `expires_at`: of a lease on it that is running."""

    id: int
    image: QueuedImage
    score: int
    confidence: int
    model_source: str
    model_name: str
    model_version: int
    version: int
    inferred: bool
    exploration: bool
    created_at: datetime
    holder_id: int | None
    holder: str | None
    expires_at: datetime | None


async def rows(tx: Transaction, suggestion_ids: Sequence[int]) -> list[QueuedRow]:
    """Return these rows in the order given, with their images and those images' tags: three statements."""
    if not suggestion_ids:
        return []
    found = await tx.fetch_all(
        """
        SELECT s.id, s.image_id, s.score, s.confidence, s.version, s.inferred, s.exploration, s.created_at,
               v.source, v.name AS model_name, v.version AS model_version,
               i.external_id, i.width, i.height, i.media_type, i.eligibility, w.name AS uploader,
               u.id AS holder_id, u.name AS holder, l.expires_at
        FROM suggestions s
        JOIN images i ON i.id = s.image_id
        JOIN users w ON w.id = i.uploader_id
        JOIN model_versions v ON v.id = s.model_version_id
        LEFT JOIN leased_suggestions r ON r.suggestion_id = s.id
        LEFT JOIN leases l ON l.id = r.lease_id AND l.expires_at > UTC_TIMESTAMP(6)
        LEFT JOIN users u ON u.id = l.user_id
        WHERE s.id IN :ids
        """,
        ids=suggestion_ids,
    )
    tags = await _tags(tx, {row["image_id"] for row in found})
    by_id = {row["id"]: _row(row, tags.get(row["image_id"], ())) for row in found}
    return [by_id[suggestion_id] for suggestion_id in suggestion_ids if suggestion_id in by_id]


async def _tags(tx: Transaction, image_ids: Collection[int]) -> dict[int, tuple[Tag, ...]]:
    """Return the tags of each image by title. Most are on many of them, so each is read once."""
    # A string of ids for each image: hundreds of small rows cost the driver more than the server.
    linked = {
        row[0]: [int(tag_id) for tag_id in row[1].split(",")]
        for row in await tx.fetch_rows(
            "SELECT image_id, GROUP_CONCAT(tag_id) FROM tag_links WHERE image_id IN :ids GROUP BY image_id",
            ids=sorted(image_ids),
        )
    }
    if not linked:
        return {}
    found = await tx.fetch_rows(
        "SELECT id, external_id, title, type, alias_of, parent_id FROM tags WHERE id IN :ids",
        ids=sorted({tag_id for tag_ids in linked.values() for tag_id in tag_ids}),
    )
    tags = {row[0]: Tag(row[0], row[1], row[2], _TYPES[row[3]], row[4], row[5]) for row in found}
    place = {
        tag_id: number for number, tag_id in enumerate(sorted(tags, key=lambda one: (tags[one].title, one)))
    }
    return {
        image_id: tuple(tags[tag_id] for tag_id in sorted(tag_ids, key=place.__getitem__))
        for image_id, tag_ids in linked.items()
    }


def _row(row: Row, tags: tuple[Tag, ...]) -> QueuedRow:
    held = row["expires_at"] is not None
    return QueuedRow(
        id=row["id"],
        image=QueuedImage(
            id=row["image_id"],
            external_id=row["external_id"],
            uploader=row["uploader"],
            width=row["width"],
            height=row["height"],
            media_type=row["media_type"],
            spoiler=row["eligibility"] == "spoiler",
            tags=tags,
        ),
        score=row["score"],
        confidence=row["confidence"],
        model_source=row["source"],
        model_name=row["model_name"],
        model_version=row["model_version"],
        version=row["version"],
        inferred=bool(row["inferred"]),
        exploration=bool(row["exploration"]),
        created_at=moment(row["created_at"]),
        holder_id=row["holder_id"] if held else None,
        holder=row["holder"] if held else None,
        expires_at=moment(row["expires_at"]) if held else None,
    )
