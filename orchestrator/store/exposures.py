"""What was shown to whom, where and at which place: without it the bias of reviews can never be corrected."""

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
