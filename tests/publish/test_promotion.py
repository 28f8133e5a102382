"""Promote, roll back, retire: guarded, in one transaction, on record, and both ways."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from coloured_sources import Source
from workshop import Workshop

from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.records import VersionState
from orchestrator.registry.register import register_folder
from orchestrator.rollout import shadowing, switching
from orchestrator.rollout.guard import Guard, Measured, faults
from orchestrator.rollout.switching import Place
from orchestrator.settings import Settings
from orchestrator.store import audit, models, rules_version, shadows
from orchestrator.store.models import VersionRow
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("publish")]

LAX = Guard(min_images=0)
VERSIONS = {1: 1.0, 2: 0.5, 3: 0.7}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with three versions, filled by whoever needs it first."""
    return tmp_path_factory.mktemp("prepared") / "colours"


@pytest.fixture
async def two(workshop: Workshop, tmp_path: Path, prepared: Path) -> Workshop:
    """Version 1 in use, versions 2 and 3 staged."""
    if not await asyncio.to_thread(prepared.exists):
        for version, gain in VERSIONS.items():
            source = Source(gain=gain).write(tmp_path / str(version))
            await workshop.publisher().publish(source, activate=True)
        await asyncio.to_thread(shutil.copytree, workshop.repository / "colours", prepared)
        return workshop
    await asyncio.to_thread(shutil.copytree, prepared, workshop.repository / "colours")
    for version in VERSIONS:
        model = await register_folder(workshop.store, workshop.settings, "colours", version)
        await workshop.store.write(lambda tx, model=model: models.set_loaded(tx, model.id, True))
    await workshop.triton.load("colours", list(VERSIONS), repository=workshop.repository)
    return workshop


def place(workshop: Workshop) -> Place:
    return Place(workshop.store, workshop.settings, workshop.triton, "ada")


async def states(workshop: Workshop) -> dict[int, str]:
    return {row.version: str(row.state) for row in (await workshop.rows()).values()}


async def events(workshop: Workshop) -> list[tuple[str, dict[str, object]]]:
    rows = await workshop.store.read(lambda tx: tx.fetch_rows("SELECT kind, payload FROM outbox ORDER BY id"))
    return [(kind, json.loads(payload)) for kind, payload in rows]


def found(measured: Measured) -> switching.Measure:
    async def compare(_store: Store, _settings: Settings, *_rows: VersionRow) -> Measured:
        return measured

    return compare


class TestGuard:
    def test_what_speaks_against_a_version(self) -> None:
        guard = Guard(min_images=500, margin=0.01)
        assert faults(Measured(500), guard) == ()
        assert "499 images, 500 are asked for" in faults(Measured(499), guard)[0]
        # A loss counts only when all of its interval is beyond the margin
        unsure = Measured(500, 90, (0.8, 0.7), (-0.2, -0.01))
        sure = Measured(500, 90, (0.8, 0.7), (-0.2, -0.011))
        assert faults(unsure, guard) == ()
        assert "0.700 instead of 0.800" in faults(sure, guard)[0]
        assert faults(sure, Guard(500, margin=0.02)) == ()


class TestPromote:
    async def test_too_little_is_known_and_nothing_changes(self, two: Workshop) -> None:
        # Publishing others has not put them in use
        assert await states(two) == {1: "active", 2: "staged", 3: "staged"}
        before = await two.state(), await events(two)
        with pytest.raises(Conflict, match="0 images, 500 are asked for") as refusal:
            await switching.promote(place(two), "colours", 2)
        assert refusal.value.code == "promotion_refused"
        with pytest.raises(Conflict):
            await switching.activate(place(two), "colours", 2)
        with pytest.raises(InvalidInput) as missing:
            await switching.promote(place(two), "colours", 2, force=True, reason=" ")
        assert missing.value.code == "reason_missing"
        assert (await two.state(), await events(two)) == before

    async def test_a_worse_version_is_refused_and_can_be_forced_on_the_record(self, two: Workshop) -> None:
        worse = found(Measured(900, 300, (0.8, 0.7), (-0.15, -0.05)))
        with pytest.raises(Conflict, match="F1"):
            await switching.promote(place(two), "colours", 2, compare=worse)
        done = await switching.promote(
            place(two), "colours", 2, compare=worse, force=True, reason="it is for tonight"
        )
        assert (done.forced, done.before, done.row.state) == (True, 1, VersionState.ACTIVE)
        (entry, *_) = await two.store.read(lambda tx: audit.of(tx, "colours/2"))
        detail = json.loads(entry.detail)
        assert (entry.action, entry.actor, detail["reason"]) == ("model.promoted", "ada", "it is for tonight")
        assert detail["measured"]["f1"] == [0.8, 0.7]

    async def test_a_better_one_passes_and_what_is_old_is_queued(self, two: Workshop) -> None:
        better = found(Measured(900, 300, (0.7, 0.8), (0.05, 0.15)))
        stamp = await two.store.read(rules_version.current)
        done = await switching.promote(place(two), "colours", 2, compare=better, restale=True)
        assert await states(two) == {1: "retired", 2: "active", 3: "staged"}
        assert not done.forced
        assert await two.store.read(rules_version.current) > stamp
        kind, payload = (await events(two))[-1]
        assert (kind, payload["before"], payload["backfill"]) == ("model.promoted", 1, done.backfill)
        assert done.backfill is not None
        # And doing so again changes nothing
        before = await two.state(), await events(two)
        await switching.promote(place(two), "colours", 2, compare=better)
        assert (await two.state(), await events(two)) == before

    async def test_another_promotion_meanwhile_is_noticed(self, two: Workshop) -> None:
        async def slow(_store: Store, _settings: Settings, *_rows: VersionRow) -> Measured:
            await switching.promote(place(two), "colours", 3, guard=LAX)
            return Measured(900)

        with pytest.raises(Conflict) as refusal:
            await switching.promote(place(two), "colours", 2, compare=slow)
        assert refusal.value.code == "active_changed"
        assert await states(two) == {1: "retired", 2: "staged", 3: "active"}


class TestRollBack:
    async def test_back_and_further_back(self, two: Workshop) -> None:
        for version in (2, 3):
            await switching.promote(place(two), "colours", version, guard=LAX)
        served = await two.served()
        done = await switching.roll_back(place(two), "colours")
        assert (done.row.version, done.before) == (2, 3)
        assert await two.served() == served
        assert (await events(two))[-1][0] == "model.rolled_back"
        assert (await switching.roll_back(place(two), "colours")).row.version == 1
        assert await states(two) == {1: "active", 2: "retired", 3: "retired"}
        with pytest.raises(Conflict) as refusal:
            await switching.roll_back(place(two), "colours")
        assert refusal.value.code == "nothing_before"
        with pytest.raises(NotFound):
            await switching.roll_back(place(two), "nobody")

    async def test_a_version_that_was_let_go_is_loaded_again(self, two: Workshop) -> None:
        await switching.promote(place(two), "colours", 2, guard=LAX)
        await two.store.write(lambda tx: tx.execute("UPDATE model_versions SET loaded = state = 'active'"))
        await two.triton.load("colours", [2], repository=two.repository)
        await switching.activate(place(two), "colours", 1)
        assert await states(two) == {1: "active", 2: "retired", 3: "staged"}
        assert await two.served() == {("colours", 1), ("colours", 2)}


async def test_retiring(two: Workshop) -> None:
    # The only version in use stays so unless forced
    with pytest.raises(Conflict) as refusal:
        await switching.retire(place(two), "colours", 1)
    assert refusal.value.code == "version_active"
    # One that was never used is given up at once, and unloaded the second time
    assert (await switching.retire(place(two), "colours", 2)).loaded
    assert not (await switching.retire(place(two), "colours", 2)).loaded
    assert await two.served() == {("colours", 1), ("colours", 3)}
    await switching.retire(place(two), "colours", 1, force=True)
    assert await states(two) == {1: "retired", 2: "retired", 3: "staged"}
    # With none in use there is nothing to be compared with: the next one passes
    done = await switching.promote(place(two), "colours", 3)
    assert (done.before, done.measured, done.row.state) == (None, None, VersionState.ACTIVE)


async def test_shadowing_begins_and_ends_on_the_record(two: Workshop) -> None:
    for share in (0.25, 0.5):
        found = await shadowing.shadow(place(two), "colours", 2, share)
        assert (found.share, found.images, found.held_back) == (share * 10_000, 0, None)
    assert await states(two) == {1: "active", 2: "shadow", 3: "staged"}
    await shadowing.end_shadow(place(two), "colours", 2)
    await shadowing.end_shadow(place(two), "colours", 2)
    assert await states(two) == {1: "active", 2: "staged", 3: "staged"}
    history = await two.store.read(lambda tx: audit.of(tx, "colours/2"))
    assert [one.action for one in history][:3] == [
        "model.shadow_ended",
        "model.shadowed",
        "model.shadowed",
    ]
    # What has been active and shadows now is retired again afterwards, and promoting ends it, too
    await switching.promote(place(two), "colours", 2, guard=LAX)
    await shadowing.shadow(place(two), "colours", 1, 1.0)
    await shadowing.end_shadow(place(two), "colours", 1)
    assert await states(two) == {1: "retired", 2: "active", 3: "staged"}
    await shadowing.shadow(place(two), "colours", 3, 1.0)
    await switching.promote(place(two), "colours", 3, guard=LAX)
    assert await two.store.read(shadows.running) == []
    for version, share, code in ((3, 0.1, "version_in_use"), (2, 0.0, "bad_share"), (2, 1.1, "bad_share")):
        with pytest.raises((Conflict, InvalidInput)) as refusal:
            await shadowing.shadow(place(two), "colours", version, share)
        assert refusal.value.code == code
    await two.store.write(lambda tx: tx.execute("UPDATE model_versions SET pad_colour = 0 WHERE version = 2"))
    with pytest.raises(Conflict) as other:
        await shadowing.shadow(place(two), "colours", 2, 0.1)
    assert other.value.code == "geometry_differs"


async def test_killed_in_the_middle_of_promoting_nothing_has_changed(
    two: Workshop, variables: dict[str, str]
) -> None:
    """Given somebody who promotes, and is held up behind the first changes of the transaction, when they are
    killed, then nothing of it is there; and when they are not, all of it is."""
    command = ["models", "promote", "colours", "2", "--force", "--reason", "why not", "--restale"]
    before = await two.state(), await events(two)
    locked, release = asyncio.Event(), asyncio.Event()

    async def hold(tx: Transaction) -> None:
        await rules_version.lock(tx)
        locked.set()
        await release.wait()

    holding = asyncio.create_task(two.store.write(hold))
    await locked.wait()
    process = start(command, variables)
    try:
        await until(lambda: waits(two), process)
        process.send_signal(signal.SIGKILL)
    finally:
        await asyncio.to_thread(process.communicate)
        release.set()
        await holding
    await until(lambda: ended(two), process)
    assert (await two.state(), await events(two)) == before

    again = start(command, variables)
    _, said = await asyncio.to_thread(again.communicate)
    assert again.returncode == 0, said
    assert await states(two) == {1: "retired", 2: "active", 3: "staged"}
    assert [kind for kind, _ in await events(two)] == [*(kind for kind, _ in before[1]), "model.promoted"]


def start(command: list[str], variables: dict[str, str]) -> "subprocess.Popen[bytes]":
    call = "import sys; from orchestrator.cli.app import app; app(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", call, *command],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def waits(workshop: Workshop) -> bool:
    """Whether somebody waits for the stamp of the rules, with all else of a promotion behind them."""
    return bool(await connections(workshop, "INSERT INTO rules_version%"))


async def ended(workshop: Workshop) -> bool:
    return not await connections(workshop, "INSERT INTO rules_version%")


async def connections(workshop: Workshop, statement: str) -> int:
    ((number,),) = await workshop.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE :beginning",
            beginning=statement,
        )
    )
    return int(number)


async def until(condition: Callable[[], Awaitable[bool]], process: "subprocess.Popen[bytes]") -> None:
    async with asyncio.timeout(60):
        while not await condition():
            assert process.poll() in (None, -signal.SIGKILL), process.communicate()
            await asyncio.sleep(0.05)
