"""Reviewing by filter: first a look at how much it is, then a yes to just that, then one undoable batch.

Up to AT_ONCE rows are decided in one transaction. More become a job: the keeper takes a chunk a transaction,
with the job's cursor in it, so whoever dies on the way loses nothing and does nothing twice. Rows that came
after the look, that others decide meanwhile or that stop matching are left alone.

In a job an approval may clear a row that matched as well, where it is an ancestor's that comes later.
"""

import random
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from pydantic import TypeAdapter

from orchestrator.accounts import Action, require
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.records import Decision, JobKind, JobState, RejectReason, User, VerdictRequest
from orchestrator.review.confirmation import Confirmations
from orchestrator.review.judging import Judging
from orchestrator.review.service import NOTE_LENGTH
from orchestrator.store import batches, idempotency, jobs, models, selection, verdicts
from orchestrator.store.jobs import Job, NewJob
from orchestrator.store.selection import SelectedRow, Selection
from orchestrator.store.transaction import DuplicateKey, Transaction
from orchestrator.store.unit_of_work import Store

KIND = "bulk"
AT_ONCE = 500
CHUNK = 200
SHOWN = 8
LOOKED_AT = 32
"""Rows that the few which are shown are drawn from, about."""

FEWEST_SAMPLES, MOST_SAMPLES, SAMPLE_RATE = 10, 200, 0.02


@dataclass(frozen=True, slots=True)
class BulkOrder:
    """What to decide on which pending rows. None: any. `min_confidence` in ten-thousandths."""

    decision: Decision
    reason: RejectReason | None = None
    note: str | None = None
    min_confidence: int = 0
    tag_ids: tuple[int, ...] | None = None
    image_ids: tuple[int, ...] | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would decide. `at_once`: within the request that confirms it; else as a job.

    `confirmation`: None where there is nothing to confirm.
    """

    count: int
    at_once: bool
    samples: tuple[SelectedRow, ...]
    confirmation: str | None
    expires_at: datetime | None


async def look(store: Store, actor: User, order: BulkOrder, confirmations: Confirmations) -> Preview:
    """Say how many rows an order would decide, and show a few. Nothing is changed.

    Raises Forbidden, InvalidInput (`unknown_model`, `empty_filter`, and as `review` does).
    """
    require(actor, Action.BULK_REVIEW)
    _check(order)

    async def read(tx: Transaction) -> tuple[int, int, tuple[SelectedRow, ...]]:
        until = await selection.last_id(tx)
        where = await _where(tx, order, until)
        count = await selection.count(tx, where)
        step = max(1, count // LOOKED_AT)
        drawn = await selection.spread(tx, where, step=step, start=random.randrange(step))
        few = random.sample(drawn, min(SHOWN, len(drawn)))
        return count, until, await selection.rows(tx, few)

    count, until, samples = await store.read(read)
    if not count:
        return Preview(0, True, (), None, None)
    seen = confirmations.note(user_id=actor.id, request=_fingerprint(order), count=count, until=until)
    expires_at = datetime.fromtimestamp(seen.expires, UTC)
    return Preview(count, count <= AT_ONCE, samples, confirmations.seal(seen), expires_at)


async def confirm(
    store: Store, actor: User, order: BulkOrder, token: str, confirmations: Confirmations
) -> Job:
    """Decide what a look has shown: at once when it is little, else as a job for the keeper.

    The same confirmation again returns the same job. Raises as `look`, InvalidInput (`bad_confirmation`),
    Conflict (`confirmation_expired`, `selection_grew`).
    """
    require(actor, Action.BULK_REVIEW)
    _check(order)
    seen = confirmations.open(token, user_id=actor.id, request=_fingerprint(order))

    async def start(tx: Transaction) -> Job:
        known = await jobs.of_confirmation(tx, seen.nonce)
        if known is not None:
            return known
        if seen.expired():
            raise Conflict("it has been too long since the look: look again", code="confirmation_expired")
        count = await selection.count(tx, await _where(tx, order, seen.until))
        if count > seen.count:
            raise Conflict(
                f"{count} suggestions match by now, not the {seen.count} that were shown: look again",
                code="selection_grew",
            )
        batch_id = await verdicts.open_batch(tx, user_id=actor.id, kind=KIND)
        new = NewJob(
            kind=JobKind.BULK,
            user_id=actor.id,
            batch_id=batch_id,
            request=_orders().dump_python(order, mode="json"),
            total=count,
            until=seen.until,
            confirmation=seen.nonce,
        )
        job_id = await jobs.add(tx, new)
        if count <= AT_ONCE:
            await judge_chunk(tx, await jobs.lock(tx, job_id), limit=AT_ONCE + 1)
        return await jobs.get(tx, job_id)

    try:
        return await store.write(start)
    except DuplicateKey:  # the same confirmation at the same moment: the other one has committed by now
        return await store.write(start)


async def judge_chunk(tx: Transaction, job: Job, *, limit: int = CHUNK) -> None:
    """Decide a locked job's next rows; those behind the last one end it."""
    order = _orders().validate_json(job.request)
    where = await _where(tx, order, job.until)
    places = await selection.after(tx, where, job.place, limit=limit)
    wanted = [place.suggestion_id for place in places]
    locked = await verdicts.lock_images(tx, set((await verdicts.images_of(tx, wanted)).values()))
    matching = await selection.still(tx, where, wanted)
    rows = await verdicts.rows(tx, matching)
    samples = [one for one in sorted(rows) if _is_sample(job, one)]
    # The job's own rows first: what everybody shares is changed last, by the judging.
    await jobs.add_samples(tx, job.id, samples)
    await jobs.advance(
        tx,
        job.id,
        place=places[-1] if places else job.place,
        processed=len(places),
        changed=len(rows),
        sampled=len(samples),
    )
    if len(places) < limit:
        await jobs.end(tx, job.id, JobState.DONE)
    if rows:
        await batches.grows(tx, job.batch_id)
        requests = [
            VerdictRequest(row.id, row.version, order.decision, order.reason, order.note)
            for row in rows.values()
        ]
        await Judging(tx, job.user, locked.now, rows, KIND, into=job.batch_id).run(requests)


def order_of(job: Job) -> BulkOrder:
    """Return what a bulk job was asked to do."""
    return _orders().validate_json(job.request)


def _is_sample(job: Job, suggestion_id: int) -> bool:
    """Whether a row is one of the few to look at again; the same rows whenever it is asked."""
    wanted = min(max(job.total * SAMPLE_RATE, FEWEST_SAMPLES), MOST_SAMPLES)
    return zlib.crc32(b"%d %d" % (job.id, suggestion_id)) * job.total < wanted * 2**32


async def _where(tx: Transaction, order: BulkOrder, until: int) -> Selection:
    return Selection(
        until=until,
        min_confidence=order.min_confidence,
        tag_ids=order.tag_ids,
        image_ids=order.image_ids,
        versions=None if order.model is None else await models.ids_of_name(tx, order.model),
    )


def _check(order: BulkOrder) -> None:
    if (order.min_confidence, order.tag_ids, order.image_ids, order.model) == (0, None, None, None):
        raise InvalidInput("a filter that names nothing would decide everything", code="empty_filter")
    if order.decision is Decision.APPROVE and (order.reason is not None or order.note is not None):
        raise InvalidInput("a reason goes with a rejection only", code="bad_reason")
    if order.reason is RejectReason.OTHER and not (order.note or "").strip():
        raise InvalidInput("the reason 'other' needs a note", code="note_missing")
    if order.note is not None and len(order.note) > NOTE_LENGTH:
        raise InvalidInput(f"a note has at most {NOTE_LENGTH} characters", code="note_too_long")


def _fingerprint(order: BulkOrder) -> bytes:
    return idempotency.fingerprint("bulk", _orders().dump_python(order, mode="json"))


@lru_cache(maxsize=1)
def _orders() -> TypeAdapter[BulkOrder]:
    return TypeAdapter(BulkOrder)
