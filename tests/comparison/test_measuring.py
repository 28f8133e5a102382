"""What promoting rests on: a worse version is seen by people's verdicts, and a better one passes."""

import pytest
from compared_board import ComparedBoard

from orchestrator.rollout.guard import Guard, faults
from orchestrator.rollout.measuring import measure
from orchestrator.store import models
from orchestrator.store.models import VersionRow

pytestmark = pytest.mark.anyio

GUARD = Guard(min_images=30)
GOOD, SWAPPED = {"smile": 9000, "hair": 8000}, {"blue_eyes": 9000, "long_hair": 8000}


async def row(compared: ComparedBoard, number: int) -> VersionRow:
    found = await compared.board.store.read(lambda tx: models.find(tx, "wd14", number))
    assert found is not None
    return found


async def test_two_labels_swapped_are_noticed_and_the_other_way_round_they_pass(
    compared: ComparedBoard,
) -> None:
    # Given images on which people approved what version 1 says, and version 2 says other things of most
    for number in range(30):
        image = await compared.seen(GOOD, SWAPPED if number % 3 else GOOD)
        await compared.approve(image, "smile")
        await compared.approve(image, "hair")
    first, second = await row(compared, 1), await row(compared, 2)
    store, settings = compared.board.store, compared.board.settings
    # When version 2 is measured against it, then the loss is sure
    worse = await measure(store, settings, first, second)
    assert (worse.images, worse.judged) == (30, 30)
    (why,) = faults(worse, GUARD)
    assert "F1" in why
    # And the other way round there is nothing to say against it
    better = await measure(store, settings, second, first)
    assert faults(better, GUARD) == ()
    assert better.f1 is not None
    assert better.f1[0] < better.f1[1]
    assert len(faults(better, Guard(min_images=31))) == 1


async def test_with_nothing_seen_by_both_there_is_only_too_little(compared: ComparedBoard) -> None:
    found = await measure(
        compared.board.store, compared.board.settings, await row(compared, 1), await row(compared, 2)
    )
    assert (found.images, found.f1, found.change) == (0, None, None)
