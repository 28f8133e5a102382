"""Statistics of the review: how much was decided and how, by model version, type, tag, confidence, reviewer,
day.

Read from sums that the keeper keeps up to date a moment behind the reviews (`Summer`), and from the counters
of pending rows; never by counting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from orchestrator.accounts import Action, require
from orchestrator.errors import InvalidInput
from orchestrator.records import Dimension, Tag, TagType, User
from orchestrator.store import statistics, tags
from orchestrator.store.counters import BUCKET, LAST_BUCKET
from orchestrator.store.statistics import TYPE_NUMBERS, Sums
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

BATCHES_AT_ONCE = 200
"""So that one transaction stays short."""


class Summer:
    """The keeper's part: brings the sums up to date. Any number may, and each batch counts once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def sum_up(self) -> int:
        """Sum up all that waits; returns how many batches that were. Raises StoreUnavailable."""
        done = 0
        while more := await self._store.write(lambda tx: statistics.sum_up(tx, limit=BATCHES_AT_ONCE)):
            done += more
        return done


@dataclass(frozen=True, slots=True)
class Line:
    """The sums of one subject, which is what its dimension says: one of the fields before `sums`, or none for
    the total. `bucket`: ten-thousandths from … to. `pending`: now, None where no counter says."""

    sums: Sums
    model: tuple[str, int] | None = None
    type: TagType | None = None
    tag: Tag | None = None
    bucket: tuple[int, int] | None = None
    reviewer: str | None = None
    day: date | None = None
    pending: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A page of lines. `waiting`: batches that the sums lack, `behind_since`: when the oldest one was begun.

    `next`: where the page ended, None on the last one.
    """

    lines: tuple[Line, ...]
    waiting: int
    behind_since: datetime | None
    next: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class StatisticsRequest:
    """By what, over which days (both included, all time unless said), and which page."""

    by: Dimension = Dimension.TOTAL
    since: date | None = None
    until: date | None = None
    after: tuple[int, int] | None = None
    limit: int = 50


async def read_statistics(tx: Transaction, actor: User, request: StatisticsRequest) -> Table:
    """Return a page of statistics: the most decided subjects first, days the newest first, buckets and the
    total in full. Raises Forbidden, InvalidInput (`bad_period`)."""
    require(actor, Action.READ_STATISTICS)
    if request.since is not None and request.until is not None and request.since > request.until:
        raise InvalidInput("a period ends on the day that it begins or later", code="bad_period")
    waiting, since = await statistics.behind(tx)
    match request.by:
        case Dimension.DAY:
            lines, after = await _days(tx, request)
        case Dimension.TOTAL | Dimension.BUCKET:
            lines, after = await _in_full(tx, request), None
        case _:
            lines, after = await _subjects(tx, request)
    return Table(lines, waiting, since, after)


async def _days(
    tx: Transaction, request: StatisticsRequest
) -> tuple[tuple[Line, ...], tuple[int, int] | None]:
    before = None if request.after is None else date.fromordinal(request.after[0])
    found = await statistics.read_days(
        tx, since=request.since, until=request.until, before=before, limit=request.limit + 1
    )
    page = found[: request.limit]
    after = (page[-1][0].toordinal(), 0) if len(found) > request.limit else None
    return tuple(Line(sums, day=day) for day, sums in page), after


async def _in_full(tx: Transaction, request: StatisticsRequest) -> tuple[Line, ...]:
    """Return a line for every subject that there can be, also where nothing was decided."""
    found = dict(await statistics.read(tx, request.by, since=request.since, until=request.until))
    pending = await statistics.pending(tx, request.by, ())
    if request.by is Dimension.TOTAL:
        return (Line(found.get(0, Sums()), pending=pending[0]),)
    return tuple(
        Line(found.get(step, Sums()), bucket=(step * BUCKET, (step + 1) * BUCKET), pending=pending[step])
        for step in range(LAST_BUCKET + 1)
    )


async def _subjects(
    tx: Transaction, request: StatisticsRequest
) -> tuple[tuple[Line, ...], tuple[int, int] | None]:
    found = await statistics.read(
        tx,
        request.by,
        since=request.since,
        until=request.until,
        after=request.after,
        limit=request.limit + 1,
    )
    page = found[: request.limit]
    subjects = [subject for subject, _ in page]
    pending = await statistics.pending(tx, request.by, subjects)
    named = await _named(tx, request.by, subjects)
    lines = tuple(
        Line(sums, **named[subject], pending=pending.get(subject, 0) if pending else None)  # type: ignore[arg-type]
        for subject, sums in page
    )
    after = (page[-1][1].decided, page[-1][0]) if len(found) > request.limit else None
    return lines, after


async def _named(
    tx: Transaction, dimension: Dimension, subjects: list[int]
) -> Mapping[int, Mapping[str, object]]:
    """Return how each subject is called, as fields of a Line."""
    match dimension:
        case Dimension.TYPE:
            return {number: {"type": one} for one, number in TYPE_NUMBERS.items()}
        case Dimension.TAG:
            return {one.id: {"tag": one} for one in (await tags.by_ids(tx, subjects)).values()}
        case Dimension.MODEL:
            return {one: {"model": it} for one, it in (await statistics.model_names(tx, subjects)).items()}
        case _:
            return {one: {"reviewer": it} for one, it in (await statistics.user_names(tx, subjects)).items()}
