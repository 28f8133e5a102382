"""In use, out of use, gone: one row decides, Triton follows, and what is under way is left to finish."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from coloured_sources import COLOUR, SIZE, Source
from workshop import Workshop

from orchestrator.errors import Conflict, ModelError, NotFound
from orchestrator.records import VersionState
from orchestrator.registry import lifecycle
from orchestrator.store import audit, models

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("publish")]

SQUARE = np.full((1, SIZE, SIZE, 3), COLOUR, np.uint8)


@pytest.fixture
async def two(workshop: Workshop, tmp_path: Path) -> Workshop:
    """Version 1 in use, version 2 staged."""
    await workshop.publisher().publish(Source().write(tmp_path / "1"), activate=True)
    await workshop.publisher().publish(Source(gain=0.5).write(tmp_path / "2"))
    return workshop


async def activate(workshop: Workshop, version: int) -> None:
    await lifecycle.activate(
        workshop.store, workshop.settings, workshop.triton, "colours", version, actor="ada"
    )


async def deactivate(workshop: Workshop, version: int) -> None:
    await lifecycle.deactivate(
        workshop.store, workshop.settings, workshop.triton, "colours", version, actor="ada"
    )


async def remove(workshop: Workshop, version: int) -> None:
    await lifecycle.remove(
        workshop.store, workshop.settings, workshop.triton, "colours", version, actor="ada"
    )


async def states(workshop: Workshop) -> dict[int, tuple[str, bool]]:
    return {row.version: (str(row.state), row.loaded) for row in (await workshop.rows()).values()}


async def test_activating_switches_and_keeps_the_one_before(two: Workshop) -> None:
    await activate(two, 2)
    assert await states(two) == {1: ("retired", True), 2: ("active", True)}
    assert await two.served() == {("colours", 1), ("colours", 2)}
    # And going back is the same again, and doing it twice changes nothing
    await activate(two, 1)
    await activate(two, 1)
    assert await states(two) == {1: ("active", True), 2: ("retired", True)}
    history = await two.store.read(lambda tx: audit.of(tx, "colours/1"))
    assert [entry.action for entry in history] == ["model.activated", "model.activated", "model.published"]


async def test_requests_under_way_finish_on_the_version_they_began_with(two: Workshop) -> None:
    # Given clients that go on asking the version that was in use when they began
    (first,) = await two.active()
    answers = 0
    switched = asyncio.Event()

    async def ask() -> None:
        nonlocal answers
        while not switched.is_set():
            scores = await two.triton.infer(first, SQUARE)
            assert scores[0] == pytest.approx(Source().expected(), abs=1e-4)
            answers += 1

    async with asyncio.TaskGroup() as clients:
        for _ in range(4):
            clients.create_task(ask())
        # When versions are switched back and forth under them, then none of them fails
        for version in (2, 1, 2):
            await activate(two, version)
        switched.set()
    assert answers > 4


async def test_a_version_that_no_longer_answers_rightly_is_not_put_in_use(
    two: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(*_: object) -> int:
        raise ModelError("golden.png is off")

    monkeypatch.setattr(lifecycle, "check_golden", wrong)
    with pytest.raises(ModelError):
        await activate(two, 2)
    assert await states(two) == {1: ("active", True), 2: ("staged", True)}


async def test_out_of_use_then_unloaded_then_in_use_again(
    two: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "DRAIN", 0)
    await deactivate(two, 1)
    assert await two.active() == []
    assert await states(two) == {1: ("retired", True), 2: ("staged", True)}
    await deactivate(two, 1)
    assert await states(two) == {1: ("retired", False), 2: ("staged", True)}
    assert await two.served() == {("colours", 2)}
    await activate(two, 1)
    assert await two.served() == {("colours", 1), ("colours", 2)}
    assert [model.version for model in await two.active()] == [1]


async def test_what_is_in_use_cannot_be_removed(two: Workshop) -> None:
    before = await two.state()
    with pytest.raises(Conflict) as caught:
        await remove(two, 1)
    assert caught.value.code == "version_in_use"
    assert await two.state() == before


async def test_a_removed_version_is_gone_for_good(
    two: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "DRAIN", 0)
    await activate(two, 2)
    await remove(two, 1)
    await remove(two, 1)
    assert await two.served() == {("colours", 2)}
    assert not (two.repository / "colours/1").exists()
    assert (await two.rows())[("colours", 1)].state is VersionState.REMOVED
    with pytest.raises(Conflict) as caught:
        await activate(two, 1)
    assert caught.value.code == "version_removed"
    # And its number is not given to another
    published = await two.publisher().publish(Source(gain=0.7).write(tmp_path / "3"))
    assert published.model.version == 3


async def test_removing_waits_for_requests_that_may_be_under_way(
    two: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await activate(two, 2)
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(lifecycle.asyncio, "sleep", note)
    await remove(two, 1)
    assert len(waited) == 1
    assert 0 < waited[0] <= models.DRAIN


async def test_an_unknown_version_is_said_to_be_unknown(two: Workshop) -> None:
    for act in (activate, deactivate, remove):
        with pytest.raises(NotFound) as caught:
            await act(two, 99)
        assert caught.value.code == "version_not_found"
