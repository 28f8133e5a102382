"""Images: registration, and where each one stands in the pipeline.

queued ─claim─► running ─┬─ suggestions.persist ─► done ─requeue─► queued
                         ├─ finish_failed ───────► failed ─requeue─► queued
                         ├─ release_for_retry ───► queued (not before a moment)
                         └─ let_go ──────────────► queued
imported ─requeue─► queued

A claim is a token: whoever finishes must still hold it, so a worker that was thought dead changes nothing.
All moments are the database's own clock.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import (
    ClaimedImage,
    Eligibility,
    Image,
    ImageFailure,
    ImageSource,
    ImageState,
    Priority,
    RegisteredImage,
    SourceKind,
)
from orchestrator.store.backlog import counts_by_state, due_for_sweep, mark_enqueued, oldest_queued_age
from orchestrator.store.rows import moment, moment_or_none
from orchestrator.store.transaction import DuplicateKey, MissingParent, Row, Transaction

__all__ = [
    "NewImage",
    "by_external_ids",
    "claim",
    "counts_by_state",
    "due_for_sweep",
    "finish_failed",
    "get",
    "get_many",
    "let_go",
    "list_images",
    "mark_enqueued",
    "oldest_queued_age",
    "register",
    "register_many",
    "release_for_retry",
    "renew",
    "requeue",
    "requeue_many",
]

FAILURE_DETAIL_LENGTH = 1000
LOCATION_LENGTH = 2048

_IMAGE = """
    SELECT i.id, i.external_id, i.source_kind, i.source_location, i.uploader_id, u.name AS uploader_name,
           i.eligibility, i.state, i.attempts, i.failure_code, i.failure_detail, i.sha256, i.width, i.height,
           i.has_alpha, i.media_type, i.created_at, i.analysed_at
    FROM images i JOIN users u ON u.id = i.uploader_id
"""


@dataclass(frozen=True, slots=True)
class NewImage:
    """One row of `register_many`."""

    source: ImageSource
    uploader_id: int
    external_id: int | None
    priority: Priority


async def register(
    tx: Transaction,
    *,
    source: ImageSource,
    uploader_id: int,
    external_id: int | None,
    priority: Priority,
) -> RegisteredImage:
    """Add an image to be analysed, or return the one that the external id already names.

    Raises InvalidInput when the location is too long or the uploader does not exist.
    """
    if len(source.location) > LOCATION_LENGTH:
        raise InvalidInput(
            f"an image's location may have {LOCATION_LENGTH} characters", code="location_too_long"
        )
    known = await _by_external_id(tx, external_id)
    if known is not None:
        return await _wanted(tx, known, priority)
    try:
        image_id = await tx.insert(
            "images",
            source_kind=source.kind,
            source_location=source.location,
            uploader_id=uploader_id,
            external_id=external_id,
            priority=priority,
        )
    except DuplicateKey:
        # Another registration of the same external id committed between the look and the insert.
        known = await _by_external_id(tx, external_id)
        if known is None:
            raise
        return known
    except MissingParent as error:
        raise InvalidInput(f"no user has the id {uploader_id}", code="unknown_user") from error
    return RegisteredImage(id=image_id, state=ImageState.QUEUED, created=True)


async def _wanted(tx: Transaction, known: RegisteredImage, priority: Priority) -> RegisteredImage:
    """Let a registration stand for the wish to have an image analysed that was only imported."""
    if known.state is not ImageState.IMPORTED:
        return known
    await requeue(tx, known.id, explicit=False, priority=priority)
    return RegisteredImage(known.id, ImageState.QUEUED, created=False)


async def register_many(tx: Transaction, rows: Sequence[NewImage]) -> list[RegisteredImage]:
    """Add many images, each idempotent by its external id; answers come in the order of `rows`.

    Raises InvalidInput when an uploader does not exist.
    """
    wanted = sorted({row.external_id for row in rows if row.external_id is not None})
    known = await by_external_ids(tx, wanted)
    fresh = [row for row in rows if row.external_id is None or row.external_id not in known]
    try:
        # A duplicate keeps the existing row as it is: the id is set to itself only to name it.
        ids = await tx.insert_many(
            "images",
            ("source_kind", "source_location", "uploader_id", "external_id", "priority"),
            [(r.source.kind, r.source.location, r.uploader_id, r.external_id, r.priority) for r in fresh],
            on_duplicate="id = id",
            returning=("id",),
        )
    except MissingParent as error:
        raise InvalidInput("no such uploader", code="unknown_user") from error
    created = dict(zip((id(row) for row in fresh), (row[0] for row in ids), strict=True))
    answers: list[RegisteredImage] = []
    seen: set[int] = set()
    for row in rows:
        existing = None if row.external_id is None else known.get(row.external_id)
        if existing is not None:
            answers.append(existing)
            continue
        image_id = int(created[id(row)])
        answers.append(RegisteredImage(image_id, ImageState.QUEUED, created=image_id not in seen))
        seen.add(image_id)
    return answers


async def _by_external_id(tx: Transaction, external_id: int | None) -> RegisteredImage | None:
    if external_id is None:
        return None
    return (await by_external_ids(tx, [external_id])).get(external_id)


async def by_external_ids(tx: Transaction, external_ids: Sequence[int]) -> dict[int, RegisteredImage]:
    """Return the images that these external ids name; ids that name none are left out."""
    if not external_ids:
        return {}
    rows = await tx.fetch_all(
        "SELECT id, external_id, state FROM images WHERE external_id IN :external_ids",
        external_ids=external_ids,
    )
    return {
        row["external_id"]: RegisteredImage(row["id"], ImageState(row["state"]), created=False)
        for row in rows
    }


async def claim(tx: Transaction, image_ids: Sequence[int], *, lease: float) -> list[ClaimedImage]:
    """Take the images that are queued and due, or running under a claim older than `lease` seconds.

    Each is taken by one caller only; the others are left out of the answer. Rows are locked in id order.
    """
    if not image_ids:
        return []
    token = secrets.token_bytes(16)
    taken = await tx.execute(
        """
        UPDATE images
        SET state = 'running', claim_token = :token, claimed_at = UTC_TIMESTAMP(6), attempts = attempts + 1
        WHERE id IN :ids
          AND (state = 'queued' AND COALESCE(not_before <= UTC_TIMESTAMP(6), TRUE)
               OR state = 'running' AND claimed_at < UTC_TIMESTAMP(6) - INTERVAL :lease_us MICROSECOND)
        ORDER BY id
        """,
        token=token,
        ids=sorted(set(image_ids)),
        lease_us=round(lease * 1e6),
    )
    if not taken:
        return []
    rows = await tx.fetch_all(
        "SELECT id, source_kind, source_location, attempts, priority FROM images"
        " WHERE id IN :ids AND claim_token = :token ORDER BY id",
        ids=sorted(set(image_ids)),
        token=token,
    )
    return [
        ClaimedImage(
            id=row["id"],
            source=ImageSource(SourceKind(row["source_kind"]), row["source_location"]),
            token=token.hex(),
            attempts=row["attempts"],
            priority=Priority(row["priority"]),
        )
        for row in rows
    ]


async def renew(tx: Transaction, image_ids: Sequence[int], token: str) -> int:
    """Start the lease of a claim anew; returns how many of the images the token still holds."""
    if not image_ids:
        return 0
    return await tx.execute(
        "UPDATE images SET claimed_at = UTC_TIMESTAMP(6)"
        " WHERE id IN :ids AND claim_token = :token ORDER BY id",
        ids=sorted(set(image_ids)),
        token=bytes.fromhex(token),
    )


async def let_go(tx: Transaction, image_ids: Sequence[int], token: str) -> int:
    """Queue claimed images again as if nobody had taken them; returns how many the token still held."""
    if not image_ids:
        return 0
    return await tx.execute(
        "UPDATE images SET state = 'queued', claim_token = NULL, claimed_at = NULL,"
        " attempts = GREATEST(attempts, 1) - 1"
        " WHERE id IN :ids AND state = 'running' AND claim_token = :token ORDER BY id",
        ids=sorted(set(image_ids)),
        token=bytes.fromhex(token),
    )


async def finish_failed(tx: Transaction, image_id: int, token: str, failure: ImageFailure) -> bool:
    """End a claimed image as failed. False when the claim was lost; nothing changes then."""
    changed = await tx.execute(
        """
        UPDATE images
        SET state = 'failed', claim_token = NULL, claimed_at = NULL, not_before = NULL,
            failure_code = :code, failure_detail = :detail
        WHERE id = :id AND state = 'running' AND claim_token = :token
        """,
        id=image_id,
        token=bytes.fromhex(token),
        code=failure.code,
        detail=failure.detail[:FAILURE_DETAIL_LENGTH],
    )
    return changed == 1


async def release_for_retry(
    tx: Transaction, image_id: int, token: str, failure: ImageFailure, *, delay: float, counted: bool = True
) -> bool:
    """Give a claimed image back, to be tried no sooner than `delay` seconds from now.

    The last failure stays on the row for people to see. `counted`: false takes the claim's attempt back, for
    a failure that is no fault of the image. False when the claim was lost.
    """
    changed = await tx.execute(
        """
        UPDATE images
        SET state = 'queued', claim_token = NULL, claimed_at = NULL, enqueued_at = NULL,
            not_before = UTC_TIMESTAMP(6) + INTERVAL :delay_us MICROSECOND,
            failure_code = :code, failure_detail = :detail,
            attempts = IF(:counted, attempts, GREATEST(attempts, 1) - 1)
        WHERE id = :id AND state = 'running' AND claim_token = :token
        """,
        id=image_id,
        token=bytes.fromhex(token),
        delay_us=round(delay * 1e6),
        code=failure.code,
        detail=failure.detail[:FAILURE_DETAIL_LENGTH],
        counted=counted,
    )
    return changed == 1


async def requeue(
    tx: Transaction, image_id: int, *, explicit: bool, priority: Priority, asked_by: int | None = None
) -> bool:
    """Queue an image for another analysis. `explicit`: a person asked (`asked_by`), so attempts start anew.

    True when the caller should enqueue it; False while it is running (an explicit wish is then honoured by
    the run that is under way). Raises NotFound.
    """
    row = await tx.fetch_one("SELECT state FROM images WHERE id = :id FOR UPDATE", id=image_id)
    if row is None:
        raise NotFound(f"no image has the id {image_id}", code="image_not_found")
    if row["state"] == ImageState.RUNNING:
        if explicit:
            await tx.execute(
                "UPDATE images SET explicit_analysis = TRUE, explicit_by = :asked_by WHERE id = :id",
                id=image_id,
                asked_by=asked_by,
            )
        return False
    await tx.execute(
        """
        UPDATE images
        SET queued_at = IF(state = 'queued', queued_at, UTC_TIMESTAMP(6)), state = 'queued', attempts = 0,
            not_before = NULL, enqueued_at = NULL, failure_code = NULL, failure_detail = NULL,
            priority = :priority, explicit_analysis = explicit_analysis OR :explicit,
            explicit_by = IF(:explicit, :asked_by, explicit_by)
        WHERE id = :id
        """,
        asked_by=asked_by,
        id=image_id,
        priority=priority,
        explicit=explicit,
    )
    return True


async def requeue_many(tx: Transaction, image_ids: Sequence[int], priority: Priority) -> list[int]:
    """Queue images that have ended or were only imported; returns those that need a message, in the order of
    `image_ids`.

    An image that is queued stays as it is, whoever waits for it; it needs a message if it had none. One that
    is running is left alone. Rows are locked in id order.
    """
    if not image_ids:
        return []
    rows = await tx.fetch_rows(
        "SELECT id, state, enqueued_at FROM images WHERE id IN :ids ORDER BY id FOR UPDATE",
        ids=sorted(image_ids),
    )
    ended = [row[0] for row in rows if row[1] not in (ImageState.QUEUED, ImageState.RUNNING)]
    if ended:
        await tx.execute(
            """
            UPDATE images
            SET state = 'queued', queued_at = UTC_TIMESTAMP(6), attempts = 0, not_before = NULL,
                enqueued_at = NULL, failure_code = NULL, failure_detail = NULL, priority = :priority
            WHERE id IN :ids ORDER BY id
            """,
            ids=ended,
            priority=priority,
        )
    needing = {*ended, *(row[0] for row in rows if row[1] == ImageState.QUEUED and row[2] is None)}
    return [one for one in image_ids if one in needing]


async def get(tx: Transaction, image_id: int) -> Image:
    """Return one image. Raises NotFound."""
    row = await tx.fetch_one(_IMAGE + "WHERE i.id = :id", id=image_id)
    if row is None:
        raise NotFound(f"no image has the id {image_id}", code="image_not_found")
    return _image(row)


async def get_many(tx: Transaction, image_ids: Sequence[int]) -> list[Image]:
    """Return images in the order of `image_ids`; unknown ones are left out."""
    if not image_ids:
        return []
    rows = await tx.fetch_all(_IMAGE + "WHERE i.id IN :ids", ids=image_ids)
    by_id = {row["id"]: _image(row) for row in rows}
    return [by_id[image_id] for image_id in image_ids if image_id in by_id]


async def list_images(
    tx: Transaction,
    *,
    pending_only: bool = False,
    state: ImageState | None = None,
    uploader_id: int | None = None,
    after_id: int | None = None,
    limit: int = 50,
) -> list[Image]:
    """Return images newest first; `after_id` is the last id of the page before."""
    conditions = ["TRUE"]
    if pending_only:
        # Not EXISTS: the optimiser may turn that into a scan of everything pending on the board.
        conditions.append(
            "(SELECT s.id FROM suggestions s WHERE s.image_id = i.id AND s.status = 'pending'"
            " AND s.exploration = FALSE LIMIT 1) > 0"
        )
    if state is not None:
        conditions.append("i.state = :state")
    if uploader_id is not None:
        conditions.append("i.uploader_id = :uploader_id")
    if after_id is not None:
        conditions.append("i.id < :after_id")
    rows = await tx.fetch_all(
        f"{_IMAGE} WHERE {' AND '.join(conditions)} ORDER BY i.id DESC LIMIT :limit",
        state=state,
        uploader_id=uploader_id,
        after_id=after_id,
        limit=limit,
    )
    return [_image(row) for row in rows]


def _image(row: Row) -> Image:
    code = row["failure_code"]
    return Image(
        id=row["id"],
        external_id=row["external_id"],
        source=ImageSource(SourceKind(row["source_kind"]), row["source_location"]),
        uploader_id=row["uploader_id"],
        uploader_name=row["uploader_name"],
        eligibility=Eligibility(row["eligibility"]),
        state=ImageState(row["state"]),
        attempts=row["attempts"],
        failure=None if code is None else ImageFailure(code, row["failure_detail"] or ""),
        sha256=None if row["sha256"] is None else row["sha256"].hex(),
        width=row["width"],
        height=row["height"],
        has_alpha=None if row["has_alpha"] is None else bool(row["has_alpha"]),
        media_type=row["media_type"],
        created_at=moment(row["created_at"]),
        analysed_at=moment_or_none(row["analysed_at"]),
    )
