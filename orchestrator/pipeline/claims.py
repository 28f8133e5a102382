"""Claims are kept alive while their images are worked on, so that a short lease can tell the dead."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from orchestrator.errors import StoreUnavailable
from orchestrator.records import ClaimedImage
from orchestrator.store import images
from orchestrator.store.unit_of_work import Store

log = structlog.get_logger(__name__)

RENEWALS_PER_LEASE = 3


async def claim(store: Store, image_ids: Sequence[int], *, lease: float) -> list[ClaimedImage]:
    """Take those of `image_ids` that are due and nobody holds. Raises StoreUnavailable."""
    return await store.write(lambda tx: images.claim(tx, image_ids, lease=lease))


async def let_go(store: Store, claimed: Sequence[ClaimedImage]) -> None:
    """Put images back that nobody has begun with. Where the database is away the claims run out."""
    by_token = _by_token(claimed)
    try:
        for token, ids in by_token.items():
            await store.write(lambda tx, ids=ids, token=token: images.let_go(tx, ids, token))  # type: ignore[misc]
    except StoreUnavailable as error:
        log.warning("claims could not be put back; they run out", images=len(claimed), error=str(error))


@asynccontextmanager
async def held(store: Store, claimed: Sequence[ClaimedImage], *, lease: float) -> AsyncIterator[None]:
    """Renew the claims three times a lease until the block ends."""
    renewal = asyncio.create_task(_renew(store, claimed, lease))
    try:
        yield
    finally:
        renewal.cancel()
        with suppress(asyncio.CancelledError):
            await renewal


async def _renew(store: Store, claimed: Sequence[ClaimedImage], lease: float) -> None:
    by_token = _by_token(claimed)
    while True:
        await asyncio.sleep(lease / RENEWALS_PER_LEASE)
        for token, ids in by_token.items():
            try:
                await store.write(lambda tx, ids=ids, token=token: images.renew(tx, ids, token))  # type: ignore[misc]
            except StoreUnavailable as error:
                # At worst somebody else takes the images over, and our result is not stored.
                log.warning("claims could not be renewed", images=len(ids), error=str(error))


def _by_token(claimed: Sequence[ClaimedImage]) -> dict[str, list[int]]:
    by_token: dict[str, list[int]] = {}
    for image in claimed:
        by_token.setdefault(image.token, []).append(image.id)
    return by_token
