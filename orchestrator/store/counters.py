"""Counts per tag, kept beside the rows they count: pending suggestions by confidence, and links.

`tag_pending` has the pending counts once more, one row a tag: the worklist reads every tag that has any.
Written last in a transaction, as net deltas in tag order, so that two units never wait for each other's
counters in opposite order, and a hot tag's row is held for the shortest time.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from orchestrator.store.transaction import Transaction

BUCKET = 500
LAST_BUCKET = 19
PENDING = "pending"
LINKS = "links"
COLUMNS = tuple(f"b{number:02}" for number in range(LAST_BUCKET + 1))
"""The columns of `tag_pending`, by bucket."""


def bucket(confidence: int) -> int:
    """Return the 0.05-wide bucket, 0 … 19, of a confidence in ten-thousandths."""
    return min(confidence // BUCKET, LAST_BUCKET)


@dataclass(slots=True)
class Deltas:
    """Changes gathered during a unit, applied by its last statement."""

    amounts: Counter[tuple[int, str, int]] = field(default_factory=Counter)

    def pending(self, tag_id: int, confidence: int, change: int) -> None:
        """`change` pending suggestions of this tag and confidence appeared (or, negative, went)."""
        self.amounts[tag_id, PENDING, bucket(confidence)] += change

    def links(self, tag_id: int, change: int) -> None:
        """`change` links of this tag appeared (or, negative, went)."""
        self.amounts[tag_id, LINKS, 0] += change

    async def apply(self, tx: Transaction) -> None:
        """Add everything that did not cancel out. Call it last."""
        rows = sorted((key, amount) for key, amount in self.amounts.items() if amount)
        await tx.insert_many(
            "tag_counters",
            ("tag_id", "measure", "bucket", "amount"),
            [(tag_id, measure, number, amount) for (tag_id, measure, number), amount in rows],
            on_duplicate="amount = amount + VALUES(amount)",
        )
        await _list(tx, {key: amount for key, amount in rows if key[1] == PENDING})


async def _list(tx: Transaction, changes: Mapping[tuple[int, str, int], int]) -> None:
    """Bring the worklist's rows up to date, in tag order."""
    by_tag: dict[int, list[int]] = {}
    for (tag_id, _, number), amount in sorted(changes.items()):
        by_tag.setdefault(tag_id, [0] * len(COLUMNS))[number] = amount
    await tx.insert_many(
        "tag_pending",
        ("tag_id", "pending", *COLUMNS),
        [(tag_id, sum(amounts), *amounts) for tag_id, amounts in by_tag.items()],
        on_duplicate=", ".join(f"{column} = {column} + VALUES({column})" for column in ("pending", *COLUMNS)),
    )


@dataclass(frozen=True, slots=True)
class TagCount:
    """`pending` by 0.05 bucket, lowest first; `links` in all. `listed`: pending as the worklist has it, in
    all and then by bucket."""

    tag_id: int
    pending: tuple[int, ...]
    links: int
    listed: tuple[int, ...]


async def load(tx: Transaction) -> tuple[TagCount, ...]:
    """Return the counts of every tag that has any, in tag order."""
    counters = await tx.fetch_rows("SELECT tag_id, measure, bucket, amount FROM tag_counters")
    listed = await tx.fetch_rows(f"SELECT tag_id, pending, {', '.join(COLUMNS)} FROM tag_pending")  # noqa: S608
    return _by_tag(counters, {row[0]: row[1:] for row in listed if any(row[1:])})


_COUNT = (
    "SELECT tag_id, 'pending', LEAST(confidence DIV 500, 19) AS bucket, COUNT(*)"
    " FROM suggestions WHERE status = 'pending' GROUP BY tag_id, bucket",
    "SELECT tag_id, 'links', 0, COUNT(*) FROM tag_links GROUP BY tag_id",
)


async def recount(tx: Transaction) -> tuple[TagCount, ...]:
    """Return what the counts should be, from the rows themselves (a scan)."""
    rows = [row for count in _COUNT for row in await tx.fetch_rows(count)]
    listed: dict[int, list[int]] = {}
    for tag_id, measure, number, amount in rows:
        if measure == PENDING:
            listed.setdefault(tag_id, [0] * len(COLUMNS))[int(number)] = int(amount)
    return _by_tag(rows, {tag_id: (sum(amounts), *amounts) for tag_id, amounts in listed.items()})


async def rebuild(tx: Transaction) -> None:
    """Replace every counter by a recount. Share locks keep writers out of what has been counted."""
    await tx.execute("DELETE FROM tag_counters")
    for count in _COUNT:
        await tx.execute(
            f"INSERT INTO tag_counters (tag_id, measure, bucket, amount) {count} LOCK IN SHARE MODE"
            " ON DUPLICATE KEY UPDATE amount = VALUES(amount)"
        )
    sums = ", ".join(f"SUM(IF(bucket = {number}, amount, 0))" for number in range(len(COLUMNS)))
    await tx.execute("DELETE FROM tag_pending")
    await tx.execute(
        f"INSERT INTO tag_pending (tag_id, pending, {', '.join(COLUMNS)})"  # noqa: S608
        f" SELECT tag_id, SUM(amount), {sums} FROM tag_counters WHERE measure = 'pending' GROUP BY tag_id"
    )


def _by_tag(
    rows: list[tuple[int, str, int, int]], listed: Mapping[int, tuple[int, ...]]
) -> tuple[TagCount, ...]:
    amounts: Counter[tuple[int, str, int]] = Counter()
    for tag_id, measure, number, amount in rows:
        amounts[tag_id, measure, number] += int(amount)
    tags = sorted({*listed, *(key[0] for key, amount in amounts.items() if amount)})
    return tuple(
        TagCount(
            tag_id=tag,
            pending=tuple(amounts[tag, PENDING, number] for number in range(LAST_BUCKET + 1)),
            links=amounts[tag, LINKS, 0],
            listed=listed.get(tag, (0,) * (1 + len(COLUMNS))),
        )
        for tag in tags
    )


async def pending_of(tx: Transaction, tag_ids: Collection[int]) -> dict[int, int]:
    """Return how many pending suggestions each tag has, explorations included; tags without any are left
    out."""
    if not tag_ids:
        return {}
    rows = await tx.fetch_rows(
        "SELECT tag_id, pending FROM tag_pending WHERE tag_id IN :ids AND pending > 0", ids=sorted(tag_ids)
    )
    return {tag_id: int(amount) for tag_id, amount in rows}
