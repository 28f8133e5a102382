"""Comparing two versions of a model on the images that both have looked at: chunk by chunk, newest first."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass

from orchestrator.comparison.drift import ScoreDrift
from orchestrator.comparison.report import Comparison
from orchestrator.comparison.tally import Tally
from orchestrator.comparison.views import Side, view
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import RuleInputs, ServedModel
from orchestrator.remap.plan import LEFT_SCORES
from orchestrator.settings import Settings
from orchestrator.store import comparison, models, rules
from orchestrator.store.comparison import JudgedImage
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

TOGETHER = 1_000
"""Images that are read together."""
SHOWN = 48
"""Most changed images that are kept."""
Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a comparison rests on."""

    inputs: RuleInputs
    m: ServedModel
    n: ServedModel


async def compare(
    store: Store,
    settings: Settings,
    name: str,
    m: int,
    n: int,
    *,
    images: int | None = None,
    shown: int = SHOWN,
    progress: Progress = lambda done, all_: None,
) -> Comparison:
    """Compare versions `m` and `n` of a model by their stored scores, under the rules of now.

    `images`: only so many, the newest. `shown`: most changed images to tell of. `progress` hears (done, at
    most so many). Nothing is locked or stored, and no model looks. 100,000 images take some minutes, and the
    memory of a chunk of 1,000. Raises NotFound (`version_not_found`), InvalidInput (`bad_sample` for
    less than one image), StoreUnavailable.
    """
    if images is not None and images < 1:
        raise InvalidInput("a sample has at least one image", code="bad_sample")
    ground = await store.read(lambda tx: _ground(tx, settings, name, m, n))
    sides = await asyncio.to_thread(
        lambda: (Side.build(ground.inputs, ground.m), Side.build(ground.inputs, ground.n))
    )
    tally, drift = Tally(sides[0].alone.board, shown=shown), ScoreDrift(ground.m, ground.n)
    reach = sides[0].reach() | sides[1].reach()

    def look(chunk: list[JudgedImage]) -> None:
        for image in chunk:
            tally.add(view(image, *sides, reach))
        drift.add([image.raw for image in chunk])

    expected = await store.read(lambda tx: _expected(tx, ground, images))
    versions = sides[0].among.versions.keys() | sides[1].among.versions.keys()
    async for chunk in _chunks(store, ground, images, versions):
        await asyncio.to_thread(look, chunk)
        progress(tally.images, max(expected, tally.images))

    def report() -> Comparison:
        return Comparison(
            name=name,
            m=m,
            n=n,
            images=tally.images,
            same=tally.same,
            agreement=tally.agreement(),
            queue=tally.queue(),
            paired=tally.paired(),
            types=tally.types(),
            tags=tally.tags(),
            categories=drift.categories(),
            labels=drift.labels(sides[0].alone),
            curves=tally.curves(),
            changed=tally.changed(),
        )

    return await asyncio.to_thread(report)


async def _ground(tx: Transaction, settings: Settings, name: str, m: int, n: int) -> _Ground:
    inputs = await rules.plan_inputs(tx, settings, LEFT_SCORES)
    of_m, of_n = [await _model(tx, settings, name, number) for number in (m, n)]
    return _Ground(inputs, of_m, of_n)


async def _model(tx: Transaction, settings: Settings, name: str, number: int) -> ServedModel:
    row = await models.find(tx, name, number)
    if row is None:
        raise NotFound(f"no version {number} of {name} is registered", code="version_not_found")
    return await models.get(tx, settings, row.id)


async def _expected(tx: Transaction, ground: _Ground, images: int | None) -> int:
    both = await comparison.count_seen_by_both(tx, ground.m.id, ground.n.id)
    return both if images is None else min(images, both)


async def _chunks(
    store: Store, ground: _Ground, images: int | None, versions: Collection[int]
) -> AsyncIterator[list[JudgedImage]]:
    """Read the images, the newest first, so many at a time."""
    left = math.inf if images is None else images
    ids: list[int] = []
    while left > 0:
        before, limit = (ids[-1] if ids else None), int(min(TOGETHER, left))

        async def work(
            tx: Transaction, before: int | None = before, limit: int = limit
        ) -> tuple[list[int], list[JudgedImage]]:
            ids = await comparison.ids_seen_by_both(tx, ground.n.id, ground.m.id, before=before, limit=limit)
            return ids, await comparison.read(tx, ids, versions)

        ids, chunk = await store.read(work)
        if not ids:
            return
        left -= len(ids)
        yield chunk
