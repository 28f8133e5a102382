"""Reviewing suggestions: one image's, or many across images, each time in one transaction.

A verdict is valid only against the row version that the reviewer saw. A lost race is a per-item conflict
that says who decided what and when; the other items go through. Approving links the canonical tag and
clears pending rows that the link makes redundant: those of the same canonical tag and of its ancestors.
Explicit verdicts of the same request come before such cascades, whatever their order.
"""

from collections.abc import Sequence

from orchestrator.accounts import require_review
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import Decision, RejectReason, ReviewOutcome, User, VerdictRequest
from orchestrator.review import replay
from orchestrator.review.judging import REVIEWED, Judging
from orchestrator.store import idempotency, suggestions, verdicts
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

__all__ = ["MAX_VERDICTS", "NOTE_LENGTH", "REVIEWED", "review", "review_many"]

MAX_VERDICTS = 500
NOTE_LENGTH = 500


async def review(
    store: Store,
    actor: User,
    image_id: int,
    requests: Sequence[VerdictRequest],
    *,
    idempotency_key: str | None = None,
) -> ReviewOutcome:
    """Apply verdicts to one image's suggestions and say what really happened to each, in the order asked.

    A repeat under the same key returns the first answer. Raises NotFound (the image), Forbidden (another's
    image), InvalidInput, Conflict (`idempotency_key_reused`).
    """
    _check(requests)
    return await store.write(lambda tx: _review(tx, actor, image_id, requests, idempotency_key))


async def review_many(
    store: Store,
    actor: User,
    requests: Sequence[VerdictRequest],
    *,
    idempotency_key: str | None = None,
    kind: str = "review",
) -> ReviewOutcome:
    """Apply verdicts to suggestions of any images, as one batch: all of it is stored, or nothing.

    Raises as `review`; another's image among them refuses the whole request.
    """
    _check(requests)
    return await store.write(lambda tx: _review(tx, actor, None, requests, idempotency_key, kind=kind))


def _check(requests: Sequence[VerdictRequest]) -> None:
    if not 0 < len(requests) <= MAX_VERDICTS:
        raise InvalidInput(f"a review has 1 to {MAX_VERDICTS} verdicts", code="bad_review_size")
    if len({request.suggestion_id for request in requests}) != len(requests):
        raise InvalidInput("a suggestion is judged twice in one review", code="judged_twice")
    for request in requests:
        if request.decision is Decision.APPROVE and request.reason is not None:
            raise InvalidInput("a reason goes with a rejection only", code="bad_reason")
        if request.reason is RejectReason.OTHER and not (request.note or "").strip():
            raise InvalidInput("the reason 'other' needs a note", code="note_missing")
        if request.note is not None and len(request.note) > NOTE_LENGTH:
            raise InvalidInput(f"a note has at most {NOTE_LENGTH} characters", code="note_too_long")


async def _review(
    tx: Transaction,
    actor: User,
    image_id: int | None,
    requests: Sequence[VerdictRequest],
    key: str | None,
    *,
    kind: str = "review",
) -> ReviewOutcome:
    wanted = [request.suggestion_id for request in requests]
    images = set((await verdicts.images_of(tx, wanted)).values()) if image_id is None else {image_id}
    locked = await verdicts.lock_images(tx, images)
    if image_id is not None and image_id not in locked.uploaders:
        raise NotFound(f"no image has the id {image_id}", code="image_not_found")
    for uploader_id in set(locked.uploaders.values()):
        require_review(actor, uploader_id)
    if key is not None:
        request = replay.fingerprint(image_id, requests)
        answer = await idempotency.begin(tx, user_id=actor.id, key=key, request=request)
        if answer is not None:
            return replay.decode(answer)
    rows = await verdicts.rows(tx, wanted)
    allowed = {row.id: row for row in rows.values() if row.image_id in locked.uploaders}
    batch_id, results = await Judging(tx, actor, locked.now, allowed, kind).run(requests)
    counts = None if image_id is None else await suggestions.counts(tx, image_id)
    outcome = ReviewOutcome(batch_id=batch_id, results=results, counts=counts)
    if key is not None:
        await idempotency.finish(tx, user_id=actor.id, key=key, response=replay.encode(outcome))
    return outcome
