# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Images by what is pending on them, when they came and from whom: the newest first, page by page.

With pending rows asked for, a page looks at so many rows or images and no more, so that it costs the same
however little there is to find: it may be short, and says where it ended.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.records import ImageState, TagType
from orchestrator.store.transaction import Transaction

SCANNED_ROWS = 5_000
SCANNED_IMAGES = 2_000
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
    of_type = "" if where.type is None else "JOIN tags t ON t.id = s.tag_id AND t.type = :type"
    of_version = "" if where.versions is None else "AND s.model_version_id IN :versions"
    candidates = f"""
        SELECT i.id, i.created_at, i.state FROM images i WHERE {_condition(where, after, state=False)}
        ORDER BY {_order(where)}
    """
    parameters = _parameters(where, after, limit + 1) | {"scanned": SCANNED_IMAGES}
    # Not EXISTS: the optimiser may turn that into a scan of everything pending on the board.
    rows = await tx.fetch_rows(
        f"""
        SELECT i.id, i.created_at FROM ({candidates} LIMIT :scanned) i
        WHERE (SELECT s.id FROM suggestions s {of_type}
               WHERE s.image_id = i.id AND s.status = 'pending' AND s.exploration = FALSE {of_version}
               LIMIT 1) > 0
          AND (:state IS NULL OR i.state = :state)
        ORDER BY {_order(where)} LIMIT :limit
        """,
        **parameters,
    )
    found = _keys(where, rows, limit)
    if found.next is not None:
        return found
    end = await tx.fetch_rows(f"{candidates} LIMIT 1 OFFSET :last", **parameters, last=SCANNED_IMAGES - 1)
    return ImageKeys(found.ids, _place(where, end[0]) if end else None)


async def _by_rows(tx: Transaction, where: ImageFilter, after: Place | None, limit: int) -> ImageKeys:
    """Walk the pending rows in the order of their images: on the whole board, however few there are."""
    rest = "" if after is None else "AND s.image_id < :after_id"
    scan = f"""
        SELECT s.image_id, s.tag_id, s.model_version_id FROM suggestions s FORCE INDEX (suggestions_open)
        WHERE s.status = 'pending' AND s.exploration = FALSE {rest} ORDER BY s.image_id DESC
    """
    of_type = "" if where.type is None else "JOIN tags t ON t.id = k.tag_id AND t.type = :type"
    of_version = "" if where.versions is None else "WHERE k.model_version_id IN :versions"
    parameters = _parameters(where, after, limit + 1) | {"scanned": SCANNED_ROWS}
    rows = await tx.fetch_rows(
        f"SELECT k.image_id FROM ({scan} LIMIT :scanned) k {of_type} {of_version}"
        " GROUP BY k.image_id ORDER BY k.image_id DESC LIMIT :limit",
        **parameters,
    )
    ids = [row[0] for row in rows]
    if len(ids) > limit:
        return ImageKeys(tuple(ids[:limit]), Place(0, ids[limit - 1]))
    end = await tx.fetch_rows(f"{scan} LIMIT 1 OFFSET :last", **parameters, last=SCANNED_ROWS - 1)
    if not end:
        return ImageKeys(tuple(ids), None)
    last = end[0][0]
    if after is not None and last + 1 == after.id:  # it has more rows than a page may look at
        return ImageKeys(tuple(ids), Place(0, last))
    # The last image may have rows that were not looked at: the next page begins with it.
    return ImageKeys(tuple(one for one in ids if one != last), Place(0, last + 1))


def _keys(where: ImageFilter, rows: list[tuple[int, datetime]], limit: int) -> ImageKeys:
    ids = tuple(row[0] for row in rows[:limit])
    return ImageKeys(ids, _place(where, rows[limit - 1]) if len(rows) > limit else None)


def _place(where: ImageFilter, row: tuple[int, datetime, *tuple[object, ...]]) -> Place:
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
