"""What was shown to whom, where and at which place: without it the bias of reviews can never be corrected.

The API's lists are noted when the answer is out: nobody waits for what serves statistics, and what cannot be
noted is shown all the same. A process that dies in between loses a page of it.
"""

from collections.abc import Sequence

from orchestrator.store.transaction import Transaction


async def record(
    tx: Transaction, *, user_id: int, place: str, shown: Sequence[tuple[int, int]], first_position: int = 0
) -> None:
    """Note the suggestions shown, as (id, version), in the order of the page. `place`: `image`, `desk`, …"""
    await tx.insert_many(
        "exposures",
        ("user_id", "suggestion_id", "suggestion_version", "place", "position"),
        [
            (user_id, key, version, place, first_position + number)
            for number, (key, version) in enumerate(shown)
        ],
    )
