# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Sums of the review's log, by dimension and day; read by people, written behind the reviews, never by them.

A batch's lines are added once, with the mark up to where (`review_batches.counted_to`) in the same
transaction. The lines of an undo take off what the lines that they undid had added, on the day of those. So
sums are of what stands, and in the end it does not matter which of the two batches is summed up first.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from orchestrator.records import Dimension, TagType
from orchestrator.store.counters import BUCKET, COLUMNS, LAST_BUCKET
from orchestrator.store.rows import moment_or_none
from orchestrator.store.transaction import Transaction

ALL_TIME = date(1000, 1, 1)
"""The day of the sums over all days."""

_FIRST, _LAST = date(1970, 1, 1), date(9999, 12, 31)

TYPE_NUMBERS: Mapping[TagType, int] = {
    TagType.THEME: 1,
    TagType.CHARACTER: 2,
    TagType.SOURCE: 3,
    TagType.ARTIST: 4,
}
MEASURES = (
    *("approved", "wrong", "redundant", "not_wanted", "other", "implied", "cleared"),
    *("explored_approved", "explored_rejected"),
)


@dataclass(frozen=True, slots=True)
class Sums:
    """How many lines of the log stand. `wrong` … `other`: rejections by reason; `implied`: the board put the
    tag there itself; `cleared`: made redundant by another verdict. `explored_*`: those of the approvals and
    rejections whose row was an exploration."""

    approved: int = 0
    wrong: int = 0
    redundant: int = 0
    not_wanted: int = 0
    other: int = 0
    implied: int = 0
    cleared: int = 0
    explored_approved: int = 0
    explored_rejected: int = 0

    @property
    def rejected(self) -> int:
        """Rejections for any reason."""
        return self.wrong + self.redundant + self.not_wanted + self.other

    @property
    def decided(self) -> int:
        """Verdicts that people gave on a suggestion that they were asked about."""
        return self.approved + self.rejected


@dataclass(frozen=True, slots=True)
class Alike:
    """Lines of the log that are alike, and how many: negative where they were undone. Of a confidence only
    its step is said."""

    day: date
    model_version_id: int
    tag_id: int
    type: TagType
    bucket: int
    user_id: int
    measure: str
    explored: bool
    amount: int


Key = tuple[Dimension, date, int]

_ALIKE = f"""
    SELECT DATE(v.created_at), v.model_version_id, v.tag_id, t.type,
           LEAST(v.confidence DIV {BUCKET}, {LAST_BUCKET}), v.user_id,
           CASE v.decision WHEN 'approve' THEN 'approved' WHEN 'imply' THEN 'implied'
                           WHEN 'clear' THEN 'cleared' ELSE v.reason END,
           v.exploration, COUNT(*)
"""
_SAY_SOMETHING = "v.decision IN ('approve', 'reject', 'imply', 'clear')"
_BY_ALL = "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"
_STANDING = f"""
    {_ALIKE} FROM verdicts v JOIN review_batches b ON b.id = v.batch_id JOIN tags t ON t.id = v.tag_id
    WHERE %s AND {_SAY_SOMETHING} {_BY_ALL}
"""
# A row is undone at the version that the verdict left, so that version tells which line it was.
_UNDONE = f"""
    {_ALIKE} FROM verdicts u JOIN review_batches b ON b.id = u.batch_id
    JOIN verdicts v ON v.suggestion_id = u.suggestion_id AND v.to_version = u.from_version
        AND v.undone_by = u.batch_id
    JOIN tags t ON t.id = v.tag_id
    WHERE %s AND u.decision = 'undo' AND {_SAY_SOMETHING} {_BY_ALL}
"""


async def sum_up(tx: Transaction, *, limit: int) -> int:
    """Add what up to `limit` batches have that is not in the sums yet; returns how many batches that were.

    Batches that somebody is writing just now are left for later.
    """
    waiting = await tx.fetch_rows(
        "SELECT id FROM review_batches WHERE counted = FALSE ORDER BY id LIMIT :limit", limit=limit
    )
    if not waiting:
        return 0
    mine = await tx.fetch_rows(
        "SELECT id FROM review_batches WHERE id IN :ids AND counted = FALSE ORDER BY id"
        " FOR UPDATE SKIP LOCKED",
        ids=[row[0] for row in waiting],
    )
    ids = [row[0] for row in mine]
    if not ids:
        return 0
    new = "b.id IN :ids AND {}.id > b.counted_to"
    found = await _alike(tx, _STANDING % new.format("v"), +1, ids=ids)
    found += await _alike(tx, _UNDONE % new.format("u"), -1, ids=ids)
    # Whatever a growing batch gets later has a larger id than all that there is now: its row is locked.
    ((last,),) = await tx.fetch_rows(
        "SELECT COALESCE(MAX(id), 0) FROM verdicts WHERE batch_id IN :ids", ids=ids
    )
    await tx.execute(
        "UPDATE review_batches SET counted = TRUE, counted_to = :last WHERE id IN :ids", ids=ids, last=last
    )
    await _add(tx, gathered(found))
    return len(ids)


def gathered(lines: Collection[Alike]) -> dict[Key, Counter[str]]:
    """Return what these lines add to which sums: each counts once in every dimension, on its day and over all
    time."""
    found: dict[Key, Counter[str]] = {}
    for line in lines:
        measures = {line.measure: line.amount}
        if line.explored and line.measure not in ("implied", "cleared"):
            measures["explored_approved" if line.measure == "approved" else "explored_rejected"] = line.amount
        subjects = (
            (Dimension.TOTAL, 0),
            (Dimension.MODEL, line.model_version_id),
            (Dimension.TYPE, TYPE_NUMBERS[line.type]),
            (Dimension.TAG, line.tag_id),
            (Dimension.BUCKET, line.bucket),
            (Dimension.REVIEWER, line.user_id),
        )
        for dimension, subject in subjects:
            for day in (line.day, ALL_TIME):
                found.setdefault((dimension, day, subject), Counter()).update(measures)
    return found


async def _alike(tx: Transaction, statement: str, sign: int, **parameters: object) -> list[Alike]:
    rows = await tx.fetch_rows(statement, **parameters)
    return [
        Alike(row[0], row[1], row[2], TagType(row[3]), row[4], row[5], row[6], bool(row[7]), sign * row[8])
        for row in rows
    ]


async def _add(tx: Transaction, sums: Mapping[Key, Counter[str]]) -> None:
    await tx.insert_many(
        "review_rollups",
        ("dimension", "day", "subject", *MEASURES),
        [(*key, *(amounts[one] for one in MEASURES)) for key, amounts in sorted(sums.items())],
        on_duplicate=", ".join(f"{one} = {one} + VALUES({one})" for one in MEASURES),
    )


async def read(
    tx: Transaction,
    dimension: Dimension,
    *,
    since: date | None = None,
    until: date | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 1000,
) -> list[tuple[int, Sums]]:
    """Return the sums by subject, the most decided ones first; not for days, see `read_days`.

    The subject is 0 of the total, a model version's id, a number of TYPE_NUMBERS, a tag's id, a step of 0.05
    of the confidence (0 … 19), or a user's id.

    `since`, `until`: days, both included; `after`: (decided, subject) of where the page before ended. Sums of
    nothing at all are left out.
    """
    every = since is None and until is None
    return await _read(
        tx,
        "subject",
        "dimension = :dimension AND day BETWEEN :since AND :until GROUP BY subject HAVING something > 0"
        " AND (:decided IS NULL OR decided < :decided OR decided = :decided AND subject > :last)"
        " ORDER BY decided DESC, subject LIMIT :limit",
        dimension=dimension,
        since=ALL_TIME if every else since or _FIRST,
        until=ALL_TIME if every else until or _LAST,
        decided=None if after is None else after[0],
        last=None if after is None else after[1],
        limit=limit,
    )


async def read_days(
    tx: Transaction, *, since: date | None, until: date | None, before: date | None, limit: int
) -> list[tuple[date, Sums]]:
    """Return the sums of each day, the newest first; `before`: the last day of the page before."""
    return await _read(
        tx,
        "day",
        "dimension = 'total' AND day > :all_time AND day BETWEEN :since AND :until"
        " AND (:before IS NULL OR day < :before) GROUP BY day HAVING something > 0"
        " ORDER BY day DESC LIMIT :limit",
        all_time=ALL_TIME,
        since=since or _FIRST,
        until=until or _LAST,
        before=before,
        limit=limit,
    )


async def _read(
    tx: Transaction, subject: str, condition: str, **parameters: object
) -> list[tuple[Any, Sums]]:
    sums = ", ".join(f"CAST(SUM({one}) AS SIGNED) AS {one}" for one in MEASURES)
    rows = await tx.fetch_rows(
        f"SELECT {subject}, {sums}, SUM(approved + wrong + redundant + not_wanted + other) AS decided,"
        f" SUM({' + '.join(MEASURES)}) AS something FROM review_rollups WHERE {condition}",
        **parameters,
    )
    return [(row[0], Sums(*row[1 : len(MEASURES) + 1])) for row in rows]


async def behind(tx: Transaction) -> tuple[int, datetime | None]:
    """Return how many batches the sums lack, and the moment of the oldest one."""
    rows = await tx.fetch_rows("SELECT COUNT(*), MIN(created_at) FROM review_batches WHERE counted = FALSE")
    return rows[0][0], moment_or_none(rows[0][1])


async def pending(tx: Transaction, dimension: Dimension, subjects: Sequence[int]) -> dict[int, int]:
    """Return how many suggestions are pending by subject, from counters; {} where they do not say."""
    match dimension:
        case Dimension.TOTAL:
            rows = await tx.fetch_rows("SELECT 0, COALESCE(SUM(pending), 0) FROM tag_pending")
        case Dimension.TAG if subjects:
            rows = await tx.fetch_rows(
                "SELECT tag_id, pending FROM tag_pending WHERE tag_id IN :ids", ids=list(subjects)
            )
        case Dimension.TYPE:
            by_type = await tx.fetch_rows(
                "SELECT t.type, SUM(p.pending) FROM tag_pending p JOIN tags t ON t.id = p.tag_id GROUP BY 1"
            )
            rows = [(TYPE_NUMBERS[TagType(row[0])], row[1]) for row in by_type]
        case Dimension.BUCKET:
            steps = ", ".join(f"COALESCE(SUM({column}), 0)" for column in COLUMNS)
            (amounts,) = await tx.fetch_rows(f"SELECT {steps} FROM tag_pending")
            rows = list(enumerate(amounts))
        case _:
            rows = []
    return {row[0]: int(row[1]) for row in rows}


async def model_names(tx: Transaction, version_ids: Sequence[int]) -> dict[int, tuple[str, int]]:
    """Return name and number of model versions, by id."""
    if not version_ids:
        return {}
    rows = await tx.fetch_rows(
        "SELECT id, name, version FROM model_versions WHERE id IN :ids", ids=list(version_ids)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def user_names(tx: Transaction, user_ids: Sequence[int]) -> dict[int, str]:
    """Return people's names, by id."""
    if not user_ids:
        return {}
    rows = await tx.fetch_rows("SELECT id, name FROM users WHERE id IN :ids", ids=list(user_ids))
    return {row[0]: row[1] for row in rows}


async def differing(tx: Transaction) -> list[str]:
    """Return the sums that are not what the log says, in words."""
    lines = await _alike(tx, _STANDING % "v.id <= b.counted_to", +1)
    lines += await _alike(tx, _UNDONE % "u.id <= b.counted_to", -1)
    real = gathered(lines)
    rows = await tx.fetch_rows(
        f"SELECT dimension, day, subject, {', '.join(MEASURES)} FROM review_rollups ORDER BY 1, 2, 3"
    )
    stored = {(Dimension(row[0]), row[1], row[2]): row[3:] for row in rows}
    nothing = Counter[str]()
    return [
        f"{dimension} {subject}, {'all time' if day == ALL_TIME else day}"
        for dimension, day, subject in sorted(stored.keys() | real.keys())
        if stored.get((dimension, day, subject), (0,) * len(MEASURES))
        != tuple(real.get((dimension, day, subject), nothing)[one] for one in MEASURES)
    ]


async def begin_anew(tx: Transaction) -> None:
    """Empty the sums, so that everything is summed up again."""
    await tx.execute("UPDATE review_batches SET counted = FALSE, counted_to = 0")
    await tx.execute("DELETE FROM review_rollups")
