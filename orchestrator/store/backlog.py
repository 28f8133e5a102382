"""The backlog: what the broker has forgotten, and how far behind the pipeline is."""

from collections.abc import Sequence

from orchestrator.records import ImageState, Priority
from orchestrator.store.transaction import Transaction


async def due_for_sweep(
    tx: Transaction, *, older_than: float, limit: int, lease: float | None = None
) -> list[tuple[int, Priority]]:
    """Return images that need a message in the broker, live ones first, oldest first.

    Those are: queued, due and without a message for `older_than` seconds (at once when a retry's moment has
    come and nothing was sent for it), and running under a claim older than `lease` seconds (`older_than`
    unless given).
    """
    # The union's priorities are text, which sorts by letters; within its parts they are an ENUM's numbers.
    rows = await tx.fetch_all(
        """
        (SELECT id, priority FROM images
         WHERE state = 'queued' AND COALESCE(not_before <= UTC_TIMESTAMP(6), TRUE)
           AND (enqueued_at < UTC_TIMESTAMP(6) - INTERVAL :older_us MICROSECOND
                OR enqueued_at IS NULL
                   AND (not_before IS NOT NULL
                        OR queued_at < UTC_TIMESTAMP(6) - INTERVAL :older_us MICROSECOND))
         ORDER BY priority, enqueued_at, id LIMIT :limit)
        UNION ALL
        (SELECT id, priority FROM images
         WHERE state = 'running' AND claimed_at < UTC_TIMESTAMP(6) - INTERVAL :lease_us MICROSECOND
         ORDER BY priority, id LIMIT :limit)
        ORDER BY FIELD(priority, 'live', 'backfill'), id LIMIT :limit
        """,
        older_us=round(older_than * 1e6),
        lease_us=round((older_than if lease is None else lease) * 1e6),
        limit=limit,
    )
    return [(row["id"], Priority(row["priority"])) for row in rows]


async def mark_enqueued(tx: Transaction, image_ids: Sequence[int]) -> None:
    """Note that a message for each of these images has been sent just now."""
    if image_ids:
        await tx.execute(
            "UPDATE images SET enqueued_at = UTC_TIMESTAMP(6)"
            " WHERE id IN :ids AND state = 'queued' ORDER BY id",
            ids=sorted(set(image_ids)),
        )


async def counts_by_state(tx: Transaction) -> dict[ImageState, int]:
    """Return how many images stand in each state; every state is present."""
    rows = await tx.fetch_all("SELECT state, COUNT(*) AS amount FROM images GROUP BY state")
    found = {row["state"]: int(row["amount"]) for row in rows}
    return {state: found.get(state, 0) for state in ImageState}


async def oldest_queued_age(tx: Transaction) -> float | None:
    """Return for how many seconds the oldest due image has been waiting; None when none waits."""
    row = await tx.fetch_one(
        """
        SELECT TIMESTAMPDIFF(MICROSECOND, MIN(GREATEST(queued_at, COALESCE(not_before, queued_at))),
                             UTC_TIMESTAMP(6)) AS age
        FROM images WHERE state = 'queued' AND COALESCE(not_before <= UTC_TIMESTAMP(6), TRUE)
        """
    )
    age = None if row is None else row["age"]
    return None if age is None else max(0.0, float(age) / 1e6)
