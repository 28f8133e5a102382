"""The invariants of the review, asked of a live database (DESIGN 5).

Each is one statement that scans; reviewers go on meanwhile, so a count may differ for a moment between two
statements: what is found twice is real.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orchestrator.store import counters, statistics
from orchestrator.store.transaction import Transaction

EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Violation:
    """How many rows break an invariant, and some of them, in words."""

    invariant: str
    rows: int
    examples: tuple[str, ...]


async def violations(tx: Transaction) -> tuple[Violation, ...]:
    """Return every invariant that is broken."""
    return tuple([found for check in _CHECKS if (found := await check(tx)) is not None])


async def counted(tx: Transaction) -> Violation | None:
    """Counters equal a recount."""
    stored = {one.tag_id: one for one in await counters.load(tx)}
    real = {one.tag_id: one for one in await counters.recount(tx)}
    wrong = sorted(tag for tag in stored.keys() | real.keys() if stored.get(tag) != real.get(tag))
    return _violation("counters equal a recount", [f"tag {tag}" for tag in wrong])


async def approved_are_linked(tx: Transaction) -> Violation | None:
    """Every approved row's canonical tag is linked, or a recorded act removed the link."""
    rows = await tx.fetch_rows(
        """
        SELECT s.id, s.image_id, t.title
        FROM suggestions s JOIN tags t ON t.id = s.tag_id
        WHERE s.status = 'approved'
          AND NOT EXISTS (
            SELECT 1 FROM tag_links l JOIN tags lt ON lt.id = l.tag_id
            WHERE l.image_id = s.image_id AND COALESCE(lt.alias_of, lt.id) = COALESCE(t.alias_of, t.id))
          AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.suggestion_id = s.id AND v.decision = 'unlink')
        ORDER BY s.id
        """
    )
    return _violation("every approved tag is linked", [_row(row) for row in rows])


async def pending_are_open(tx: Transaction) -> Violation | None:
    """Nobody is asked about a tag that the image has, or an ancestor of one."""
    rows = await tx.fetch_rows(
        """
        SELECT s.id, s.image_id, t.title
        FROM suggestions s JOIN tags t ON t.id = s.tag_id
        WHERE s.status = 'pending' AND EXISTS (
            SELECT 1 FROM tag_links l JOIN tags lt ON lt.id = l.tag_id
            LEFT JOIN tag_closure c ON c.descendant_id = COALESCE(lt.alias_of, lt.id)
                AND c.ancestor_id = COALESCE(t.alias_of, t.id)
            WHERE l.image_id = s.image_id
              AND (COALESCE(lt.alias_of, lt.id) = COALESCE(t.alias_of, t.id) OR c.ancestor_id IS NOT NULL))
        ORDER BY s.id
        """
    )
    return _violation("no pending row is of an applied tag or its ancestor", [_row(row) for row in rows])


async def log_is_unbroken(tx: Transaction) -> Violation | None:
    """Each act begins where the one before on the same row ended, at a later version."""
    rows = await tx.fetch_rows(
        """
        SELECT id, image_id, CONCAT('verdict on suggestion ', suggestion_id) FROM (
            SELECT id, image_id, suggestion_id, from_status, from_version,
                   LAG(to_status) OVER chain AS left_at, LAG(to_version) OVER chain AS left_version
            FROM verdicts WINDOW chain AS (PARTITION BY suggestion_id ORDER BY id)
        ) acts
        WHERE left_at IS NOT NULL AND (left_at <> from_status OR left_version > from_version)
        ORDER BY id
        """
    )
    return _violation("the log of a row is unbroken", [_row(row) for row in rows])


async def log_gives_every_status(tx: Transaction) -> Violation | None:
    """Replaying the log gives the status of every decided row, and no other row is decided."""
    rows = await tx.fetch_rows(
        """
        SELECT s.id, s.image_id, CONCAT(s.status, ', by the log ', COALESCE(v.to_status, 'never decided'))
        FROM suggestions s
        LEFT JOIN verdicts v ON v.id = (SELECT MAX(w.id) FROM verdicts w WHERE w.suggestion_id = s.id)
        WHERE COALESCE(v.to_status, 'pending') <> s.status
        ORDER BY s.id
        """
    )
    return _violation("the log gives the status of every row", [_row(row) for row in rows])


async def summed_up(tx: Transaction) -> Violation | None:
    """The statistics are what the log says, as far as it has been summed up."""
    return _violation("statistics equal a recount", await statistics.differing(tx))


_CHECKS: tuple[Callable[[Transaction], Awaitable[Violation | None]], ...] = (
    counted,
    approved_are_linked,
    pending_are_open,
    log_is_unbroken,
    log_gives_every_status,
    summed_up,
)


def _row(row: tuple[object, ...]) -> str:
    return f"{row[0]} (image {row[1]}: {row[2]})"


def _violation(invariant: str, found: list[str]) -> Violation | None:
    if not found:
        return None
    return Violation(invariant, len(found), tuple(found[:EXAMPLES]))
