"""Statistics of the review."""

from orchestrator.api import answers, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.records import Dimension, as_probability
from orchestrator.review.statistics import Line, StatisticsRequest, read_statistics
from orchestrator.store.statistics import Sums
from orchestrator.wire.statistics import (
    BucketSubject,
    ExploredAnswer,
    ModelSubject,
    RejectedAnswer,
    StatisticsAnswer,
    StatisticsLine,
    StatisticsQuery,
)

LAST_ORDINAL = 3_652_059  # 9999-12-31


async def show_statistics(call: Call) -> Reply:
    """Return a page of statistics."""
    query, user = call.query(StatisticsQuery), call.user
    kind = f"statistics {query.by} {query.since} {query.until}"
    after = pagination.decode(query.cursor, kind, 2)
    request = StatisticsRequest(
        by=query.by,
        since=query.since,
        until=query.until,
        after=None if after is None else _place(query.by, after[0], after[1]),
        limit=query.limit,
    )
    table = await call.read(lambda tx: read_statistics(tx, user, request))
    return Reply(
        200,
        StatisticsAnswer(
            by=query.by,
            items=tuple(_line(line) for line in table.lines),
            waiting=table.waiting,
            behind_since=table.behind_since,
            next_cursor=None if table.next is None else pagination.encode(kind, *table.next),
        ),
    )


def _place(by: Dimension, first: int, second: int) -> tuple[int, int]:
    """Return the place of a cursor, kept to what can be one: people may send any number."""
    return (min(max(first, 1), LAST_ORDINAL) if by is Dimension.DAY else first), second


def _line(line: Line) -> StatisticsLine:
    sums = line.sums
    return StatisticsLine(
        model=None if line.model is None else ModelSubject(name=line.model[0], version=line.model[1]),
        type=line.type,
        tag=None if line.tag is None else answers.tag(line.tag),
        bucket=None
        if line.bucket is None
        else BucketSubject(low=as_probability(line.bucket[0]), high=as_probability(line.bucket[1])),
        reviewer=line.reviewer,
        day=line.day,
        decided=sums.decided,
        approved=sums.approved,
        rejected=RejectedAnswer(
            wrong=sums.wrong, redundant=sums.redundant, not_wanted=sums.not_wanted, other=sums.other
        ),
        explored=ExploredAnswer(approved=sums.explored_approved, rejected=sums.explored_rejected),
        implied=sums.implied,
        cleared=sums.cleared,
        approval_rate=_rate(sums),
        pending=line.pending,
    )


def _rate(sums: Sums) -> float | None:
    approved = sums.approved - sums.explored_approved
    decided = sums.decided - sums.explored_approved - sums.explored_rejected
    # A batch and its undo may be summed up in either order, so for a moment sums may be below zero.
    return round(min(max(approved / decided, 0.0), 1.0), 4) if decided > 0 else None
