"""The keeper's parts: one leader at a time, and a Triton that serves what the database names."""

import re
from collections.abc import AsyncIterator, Callable

import pytest
from services import RunningTriton
from stubs import kill_stubs
from world import World, register_colours, until

from orchestrator.errors import InferenceUnavailable, StoreUnavailable
from orchestrator.inference.client import TritonClient
from orchestrator.inference.watch import Pace
from orchestrator.reconciler import Reconciler
from orchestrator.settings import Settings
from orchestrator.store import models
from orchestrator.store.named_lock import NamedLock, model_lock
from orchestrator.store.transaction import Transaction
from orchestrator.telemetry import MetricName, Metrics, render_metrics

pytestmark = pytest.mark.anyio


class TestLock:
    async def test_one_holds_it_and_the_next_follows(self, settings: Settings):
        first, second = NamedLock(settings, "keeper"), NamedLock(settings, "keeper")
        assert await first.hold()
        assert not await second.hold()
        assert await first.hold()
        first.drop()

        await until(second.hold, "the second holds the lock")
        assert not await first.hold()
        first.drop()
        second.drop()

    async def test_other_names_are_other_locks(self, settings: Settings):
        keeper, other = NamedLock(settings, "keeper"), NamedLock(settings, "other")
        assert await keeper.hold()
        assert await other.hold()
        keeper.drop()
        other.drop()

    async def test_a_database_that_is_away_is_said(self, settings: Settings, free_port: Callable[[], int]):
        url = settings.database_url.get_secret_value()
        host = url.rpartition("@")[2].partition("/")[0]
        away = type(settings.database_url)(url.replace(host, f"127.0.0.1:{free_port()}"))
        with pytest.raises(StoreUnavailable):
            await NamedLock(settings.model_copy(update={"database_url": away}), "keeper").hold()


class TestReconciler:
    @pytest.fixture
    async def triton(self, pipeline_settings: Settings) -> AsyncIterator[TritonClient]:
        async with TritonClient.from_settings(pipeline_settings) as client:
            yield client

    @pytest.fixture
    def reconciler(self, world: World, triton: TritonClient) -> Reconciler:
        return Reconciler(world.settings, world.store, triton, Metrics.create())

    async def test_a_restarted_triton_is_told_what_to_serve(
        self, world: World, triton: TritonClient, reconciler: Reconciler
    ):
        # Given a Triton that serves nothing
        await triton.unload("colours")
        await triton.unload("shades")
        # When it is reconciled twice
        await reconciler.reconcile()
        assert await reconciler.reconcile()
        # Then it serves exactly what the database names
        assert await serving(triton) == {("colours", 1), ("shades", 1)}

    async def test_versions_that_the_database_does_not_name_go(
        self, world: World, triton: TritonClient, reconciler: Reconciler
    ):
        async def change(tx: Transaction) -> None:
            await models.set_active(tx, await register_colours(tx, 2, active=False))
            shades = await models.find(tx, "shades", 1)
            assert shades is not None
            await models.retire(tx, shades.id)
            await models.set_loaded(tx, shades.id, False)

        await reconciler.reconcile()
        await world.store.write(change)
        await reconciler.reconcile()
        # And the version before the active one stays, so that going back costs nothing
        assert await serving(triton) == {("colours", 1), ("colours", 2)}

    async def test_a_version_that_is_let_go_is_neither_well_nor_broken(
        self, world: World, triton: TritonClient
    ):
        # Given versions that the keeper found well
        metrics = Metrics.create()
        reconciler = Reconciler(world.settings, world.store, triton, metrics)
        assert await settled(reconciler)
        assert {"1.0"} == set(health(metrics).values())

        # When one need not be served any more
        async def let_go(tx: Transaction) -> None:
            shades = await models.find(tx, "shades", 1)
            assert shades is not None
            await models.retire(tx, shades.id)
            await models.set_loaded(tx, shades.id, False)

        await world.store.write(let_go)
        assert await settled(reconciler)
        # Then no alarm is raised over it
        assert health(metrics) == {"colours": "1.0", "shades": "NaN"}

    async def test_a_model_that_somebody_publishes_is_left_to_them(
        self, world: World, triton: TritonClient, reconciler: Reconciler
    ):
        await settled(reconciler)
        lock = model_lock(world.settings, "shades")
        assert await lock.hold()
        await triton.unload("shades")
        assert await reconciler.reconcile()
        assert await serving(triton) == {("colours", 1)}
        lock.drop()
        await settled(reconciler)
        assert await serving(triton) == {("colours", 1), ("shades", 1)}

    async def test_a_version_that_cannot_be_loaded_leaves_the_others_alone(
        self,
        world: World,
        triton: TritonClient,
        reconciler: Reconciler,
        monkeypatch: pytest.MonkeyPatch,
    ):
        await world.store.write(lambda tx: register_colours(tx, 9, active=True))
        assert not await reconciler.reconcile()
        served = await serving(triton)
        assert ("shades", 1) in served
        assert ("colours", 9) not in served
        # And it is not tried again at once
        loaded: list[str] = []

        async def load(name: str, *_versions: object, **_repository: object) -> None:
            loaded.append(name)

        monkeypatch.setattr(triton, "load", load)
        assert not await reconciler.reconcile()
        assert loaded == []

    async def test_a_backend_that_died_is_started_again(
        self, world: World, triton: TritonClient, reconciler: Reconciler, colour_triton: RunningTriton
    ):
        # Given versions that answered, and the process behind one of them killed
        assert await settled(reconciler)
        (shades,) = [model for model in await active(world) if model.name == "shades"]
        await triton.probe(shades)
        kill_stubs(colour_triton.repository, "shades")
        with pytest.raises(InferenceUnavailable):
            await triton.probe(shades)

        # When the keeper goes on as ever, then it answers again
        async def answers() -> bool:
            await reconciler.reconcile()
            try:
                await triton.probe(shades, deadline=2)
            except InferenceUnavailable:
                return False
            return True

        await until(answers, "the version answers again", timeout=Pace().interval + 15, every=0.3)

    async def test_a_triton_that_is_away_is_no_error(self, world: World, free_port: Callable[[], int]):
        async with TritonClient(f"127.0.0.1:{free_port()}", admin_key="sesame") as away:
            assert not await Reconciler(world.settings, world.store, away, Metrics.create()).reconcile()


async def serving(triton: TritonClient) -> set[tuple[str, int]]:
    return {(entry.name, entry.version) for entry in await triton.index() if entry.state == "READY"}


async def active(world: World):
    return await world.store.read(lambda tx: models.active(tx, world.settings))


def health(metrics: Metrics) -> dict[str, str]:
    body, _ = render_metrics(metrics)
    pattern = rf'^{MetricName.MODEL_HEALTHY}{{model="(.+)",version="1"}} (.+)$'
    return dict(re.findall(pattern, body.decode(), re.MULTILINE))


async def settled(reconciler: Reconciler) -> bool:
    await until(reconciler.reconcile, "triton serves what the database names")
    return True
