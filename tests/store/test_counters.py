"""Counters, exposures and idempotency keys by themselves."""

import pytest
from small_board import SmallBoard

from orchestrator.store import counters, exposures

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("confidence", "bucket"), [(0, 0), (499, 0), (500, 1), (9499, 18), (9500, 19), (10_000, 19)]
)
def test_a_bucket_is_a_twentieth_of_confidence(confidence: int, bucket: int) -> None:
    assert counters.bucket(confidence) == bucket


async def test_counts_say_how_many_are_pending_at_which_confidence(board: SmallBoard) -> None:
    await board.suggested({"smile": 9000})
    await board.suggested({"smile": 10_000})

    (count,) = await board.store.read(counters.load)

    assert count.tag_id == board.tags["smile"].id
    assert {number: amount for number, amount in enumerate(count.pending) if amount} == {18: 1, 19: 1}


async def test_changes_that_cancel_out_touch_no_row(board: SmallBoard) -> None:
    deltas = counters.Deltas()
    deltas.pending(1, 9000, +1)
    deltas.pending(1, 9100, -1)

    await board.store.write(deltas.apply)

    assert await board.store.read(lambda tx: tx.fetch_rows("SELECT * FROM tag_counters")) == []


async def test_a_rebuild_mends_counters_that_went_wrong(board: SmallBoard) -> None:
    await board.suggested({"smile": 9000, "hair": 4000})
    right = await board.store.read(counters.load)
    await board.store.write(lambda tx: tx.execute("UPDATE tag_counters SET amount = amount + 7"))
    assert await board.store.read(counters.load) != right

    await board.store.write(counters.rebuild)

    assert await board.store.read(counters.load) == right


async def test_what_was_shown_is_kept_with_its_place(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000, "hair": 4000})
    rows = await board.rows(image_id)

    await board.store.write(
        lambda tx: exposures.record(
            tx,
            user_id=board.tagger.id,
            place="desk",
            shown=[(row.id, row.version) for row in rows.values()],
            first_position=10,
        )
    )

    stored = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT user_id, suggestion_id, suggestion_version, place, position FROM exposures"
            " ORDER BY position"
        )
    )
    assert stored == [
        (board.tagger.id, row.id, 1, "desk", place) for place, row in enumerate(rows.values(), start=10)
    ]
