# ruff: noqa: S608  (statements are put together from this module's own constants; values are bound)
"""Images that other hosts have looked at: what is known of them, and taking them over to store that."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.records import ClaimedImage, ImageSource, ImageState, Priority, RawPrediction, SourceKind
from orchestrator.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an image stands. `seen_by`: ids of the versions that have looked. `queued_at`: the last time."""

    id: int
    source: ImageSource
    state: ImageState
    queued_at: datetime
    seen_by: frozenset[int]


async def now(tx: Transaction) -> datetime:
    """Return the database's clock."""
    ((moment,),) = await tx.fetch_rows("SELECT UTC_TIMESTAMP(6)")
    found: datetime = moment
    return found.replace(tzinfo=UTC)


async def standing(tx: Transaction, image_ids: Collection[int], *, lock: bool) -> dict[int, Standing]:
    """Return images by id, unknown ones left out. `lock`: nobody else changes them meanwhile."""
    if not image_ids:
        return {}
    ids = sorted(set(image_ids))
    rows = await tx.fetch_rows(
        "SELECT id, source_kind, source_location, state, queued_at FROM images"
        f" WHERE id IN :ids ORDER BY id{' FOR UPDATE' if lock else ''}",
        ids=ids,
    )
    seen: dict[int, set[int]] = {}
    for image_id, version_id in await tx.fetch_rows(
        "SELECT image_id, model_version_id FROM analyses WHERE image_id IN :ids", ids=ids
    ):
        seen.setdefault(image_id, set()).add(version_id)
    return {
        image_id: Standing(
            image_id,
            ImageSource(SourceKind(kind), location),
            ImageState(state),
            queued_at.replace(tzinfo=UTC),
            frozenset(seen.get(image_id, ())),
        )
        for image_id, kind, location, state, queued_at in rows
    }


async def take(tx: Transaction, image_ids: Collection[int]) -> dict[int, ClaimedImage]:
    """Claim locked images that no worker holds, as one would that finds them queued; returns them by id."""
    if not image_ids:
        return {}
    ids, token = sorted(image_ids), secrets.token_bytes(16)
    await tx.execute(
        """
        UPDATE images
        SET attempts = IF(state = 'queued', attempts, 0) + 1, state = 'running', claim_token = :token,
            claimed_at = UTC_TIMESTAMP(6)
        WHERE id IN :ids AND state <> 'running' ORDER BY id
        """,
        ids=ids,
        token=token,
    )
    rows = await tx.fetch_rows(
        "SELECT id, source_kind, source_location, attempts, priority FROM images"
        " WHERE id IN :ids AND claim_token = :token",
        ids=ids,
        token=token,
    )
    return {
        row[0]: ClaimedImage(
            row[0], ImageSource(SourceKind(row[1]), row[2]), token.hex(), row[3], Priority(row[4])
        )
        for row in rows
    }


async def stored_raw(
    tx: Transaction, image_ids: Collection[int], but: Collection[int]
) -> dict[int, tuple[RawPrediction, ...]]:
    """Return the stored scores of images by id, those of the versions `but` left out."""
    found: dict[int, list[RawPrediction]] = {one: [] for one in image_ids}
    if image_ids:
        rows = await tx.fetch_rows(
            "SELECT image_id, model_version_id, label, score FROM raw_predictions"
            " WHERE image_id IN :ids AND model_version_id NOT IN :but",
            ids=sorted(image_ids),
            but=sorted(but),
        )
        for image_id, *raw in rows:
            found[image_id].append(RawPrediction(*raw))
    return {image_id: tuple(raw) for image_id, raw in found.items()}
