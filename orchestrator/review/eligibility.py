"""What the board says of an image, and whether anybody is asked about it.

A repost or a deleted image has no pending rows. When it is shown again they are made anew from the stored
scores by the rules of the day; no model looks again. Decided rows stay as they are all the while.
"""

from dataclasses import dataclass

from orchestrator.accounts import Action, require
from orchestrator.errors import NotFound
from orchestrator.records import (
    Eligibility,
    ImageContext,
    Priority,
    SuggestionCounts,
    User,
    VersionState,
)
from orchestrator.review.once import Keyed, once
from orchestrator.store import audit, counters, images, links, outbox, suggestions, verdicts
from orchestrator.store import eligibility as stored
from orchestrator.store.reconcile import Proposed, reconcile
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import TaggingPlan
from orchestrator.tagging.resolve import resolve

CHANGED = "image.eligibility_changed"


@dataclass(frozen=True, slots=True)
class EligibilityOutcome:
    """What really happened. `removed`, `restored`: pending rows that went, or came. `queued`: an active
    version has never seen the image, so it will be analysed.
    """

    image_id: int
    before: Eligibility
    eligibility: Eligibility
    removed: int
    restored: int
    queued: bool
    counts: SuggestionCounts


async def set_eligibility(
    store: Store,
    actor: User,
    image_id: int,
    eligibility: Eligibility,
    plan: TaggingPlan,
    *,
    idempotency_key: str | None = None,
) -> EligibilityOutcome:
    """Store what the board says of an image; its pending rows follow. Doing so again changes nothing.

    `plan`: the rules of now. When `queued`, the caller should enqueue the image. Raises Forbidden, NotFound,
    Conflict (`idempotency_key_reused`).
    """
    require(actor, Action.SET_ELIGIBILITY)

    async def work(tx: Transaction) -> EligibilityOutcome:
        locked = await verdicts.lock_images(tx, [image_id])
        if image_id not in locked.uploaders:
            raise NotFound(f"no image has the id {image_id}", code="image_not_found")
        request = Keyed(actor, idempotency_key, ("eligibility", image_id, eligibility))
        return await once(
            tx, request, EligibilityOutcome, lambda: change(tx, actor, image_id, eligibility, plan)
        )

    return await store.write(work)


async def change(
    tx: Transaction, actor: User, image_id: int, eligibility: Eligibility, plan: TaggingPlan
) -> EligibilityOutcome:
    """Store what the board says of an image whose row is locked; see `set_eligibility`."""
    before = await stored.get(tx, image_id)
    deltas = counters.Deltas()
    removed = restored = 0
    queued = False
    if eligibility is not before:
        await stored.put(tx, image_id, eligibility)
        await audit.add(
            tx,
            actor=actor.name,
            action="set_eligibility",
            subject=f"image {image_id}",
            detail={"from": before, "to": eligibility},
        )
        told = {"image_id": image_id, "user_id": actor.id, "from": before, "to": eligibility}
        await outbox.add(tx, CHANGED, told)
    if eligibility in stored.HIDDEN:
        removed = await stored.remove_pending(tx, image_id, deltas)
    elif before in stored.HIDDEN:
        queued = await _restore(tx, image_id, plan, deltas)
        restored = sum(
            change for (_, measure, _), change in deltas.amounts.items() if measure == counters.PENDING
        )
    await deltas.apply(tx)
    return EligibilityOutcome(
        image_id=image_id,
        before=before,
        eligibility=eligibility,
        removed=removed,
        restored=restored,
        queued=queued,
        counts=await suggestions.counts(tx, image_id),
    )


async def _restore(tx: Transaction, image_id: int, plan: TaggingPlan, deltas: counters.Deltas) -> bool:
    """Make pending rows from the stored scores; returns whether a version has still to see the image."""
    known = await stored.stored_scores(tx, image_id)
    if known.has_alpha is None:
        return False  # never analysed: it is queued or has failed, and its analysis will find it shown
    context = ImageContext(
        has_alpha=known.has_alpha, applied=await links.applied_ids(tx, image_id), sha256=known.sha256
    )
    resolution = resolve(plan, context, known.raw)
    proposals = (*resolution.suggestions, *resolution.explorations)
    await reconcile(tx, [Proposed(image_id, proposals)], deltas)
    active = {
        version_id
        for version_id, version in plan.versions.items()
        if version.model.state is VersionState.ACTIVE
    }
    if active <= known.seen_by:
        return False
    return await images.requeue(tx, image_id, explicit=False, priority=Priority.BACKFILL)
