"""Storing finished analyses, those that are ready at the same time in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.errors import StoreUnavailable
from orchestrator.pipeline.coalesce import Coalescer
from orchestrator.pipeline.rules import Rules
from orchestrator.pipeline.stages import Seen
from orchestrator.records import (
    Analysis,
    ClaimedImage,
    ImageContext,
    Priority,
    RawPrediction,
    Resolution,
)
from orchestrator.store import links, suggestions
from orchestrator.store.suggestions import Finished
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.resolve import resolve

TOGETHER = 32
"""Images of one transaction: reviewers of those wait for it."""

_PARALLEL = 2  # one that commits, and one that computes
_LINGER = {Priority.LIVE: 0.0, Priority.BACKFILL: 0.1}


@dataclass(frozen=True, slots=True)
class Look:
    """A claimed image and what the models of `rules` saw in it. `sha256`: of its bytes, in hex.

    `stored`: what other versions saw earlier that has a say, too.
    """

    image: ClaimedImage
    sha256: str
    seen: Seen
    rules: Rules
    stored: tuple[RawPrediction, ...] = ()


class Storing:
    """Resolves and stores. Belongs to the loop of its store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looks = {
            priority: Coalescer[Look, Resolution | None](
                self._write,
                most=lambda: TOGETHER,
                parallel=_PARALLEL,
                shared=lambda error: isinstance(error, StoreUnavailable),
                linger=linger,
            )
            for priority, linger in _LINGER.items()
        }

    async def write(self, look: Look, priority: Priority) -> Resolution | None:
        """Resolve against the tags that the image has by now, and store all of it; None: claim lost.

        Raises StoreUnavailable.
        """
        return await self._looks[priority].submit(look)

    async def _write(self, looks: Sequence[Look]) -> Sequence[Resolution | None]:
        return await self._store.write(lambda tx: resolve_and_persist(tx, looks))


async def resolve_and_persist(tx: Transaction, looks: Sequence[Look]) -> list[Resolution | None]:
    """Resolve against the tags that the images have by now, and store; None for each whose claim was lost."""
    applied = await links.applied_to(tx, [look.image.id for look in looks])
    finished = [_finished(look, applied[look.image.id]) for look in looks]
    kept = await suggestions.persist_many(tx, finished)
    return [one.resolution if one.image in kept else None for one in finished]


def _finished(look: Look, applied: frozenset[int]) -> Finished:
    prepared = look.seen.prepared
    context = ImageContext(has_alpha=prepared.has_alpha, applied=applied, sha256=look.sha256)
    resolution = resolve(look.rules.plan, context, (*look.seen.raw, *look.stored))
    analysis = Analysis(
        sha256=look.sha256,
        width=prepared.width,
        height=prepared.height,
        has_alpha=prepared.has_alpha,
        media_type=prepared.media_type,
        model_version_ids=tuple(model.id for model in look.rules.models),
        raw=look.seen.raw,
        ratings=resolution.ratings,
    )
    return Finished(look.image, analysis, resolution)
