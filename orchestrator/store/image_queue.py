# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Images by what is pending on them, when they came and from whom: the newest first, page by page.

With pending rows asked for, a page looks at so many rows or images and no more, so that it costs the same
however little there is to find: it may be short, and says where it ended.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.records import ImageState, TagType
from orchestrator.store.transaction import Transaction

SCANNED_ROWS = 2_000
SCANNED_IMAGES = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATEST = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images. `pending`: with pending suggestions, explorations aside; `type` and `versions` say of
    which tags and deciding model versions. `since` ≤ uploaded < `until`."""

    pending: bool = False
    state: ImageState | None = None
    uploader_ids: tuple[int, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    type: TagType | None = None
    versions: tuple[int, ...] | None = None

    @property
    def by_date(self) -> bool:
        """Whether the list is in the order of upload times and not of ids, which hardly differ."""
        return self.since is not None or self.until is not None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended. `uploaded`: microseconds since 1970, 0 where the order is of ids."""

    uploaded: int
    id: int


@dataclass(frozen=True, slots=True)
class ImageKeys:
    """Ids in order. `next`: None at the end of the list."""

    ids: tuple[int, ...]
    next: Place | None


async def page(tx: Transaction, where: ImageFilter, *, after: Place | None, limit: int) -> ImageKeys:
    """Return the ids of images behind `after`."""
    if where.versions == () or where.uploader_ids == ():
        return ImageKeys((), None)
    if not where.pending:
        return await _listed(tx, where, after, limit)
    if where.uploader_ids is None and where.state is None and not where.by_date:
        return await _by_rows(tx, where, after, limit)
    return await _by_images(tx, where, after, limit)


async def _listed(tx: Transaction, where: ImageFilter, after: Place | None, limit: int) -> ImageKeys:
    rows = await tx.fetch_rows(
        f"SELECT i.id, i.created_at FROM images i WHERE {_condition(where, after)}"
        f" ORDER BY {_order(where)} LIMIT :limit",
        **_parameters(where, after, limit + 1),
    )
    return _keys(where, rows, limit)


async def _by_images(tx: Transaction, where: ImageFilter, after: Place | None, limit: int) -> ImageKeys:
    """Ask each image for a pending row: for the images of a few people, or of a span of time."""
    condition = _condition(where, after, state=False)
    parameters = _parameters(where, after, limit + 1)
    end = await tx.fetch_rows(
        f"SELECT i.id{', i.created_at' if where.by_date else ''} FROM images i WHERE {condition}"
        f" ORDER BY {_order(where)} LIMIT 1 OFFSET :last",
        **parameters,
        last=SCANNED_IMAGES - 1,
    )
    of_type = "" if where.type is None else "JOIN tags t ON t.id = s.tag_id AND t.type = :type"
    of_version = "" if where.versions is None else "AND s.model_version_id IN :versions"
    if end:
        by_date = "(i.created_at > :last_at OR i.created_at = :last_at AND i.id >= :last_id)"
        condition += f" AND {by_date}" if where.by_date else " AND i.id >= :last_id"
    # Not EXISTS: the optimiser may turn that into a scan of everything pending on the board.
    rows = await tx.fetch_rows(
        f"""
        SELECT i.id, i.created_at FROM images i
        WHERE {condition} AND (:state IS NULL OR i.state = :state)
          AND (SELECT s.id FROM suggestions s {of_type}
               WHERE s.image_id = i.id AND s.status = 'pending' AND s.exploration = FALSE {of_version}
               LIMIT 1) > 0
        ORDER BY {_order(where)} LIMIT :limit
        """,
        **parameters,
        last_id=end[0][0] if end else None,
        last_at=end[0][-1] if end else None,
    )
    found = _keys(where, rows, limit)
    return (
        found
        if found.next is not None or not end
        else ImageKeys(found.ids, _place(where, (end[0][0], end[0][-1])))
    )


async def _by_rows(tx: Transaction, where: ImageFilter, after: Place | None, limit: int) -> ImageKeys:
    """Walk the pending rows in the order of their images: on the whole board, however few there are."""
    condition = "s.status = 'pending' AND s.exploration = FALSE"
    condition += "" if after is None else " AND s.image_id < :after_id"
    table = "FROM suggestions s FORCE INDEX (suggestions_open)"
    parameters = _parameters(where, after, limit + 1)
    end = await tx.fetch_rows(
        f"SELECT s.image_id {table} WHERE {condition} ORDER BY s.image_id DESC LIMIT 1 OFFSET :last",
        **parameters,
        last=SCANNED_ROWS - 1,
    )
    # The last image may have rows beyond, so it is the next page's; but one with more rows than a page may
    # look at is looked at all the same.
    bound = end[0][0] + 1 if end else 0
    bound -= after is not None and bound == after.id
    of_type = "" if where.type is None else "STRAIGHT_JOIN tags t ON t.id = s.tag_id AND t.type = :type"
    condition += "" if where.versions is None else " AND s.model_version_id IN :versions"
    rows = await tx.fetch_rows(
        f"SELECT s.image_id {table} {of_type} WHERE {condition} AND s.image_id >= :bound"
        " GROUP BY s.image_id ORDER BY s.image_id DESC LIMIT :limit",
        **parameters,
        bound=bound,
    )
    ids = tuple(row[0] for row in rows)
    if len(ids) > limit:
        return ImageKeys(ids[:limit], Place(0, ids[limit - 1]))
    return ImageKeys(ids, Place(0, bound) if end else None)


def _keys(where: ImageFilter, rows: list[tuple[int, datetime]], limit: int) -> ImageKeys:
    ids = tuple(row[0] for row in rows[:limit])
    return ImageKeys(ids, _place(where, rows[limit - 1]) if len(rows) > limit else None)


def _place(where: ImageFilter, row: tuple[int, datetime]) -> Place:
    uploaded = (row[1].replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND if where.by_date else 0
    return Place(uploaded, row[0])


def _order(where: ImageFilter) -> str:
    return "i.created_at DESC, i.id DESC" if where.by_date else "i.id DESC"


def _condition(where: ImageFilter, after: Place | None, *, state: bool = True) -> str:
    conditions = ["TRUE"]
    if after is not None:
        by_date = "(i.created_at < :uploaded OR i.created_at = :uploaded AND i.id < :after_id)"
        conditions.append(by_date if where.by_date else "i.id < :after_id")
    conditions += ["i.uploader_id IN :uploader_ids"] if where.uploader_ids is not None else []
    conditions += ["i.created_at >= :since"] if where.since is not None else []
    conditions += ["i.created_at < :until"] if where.until is not None else []
    conditions += ["i.state = :state"] if state and where.state is not None else []
    return " AND ".join(conditions)


def _parameters(where: ImageFilter, after: Place | None, limit: int) -> dict[str, object]:
    uploaded = None if after is None else _EPOCH + min(after.uploaded, _LATEST) * _MICROSECOND
    return {
        "after_id": None if after is None else after.id,
        "uploaded": _stored(uploaded),
        "uploader_ids": where.uploader_ids,
        "since": _stored(where.since),
        "until": _stored(where.until),
        "state": where.state,
        "type": where.type,
        "versions": where.versions,
        "limit": limit,
    }


def _stored(moment: datetime | None) -> datetime | None:
    """Return a moment as DATETIME columns have it: UTC that does not say so."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)
