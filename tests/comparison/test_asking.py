"""Comparisons for people who wait: with the active version unless said, and not made twice."""

import pytest
from compared_board import ComparedBoard

from orchestrator.comparison import asking
from orchestrator.comparison.asking import Asked, Comparisons
from orchestrator.errors import NotFound, StoreUnavailable
from orchestrator.records import LabelCategory
from orchestrator.store import models, thresholds

pytestmark = pytest.mark.anyio


def asked(m: int | None, images: int = 100) -> Asked:
    return Asked("wd14", m, 2, images=images, shown=5)


async def test_an_answer_is_kept_while_the_rules_stay(compared: ComparedBoard) -> None:
    # Given a comparison with the active version
    board = compared.board
    comparisons = Comparisons(board.store, board.settings)
    image = await compared.seen({"smile": 9000}, {"smile": 9000})
    first = await comparisons.ask(asked(None))
    assert (first.m, first.n, first.images) == (1, 2, 1)
    # When it is asked for again, it is the same, though somebody has decided since
    await compared.approve(image, "smile")
    assert await comparisons.ask(asked(None)) is first
    assert (await comparisons.ask(asked(1))).judged == 1
    # And when the rules change, it is made anew
    await board.store.write(
        lambda tx: thresholds.set_score(tx, compared.second, LabelCategory.GENERAL, 9500, actor_id=None)
    )
    assert (await comparisons.ask(asked(None))).agreement.only_m == 1


async def test_what_cannot_be_answered(compared: ComparedBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    board = compared.board
    comparisons = Comparisons(board.store, board.settings)
    # When there is no time left
    monkeypatch.setattr(asking, "PATIENCE", 0.0)
    with pytest.raises(StoreUnavailable, match="fewer images"):
        await comparisons.ask(asked(1))
    # And when no version is active
    monkeypatch.setattr(asking, "PATIENCE", 20.0)
    await board.store.write(lambda tx: models.retire(tx, compared.first))
    with pytest.raises(NotFound):
        await comparisons.ask(asked(None))
    assert (await comparisons.ask(asked(1))).images == 0
