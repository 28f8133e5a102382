"""`tagdesk backfill export`: which images, and with which versions, as a work list for another host."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from orchestrator.backfill import runs
from orchestrator.errors import InvalidInput
from orchestrator.offline.worklist import WantedVersion, WorkHeader, WorkImage, WorkWriter
from orchestrator.records import Image, as_score
from orchestrator.settings import Settings
from orchestrator.store import backfills, images, models, offline
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

TOGETHER = 2_000
"""Images that are read together."""


async def export(
    store: Store,
    settings: Settings,
    out: Path,
    *,
    conditions: Sequence[str] = (),
    ids: Iterable[int] | None = None,
    tell: Callable[[int], object],
) -> tuple[int, list[int]]:
    """Write the list of what conditions find, or of `ids`; returns how many images, and ids that name none.

    All active versions shall look, as workers would have it. `tell` is told how many more there are. Raises
    InvalidInput as a backfill's start does, or (`no_active_model`); OSError.
    """
    header = await store.read(lambda tx: _header(tx, settings))
    unknown: list[int] = []
    written = 0
    found = _filtered(store, conditions) if ids is None else _listed(store, ids, unknown)
    with WorkWriter(out, header) as work:
        async for some in found:
            for image in some:
                work.add(
                    WorkImage(
                        id=image.id,
                        kind=image.source.kind,
                        location=image.source.location,
                        sha256=image.sha256,
                    )
                )
            written += len(some)
            tell(len(some))
        if not written:
            raise InvalidInput("no image is to be looked at", code="bad_list")
    return written, unknown


async def _header(tx: Transaction, settings: Settings) -> WorkHeader:
    active = await models.active(tx, settings)
    if not active:
        raise InvalidInput("no model version is active", code="no_active_model")
    hashes = {row.id: row.sha256 for row in await models.list_versions(tx)}
    return WorkHeader(
        exported_at=await offline.now(tx),
        floor=as_score(settings.raw_score_floor),
        versions=[
            WantedVersion(
                name=model.name,
                version=model.version,
                sha256=hashes[model.id],
                labels=len(model.labels),
                size=model.geometry.size,
                pad_colour=list(model.geometry.pad_colour),
                filter=model.geometry.filter,
            )
            for model in active
        ],
    )


async def _filtered(store: Store, conditions: Sequence[str]) -> AsyncIterator[list[Image]]:
    where = await store.read(lambda tx: runs.check(tx, conditions))
    upto = await store.read(backfills.last_image)
    after = 0

    async def some(tx: Transaction) -> list[Image]:
        found = await backfills.find_ids(tx, where, after=after, upto=upto, limit=TOGETHER)
        return await images.get_many(tx, found)

    while found := await store.read(some):
        after = found[-1].id
        yield found


async def _listed(store: Store, ids: Iterable[int], unknown: list[int]) -> AsyncIterator[list[Image]]:
    rest = iter(dict.fromkeys(ids))
    while wanted := list(islice(rest, TOGETHER)):
        found = await store.read(lambda tx, wanted=wanted: images.get_many(tx, wanted))  # type: ignore[misc]
        known = {image.id for image in found}
        unknown += [one for one in wanted if one not in known]
        yield found
