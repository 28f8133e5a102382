"""Handing out pending suggestions: a page of a tag's queue, or the whole tag, to one reviewer for a while.

No two reviewers hold the same row. A lease is about handing out and about nothing else: somebody else's
verdict on a leased row counts like any other, and the holder's own then finds the row changed. Whoever lets a
lease run out loses it to the next who asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator import accounts
from orchestrator.accounts import Action
from orchestrator.errors import Conflict, Forbidden, NotFound
from orchestrator.records import Tag, User
from orchestrator.review.queues import PLACE, PagePlace, QueueRequest, compose, of_others
from orchestrator.store import exposures, idempotency, leases, models, queue_rows, queues, tags
from orchestrator.store.leases import Lease
from orchestrator.store.queue_rows import QueuedRow
from orchestrator.store.queues import Keys, QueueFilter
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

ROUNDS = 20
"""How many pages a claim looks through for rows that are free."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a reviewer was given. `lease`: None when there was nothing to give; `held`: what others hold."""

    lease: Lease | None
    tag: Tag
    rows: tuple[QueuedRow, ...]
    held: tuple[Lease, ...]


async def claim(
    store: Store,
    user: User,
    request: QueueRequest,
    *,
    whole_tag: bool,
    duration: float,
    idempotency_key: str | None = None,
) -> Claim:
    """Lease up to `request.limit` rows that nobody holds, in the request's order, or the whole tag.

    The whole tag is leased only while nobody else holds any of it. Raises NotFound (`tag_not_found`),
    InvalidInput (`unknown_model`), Conflict (`idempotency_key_reused`).
    """
    return await store.write(
        lambda tx: _claim(tx, user, request, whole_tag, duration=duration, key=idempotency_key)
    )


async def _claim(
    tx: Transaction, user: User, request: QueueRequest, whole_tag: bool, *, duration: float, key: str | None
) -> Claim:
    tag = await tags.get(tx, request.tag_id)
    if key is not None:
        print_ = idempotency.fingerprint(
            "claim",
            *(request.tag_id, request.order, request.min_confidence, request.model, request.explorations),
            *(request.limit, whole_tag),
        )
        answer = await idempotency.begin(tx, user_id=user.id, key=key, request=print_)
        if answer is not None:
            return await _given(tx, user, tag, int(answer) or None, request)
    await leases.sweep(tx)
    await leases.guard(tx, tag.id, alone=whole_tag)
    if whole_tag:
        lease_id = await _claim_tag(tx, user, tag, duration)
    else:
        lease_id = await _claim_rows(tx, user, request, duration)
    if key is not None:
        await idempotency.finish(tx, user_id=user.id, key=key, response=str(lease_id or 0))
    return await _given(tx, user, tag, lease_id, request, shown=True)


async def _claim_tag(tx: Transaction, user: User, tag: Tag, duration: float) -> int | None:
    held = await leases.live(tx, tag_ids=[tag.id])
    if of_others(user, held):
        return None
    mine = [lease.id for lease in held if lease.whole_tag and lease.user_id == user.id]
    if mine:
        await leases.prolong(tx, mine[0], duration=duration)
        return mine[0]
    return await leases.add(tx, user_id=user.id, tag_id=tag.id, suggestion_ids=None, duration=duration)


async def _claim_rows(tx: Transaction, user: User, request: QueueRequest, duration: float) -> int | None:
    held = await leases.live(tx, tag_ids=[request.tag_id])
    if any(lease.whole_tag and lease.user_id != user.id for lease in held):
        return None
    where = QueueFilter(
        tag_id=request.tag_id,
        order=request.order,
        min_confidence=request.min_confidence,
        versions=None if request.model is None else await models.ids_of_name(tx, request.model),
        not_held=True,
    )
    taken: set[int] = set()
    place: PagePlace | None = PagePlace()
    for _ in range(ROUNDS):
        if place is None or len(taken) >= request.limit:
            break
        # Rows that others are just being handed are passed over, so every round goes on where the last ended.
        part = replace(request, limit=request.limit - len(taken), after=place)
        ids, place = await _free(tx, where, part)
        taken |= await leases.take(tx, ids)
    if not taken:
        return None
    return await leases.add(
        tx, user_id=user.id, tag_id=request.tag_id, suggestion_ids=taken, duration=duration
    )


async def _free(
    tx: Transaction, where: QueueFilter, request: QueueRequest
) -> tuple[Sequence[int], PagePlace | None]:
    keys: Keys = await queues.keys(tx, where, after=request.after.key, limit=request.limit + 1)
    tried: tuple[int, ...] = ()
    if request.explorations:
        tried = await queues.explorations(
            tx, where, after_id=request.after.exploration, limit=request.limit + 1
        )
    return compose(keys, tried, request)


async def _given(
    tx: Transaction,
    user: User,
    tag: Tag,
    lease_id: int | None,
    request: QueueRequest,
    *,
    shown: bool = False,
) -> Claim:
    """Return what a lease holds, in the order asked for."""
    held = await leases.live(tx, tag_ids=[tag.id])
    lease = next((one for one in held if one.id == lease_id), None)
    rows: list[QueuedRow] = []
    if lease is not None and not lease.whole_tag:
        ids = await leases.rows_of(tx, lease.id)
        where = QueueFilter(tag_id=tag.id, order=request.order, among=tuple(ids))
        keys = await queues.keys(tx, where, after=None, limit=len(ids) + 1)
        tried = await queues.explorations(tx, where, after_id=0, limit=len(ids) + 1)
        page, _ = compose(keys, tried, replace(request, limit=max(len(ids), 1), after=PagePlace()))
        rows = await queue_rows.rows(tx, page)
    if shown:
        await exposures.record(
            tx, user_id=user.id, place=PLACE, shown=[(row.id, row.version) for row in rows]
        )
    return Claim(lease, tag, tuple(rows), of_others(user, held))


async def renew(store: Store, user: User, lease_id: int, *, duration: float) -> Lease:
    """Let a lease run for `duration` seconds from now.

    Raises NotFound (`lease_not_found`), Forbidden (`not_your_lease`), Conflict (`lease_expired`).
    """

    async def work(tx: Transaction) -> Lease:
        holding = await leases.lock(tx, lease_id)
        if holding is None:
            raise _unknown(lease_id)
        if holding.user_id != user.id:
            raise Forbidden("this lease is another's", code="not_your_lease")
        if not holding.live:
            raise Conflict("the lease has run out: claim again", code="lease_expired")
        await leases.prolong(tx, lease_id, duration=duration)
        return await _one(tx, lease_id)

    return await store.write(work)


async def release(store: Store, user: User, lease_id: int) -> Lease | None:
    """End a lease, one's own or, for those who may undo anybody's verdicts, anybody's; returns what it was,
    None when it had run out. Raises NotFound (`lease_not_found`), Forbidden (`not_your_lease`)."""

    async def work(tx: Transaction) -> Lease | None:
        holding = await leases.lock(tx, lease_id)
        if holding is None:
            raise _unknown(lease_id)
        if holding.user_id != user.id and not accounts.may(user.role, Action.UNDO_ANY):
            raise Forbidden("this lease is another's", code="not_your_lease")
        found = await leases.live(tx, lease_id=lease_id)
        await leases.remove(tx, [lease_id])
        return found[0] if found else None

    return await store.write(work)


async def _one(tx: Transaction, lease_id: int) -> Lease:
    (found,) = await leases.live(tx, lease_id=lease_id)
    return found


def _unknown(lease_id: int) -> NotFound:
    return NotFound(f"no lease has the id {lease_id}", code="lease_not_found")
