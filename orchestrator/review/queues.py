"""What reviewers are shown: tags with pending suggestions, and the pages of one tag.

One row in twenty is an exploration (just below the threshold, `tagging.explore`), at a place that depends on
nothing but the page: the same page asked for again is the same page. When nothing else is left of a tag, the
rest of its explorations follow. Rows that others hold are shown as held, or left out; either way the page
says who holds what of the tag, so that nobody takes an empty page for a finished tag.
"""

import math
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.records import SCORE_ONE, Held, QueueOrder, Tag, TagType, User
from orchestrator.store import exposures, leases, models, queue_rows, queues, worklist
from orchestrator.store.counters import BUCKET, LAST_BUCKET
from orchestrator.store.leases import Lease
from orchestrator.store.queue_rows import QueuedRow
from orchestrator.store.queues import Key, Keys, QueueFilter
from orchestrator.store.transaction import Transaction
from orchestrator.store.worklist import Waiting, WorklistFilter

ONE_IN = 20
"""One row of a page in so many explores."""

PLACE = "queue"
LAST_POSITION = 65_535


@dataclass(frozen=True, slots=True)
class PagePlace:
    """Where a page ended: behind which key, behind which exploration, after how many rows."""

    key: Key | None = None
    exploration: int = 0
    seen: int = 0


@dataclass(frozen=True, slots=True)
class QueueRequest:
    """A page of a tag's queue. `min_confidence` in ten-thousandths; `model`: of the deciding version."""

    tag_id: int
    order: QueueOrder = QueueOrder.CONFIDENCE
    min_confidence: int = 0
    model: str | None = None
    explorations: bool = True
    held: Held = Held.ANY
    limit: int = 50
    after: PagePlace = PagePlace()


@dataclass(frozen=True, slots=True)
class QueuePage:
    """`pending`: of the tag in all, whatever the filter. `held`: what others hold of it."""

    tag: Tag
    rows: tuple[QueuedRow, ...]
    pending: int
    held: tuple[Lease, ...]
    next: PagePlace | None


@dataclass(frozen=True, slots=True)
class WorklistRow:
    """A tag of the worklist. `held`: what others hold of it."""

    waiting: Waiting
    held: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class WorklistPage:
    """`next`: (pending, tag id) of where it ended."""

    rows: tuple[WorklistRow, ...]
    next: tuple[int, int] | None


async def read_worklist(
    tx: Transaction,
    user: User,
    *,
    type: TagType | None = None,  # noqa: A002
    min_confidence: int = 0,
    model: str | None = None,
    search: str | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 50,
) -> WorklistPage:
    """Return tags with pending suggestions, the most first, and what others hold of each.

    The confidence is rounded down to a step of 0.05. Raises InvalidInput (`unknown_model`).
    """
    where = WorklistFilter(
        type=type,
        min_bucket=min(min_confidence // BUCKET, LAST_BUCKET),
        versions=None if model is None else await models.ids_of_name(tx, model),
        search=search,
    )
    found = await worklist.page(tx, where, after=after, limit=limit)
    held = await leases.live(tx, tag_ids=[one.tag.id for one in found.items])
    return WorklistPage(
        tuple(
            WorklistRow(one, of_others(user, [lease for lease in held if lease.tag.id == one.tag.id]))
            for one in found.items
        ),
        found.next,
    )


def of_others(user: User, held: Sequence[Lease]) -> tuple[Lease, ...]:
    """Return the leases of others that still hold something."""
    return tuple(lease for lease in held if lease.user_id != user.id and lease.rows)


async def read_queue(tx: Transaction, user: User, request: QueueRequest) -> QueuePage:
    """Return a page of a tag's pending suggestions. Who shows it to the user notes that (`note_shown`).

    A page may be short: `next` says whether the list goes on. The number of statements does not depend on
    the rows. Raises NotFound (`tag_not_found`), InvalidInput (`unknown_model`).
    """
    waiting = await worklist.waiting(tx, request.tag_id)
    held = await leases.live(tx, tag_ids=[request.tag_id])
    where = await _filter(tx, user, request, held)
    keys = await queues.keys(tx, where, after=request.after.key, limit=request.limit + 1)
    tried: tuple[int, ...] = ()
    if request.explorations:
        tried = await queues.explorations(
            tx, where, after_id=request.after.exploration, limit=request.limit + 1
        )
    ids, then = compose(keys, tried, request)
    rows = await queue_rows.rows(tx, ids)
    return QueuePage(waiting.tag, tuple(rows), waiting.pending, of_others(user, held), then)


async def note_shown(tx: Transaction, user: User, request: QueueRequest, page: QueuePage) -> None:
    """Note that the user was shown this page, each row with its place in the whole queue."""
    await exposures.record(
        tx,
        user_id=user.id,
        place=PLACE,
        shown=[(row.id, row.version) for row in page.rows],
        first_position=min(request.after.seen, LAST_POSITION - len(page.rows)),
    )


async def _filter(tx: Transaction, user: User, request: QueueRequest, held: Sequence[Lease]) -> QueueFilter:
    among: tuple[int, ...] | None = None
    whole = [lease for lease in held if lease.whole_tag]
    if request.held is Held.FREE and any(lease.user_id != user.id for lease in whole):
        among = ()
    if request.held is Held.MINE and not any(lease.user_id == user.id for lease in whole):
        among = tuple(await leases.held_rows(tx, user_id=user.id, tag_id=request.tag_id))
    return QueueFilter(
        tag_id=request.tag_id,
        order=request.order,
        min_confidence=request.min_confidence,
        versions=None if request.model is None else await models.ids_of_name(tx, request.model),
        not_held_by_others=None if request.held is Held.ANY else user.id,
        among=among,
    )


def compose(
    keys: Keys, explorations: Sequence[int], request: QueueRequest
) -> tuple[list[int], PagePlace | None]:
    """Return a page's suggestions, explorations mixed in, and where it ends (None: so does the list).

    `keys` and `explorations` come from behind `request.after`, one more than the page has room for where
    there are so many.
    """
    limit, after = request.limit, request.after
    seed = zlib.crc32(f"{request.tag_id} {request.order} {after.key} {after.exploration}".encode())
    dice = random.Random(seed)
    # One in twenty on the average: 50 rows have two or three, and every other page of ten has one.
    tried = list(explorations[: (limit + dice.randrange(ONE_IN)) // ONE_IN])
    usual = list(keys.keys[: limit - len(tried)])
    exhausted = len(usual) == len(keys.keys) and keys.looked_until is None
    if exhausted:
        tried = list(explorations[: limit - len(usual)])
    ids = [key.id for key in usual]
    for place, suggestion_id in zip(
        sorted(dice.sample(range(len(usual) + len(tried)), len(tried))), tried, strict=True
    ):
        ids.insert(place, suggestion_id)
    if exhausted and len(tried) == len(explorations):
        return ids, None
    last = usual[-1] if usual else after.key
    if len(usual) == len(keys.keys) and keys.looked_until is not None:
        last = keys.looked_until
    return ids, PagePlace(
        key=last,
        exploration=tried[-1] if tried else after.exploration,
        seen=min(after.seen + len(ids), LAST_POSITION),
    )


def ten_thousandths(confidence: float) -> int:
    """Return a wanted confidence as rows have it, rounded up: what is below it is not wanted."""
    return math.ceil(round(confidence * SCORE_ONE, 6))
