"""The queues of reviewers: tags with pending suggestions, and the pending suggestions of one tag."""

from collections.abc import Mapping, Sequence

from orchestrator.api import answers, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.records import User, as_probability
from orchestrator.review import queues
from orchestrator.review.queues import PagePlace, QueueRequest
from orchestrator.store.leases import Lease
from orchestrator.store.queue_rows import QueuedRow
from orchestrator.store.queues import Key
from orchestrator.wire.queues import (
    HeldBy,
    QueueAnswer,
    QueuedImageAnswer,
    QueuedSuggestion,
    QueueQuery,
    RowLease,
    WorklistAnswer,
    WorklistItem,
    WorklistQuery,
)
from orchestrator.wire.schemas import TagAnswer

WORKLIST = "worklist"


async def show_worklist(call: Call) -> Reply:
    """List the tags with pending suggestions."""
    query = call.query(WorklistQuery)
    after = pagination.decode(query.cursor, WORKLIST, 2)
    found = await call.read(
        lambda tx: queues.read_worklist(
            tx,
            call.user,
            type=query.type,
            min_confidence=queues.ten_thousandths(query.min_confidence),
            model=query.model,
            search=query.search,
            after=None if after is None else (after[0], after[1]),
            limit=query.limit,
        )
    )
    items = tuple(
        WorklistItem(
            tag=answers.tag(one.waiting.tag),
            pending=one.waiting.pending,
            held=sum(lease.rows for lease in one.held),
            holders=held_by(one.held),
        )
        for one in found.rows
    )
    cursor = None if found.next is None else pagination.encode(WORKLIST, *found.next)
    return Reply(200, WorklistAnswer(items=items, next_cursor=cursor))


async def show_queue(call: Call) -> Reply:
    """List a tag's pending suggestions, and note that the caller saw them."""
    query, user = call.query(QueueQuery), call.user
    kind = f"queue {query.tag_id} {query.order}"
    request = QueueRequest(
        tag_id=query.tag_id,
        order=query.order,
        min_confidence=queues.ten_thousandths(query.min_confidence),
        model=query.model,
        explorations=query.explorations,
        held=query.held,
        limit=query.limit,
        after=_place(pagination.decode(query.cursor, kind, 6)),
    )
    page = await call.read(lambda tx: queues.read_queue(tx, user, request))
    return Reply(
        200,
        QueueAnswer(
            tag=answers.tag(page.tag),
            items=queued(user, page.rows),
            pending=page.pending,
            held=held_by(page.held),
            next_cursor=None if page.next is None else pagination.encode(kind, *_numbers(page.next)),
        ),
        after=call.note(lambda tx: queues.note_shown(tx, user, request, page)),
    )


def _place(found: Sequence[int] | None) -> PagePlace:
    if found is None:
        return PagePlace()
    begun, first, second, suggestion_id, exploration, seen = found
    key = Key(min(first, 2**31), min(second, 1), suggestion_id) if begun else None
    return PagePlace(key, exploration, min(seen, queues.LAST_POSITION))


def _numbers(place: PagePlace) -> tuple[int, ...]:
    key = place.key or Key(0, 0, 0)
    return int(place.key is not None), key.first, key.second, key.id, place.exploration, place.seen


def held_by(held: Sequence[Lease]) -> tuple[HeldBy, ...]:
    """Return who holds what."""
    return tuple(
        HeldBy(
            lease_id=lease.id,
            holder=lease.holder,
            whole_tag=lease.whole_tag,
            rows=lease.rows,
            expires_at=lease.expires_at,
        )
        for lease in held
    )


def queued(user: User, rows: Sequence[QueuedRow]) -> tuple[QueuedSuggestion, ...]:
    """Return rows of a queue as this user sees them. A tag that many images have is made once."""
    distinct = {tag.id: tag for row in rows for tag in row.image.tags}
    tags = dict(zip(distinct, answers.tags(distinct.values()), strict=True))
    return tuple(_queued(user, row, tags) for row in rows)


def _queued(user: User, row: QueuedRow, tags: Mapping[int, TagAnswer]) -> QueuedSuggestion:
    lease = None
    if row.holder is not None and row.expires_at is not None:
        lease = RowLease(holder=row.holder, mine=row.holder_id == user.id, expires_at=row.expires_at)
    image = row.image
    return QueuedSuggestion(
        id=row.id,
        image=QueuedImageAnswer(
            id=image.id,
            external_id=image.external_id,
            uploader=image.uploader,
            width=image.width,
            height=image.height,
            media_type=image.media_type,
            spoiler=image.spoiler,
            file=answers.links(image.id).file,
            tags=tuple([tags[tag.id] for tag in image.tags]),
        ),
        confidence=as_probability(row.confidence),
        score=as_probability(row.score),
        model_source=row.model_source,
        model_name=row.model_name,
        model_version=row.model_version,
        version=row.version,
        inferred=row.inferred,
        exploration=row.exploration,
        created_at=row.created_at,
        lease=lease,
    )
