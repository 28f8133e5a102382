"""Leases on pending suggestions: who has been handed what, and until when."""

from orchestrator.api import answers, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.api.queues import held_by, queued
from orchestrator.review import leases, queues
from orchestrator.review.queues import QueueRequest
from orchestrator.store import leases as stored
from orchestrator.store.leases import Lease
from orchestrator.wire.leases import ClaimAnswer, ClaimRequest, LeaseAnswer, LeasePage, LeasesQuery, Released

CURSOR = "leases"


async def claim(call: Call) -> Reply:
    """Hand the caller rows of a tag, or the tag."""
    body, user = await call.json(ClaimRequest), call.user
    found = await leases.claim(
        call.resources.store,
        user,
        QueueRequest(
            tag_id=body.tag_id,
            order=body.order,
            min_confidence=queues.ten_thousandths(body.min_confidence),
            model=body.model,
            explorations=body.explorations,
            limit=body.limit,
        ),
        whole_tag=body.whole_tag,
        duration=call.resources.settings.review_lease,
        idempotency_key=call.idempotency_key,
    )
    return Reply(
        200,
        ClaimAnswer(
            lease=None if found.lease is None else _answer(call, found.lease),
            items=queued(user, found.rows),
            held=held_by(found.held),
        ),
    )


async def list_leases(call: Call) -> Reply:
    """List the leases that have not run out."""
    query = call.query(LeasesQuery)
    after = pagination.decode(query.cursor, CURSOR, 1)
    found = await call.read(
        lambda tx: stored.live(
            tx,
            tag_ids=None if query.tag_id is None else [query.tag_id],
            user_id=call.user.id if query.mine else None,
            before=None if after is None else after[0],
            limit=query.limit + 1,
        )
    )
    page = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        200,
        LeasePage(
            items=tuple(_answer(call, lease) for lease in page),
            next_cursor=pagination.encode(CURSOR, page[-1].id) if more else None,
        ),
    )


async def renew(call: Call) -> Reply:
    """Let the caller's lease run anew from now."""
    duration = call.resources.settings.review_lease
    found = await leases.renew(call.resources.store, call.user, call.lease_id, duration=duration)
    return Reply(200, _answer(call, found))


async def release(call: Call) -> Reply:
    """End a lease before its time."""
    found = await leases.release(call.resources.store, call.user, call.lease_id)
    return Reply(200, Released(id=call.lease_id, rows=0 if found is None else found.rows))


def _answer(call: Call, lease: Lease) -> LeaseAnswer:
    return LeaseAnswer(
        id=lease.id,
        tag=answers.tag(lease.tag),
        holder=lease.holder,
        mine=lease.user_id == call.user.id,
        whole_tag=lease.whole_tag,
        rows=lease.rows,
        created_at=lease.created_at,
        expires_at=lease.expires_at,
    )
