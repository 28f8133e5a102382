"""Re-mapping some images: look at all of them at once, lock and bring up to date only those that differ."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.remap.difference import Difference, difference, proposals, total
from orchestrator.store import remaps, rules_version, verdicts
from orchestrator.store.counters import Deltas
from orchestrator.store.reconcile import Proposed, reconcile
from orchestrator.store.remaps import Changes
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import TaggingPlan

TOUCHED_TOGETHER = 50
"""Images that one transaction locks: reviewers of those wait for it."""


class Outdated(Exception):
    """The rules have changed since the plan was built."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found of a chunk. `stale`: images that differ, in id order, and how."""

    stale: tuple[tuple[int, Difference], ...]


async def look(store: Store, plan: TaggingPlan, image_ids: Sequence[int], tags: Collection[int]) -> Look:
    """Compare images with what the rules propose; with `tags` only differences of these count."""
    images = await store.read(lambda tx: remaps.read(tx, image_ids, telling=plan.telling))
    found = [(image.id, difference(plan, image)) for image in images]
    return Look(tuple((image_id, one) for image_id, one in found if one and (not tags or _of(one, tags))))


def _of(one: Difference, tags: Collection[int]) -> bool:
    return not (one.added | one.removed | one.updated).isdisjoint(tags)


async def bring_up_to_date(tx: Transaction, plan: TaggingPlan, image_ids: Sequence[int]) -> Changes:
    """Lock images, look again, and store what the rules propose; returns what that changed.

    Pending rows only; evidence is added to decided ones. Raises Outdated, and nothing is changed.
    """
    if not image_ids:
        return Changes()
    await verdicts.lock_images(tx, image_ids)
    if await rules_version.current(tx) != plan.version:
        raise Outdated
    deltas = Deltas()
    stale = [
        (image, found)
        for image in await remaps.read(tx, image_ids, telling=plan.telling)
        if (found := difference(plan, image))
    ]
    await reconcile(tx, [Proposed(image.id, proposals(plan, image)) for image, _ in stale], deltas)
    await deltas.apply(tx)
    return total(found for _, found in stale)
