"""Shadows: they look at a share of the images when there is time, and no image ever notices."""

from collections import Counter

import pytest
from colours import picture
from hypothesis import given
from hypothesis import strategies as st
from world import GREEN, RED, World, register_colours, until

from orchestrator.images.prepare import prepare
from orchestrator.pipeline import shadow as shadowing
from orchestrator.pipeline.shadow import ROOM, Shadows, is_chosen
from orchestrator.pipeline.spare import CALM, Load, Reason, Spare
from orchestrator.pulse import Pulse
from orchestrator.records import ImageState, Priority, VersionState
from orchestrator.resources import Resources
from orchestrator.store import audit, models, shadows
from orchestrator.store.shadows import Shadow
from orchestrator.store.transaction import Transaction
from orchestrator.telemetry import MetricName, Metrics

pytestmark = pytest.mark.anyio

LIVE = Priority.LIVE
IDLE = Load(0, None)


async def begin(world: World, resources: Resources, *, labels: int = 3, share: int = 10_000) -> int:
    """Have version 2 of `colours` look at a share of the images; with four labels it is broken."""

    async def work(tx: Transaction) -> int:
        version_id = await register_colours(tx, 2, active=False, labels=labels)
        await shadows.begin(tx, version_id, share)
        return version_id

    version_id = await world.store.write(work)
    await resources.pipeline.warm()
    return version_id


async def known(world: World, version_id: int) -> Shadow:
    return (await world.store.read(shadows.all_shadows))[version_id]


async def raw(world: World, image_id: int, version_id: int) -> list[tuple[int, int]]:
    return await world.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT label, score FROM raw_predictions WHERE image_id = :image AND model_version_id = :version"
            " ORDER BY label",
            image=image_id,
            version=version_id,
        )
    )


class Elsewhere:
    """What other processes say of live work."""

    def __init__(self, load: Load | None) -> None:
        self.load = load
        self.asked = 0

    async def tell(self, latency: float) -> None:
        raise AssertionError("there is no live work here")

    async def hear(self) -> Load | None:
        self.asked += 1
        return self.load


class TestShare:
    @given(st.integers(1, 2**63 - 1), st.integers(1, 32_000), st.integers(1, 9_999))
    def test_the_same_images_and_with_a_larger_share_those_and_more(
        self, image: int, version: int, share: int
    ):
        assert is_chosen(image, version, share) == is_chosen(image, version, share)
        assert not is_chosen(image, version, share) or is_chosen(image, version, share + 1)
        assert is_chosen(image, version, 10_000)

    def test_a_tenth_is_a_tenth_and_versions_have_their_own(self):
        first, second = ({image for image in range(10_000) if is_chosen(image, n, 1000)} for n in (1, 2))
        assert 900 < len(first) < 1100
        assert 900 < len(second) < 1100
        assert len(first & second) < 200


class TestSpare:
    def test_nobody_knows(self):
        spare = Spare()
        assert not spare.admits(None, 1.0)
        assert spare.reason is Reason.UNKNOWN
        assert spare.admits(IDLE, 2.0)

    def test_nobody_must_have_waited_for_a_while(self):
        spare = Spare()
        assert not spare.admits(Load(1, None), 1.0)
        assert not spare.admits(IDLE, 1.1)
        assert spare.reason is Reason.WAITING
        assert spare.admits(IDLE, 2.0)
        spare.away(3.0)
        assert not spare.admits(IDLE, 3.1)
        assert spare.admits(IDLE, 5.0)

    def test_slower_live_work_stops_it_ever_longer_until_it_is_well_again(self):
        spare = Spare()
        now = 0.0

        def after(seconds: float, latency: float | None) -> bool:
            nonlocal now
            now += seconds
            return spare.admits(Load(0, latency), now)

        assert all(after(0.1, 0.010) for _ in range(50))
        # Somewhat slower is no reason, half as slow again is one
        assert all(after(0.1, 0.013) for _ in range(20))
        assert not all(after(0.1, 0.030) for _ in range(10))
        assert spare.reason is Reason.SLOWER
        # It goes on only when it is nearly as at its best
        assert not any(after(0.5, 0.017) for _ in range(20))
        assert any(after(1.0, 0.010) for _ in range(60))

        def closed() -> float:
            start = now
            while after(0.05, 0.030):
                pass
            while not after(0.05, 0.010):
                pass
            return now - start

        first, second = closed(), closed()
        assert second > first
        assert after(CALM + 60, 0.010)
        assert closed() < second
        # And when there is no live work any more, at once
        while after(0.05, 0.030):
            pass
        assert after(0.05, None)


class TestScoring:
    async def test_suggestions_are_the_active_versions_and_scores_are_kept_of_both(
        self, world: World, resources: Resources
    ):
        version_id = await begin(world, resources)
        ids = [await world.add(picture(*RED)), await world.add(picture(*GREEN))]
        for priority, image_id in zip(Priority, ids, strict=True):
            await resources.pipeline.analyse_images([image_id], priority)
        assert [await world.suggested(image_id) for image_id in ids] == [{"red": 10_000}, {"green": 5_000}]

        async def both() -> bool:
            return (await known(world, version_id)).images == 2

        await until(both, "both are scored")
        assert [await raw(world, image_id, version_id) for image_id in ids] == [[(0, 10_000)], [(1, 10_000)]]
        assert [await world.suggested(image_id) for image_id in ids] == [{"red": 10_000}, {"green": 5_000}]
        found = await known(world, version_id)
        assert (found.failures, found.held_back) == (0, None)

    async def test_a_broken_one_is_counted_and_stopped_and_every_image_is_done(
        self, world: World, resources: Resources, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(shadowing, "MOST_FAILURES", 3)
        version_id = await begin(world, resources, labels=4)
        ids = [await world.add(picture(*RED)) for _ in range(3)]
        await resources.pipeline.analyse_images(ids, LIVE)
        assert {await world.state(image_id) for image_id in ids} == {ImageState.DONE}

        async def stopped() -> bool:
            return (await known(world, version_id)).state is VersionState.STAGED

        await until(stopped, "the shadow is stopped")
        found = await known(world, version_id)
        assert (found.images, found.failures) == (0, 3)
        assert found.note is not None
        assert "scores_misshapen" in found.note
        assert [await raw(world, image_id, version_id) for image_id in ids] == [[], [], []]
        (entry,) = await world.store.read(lambda tx: audit.of(tx, "colours/2"))
        assert entry.action == "model.shadow_ended"

    async def test_it_waits_while_live_images_wait_and_drops_what_has_no_room(
        self, world: World, resources: Resources
    ):
        # Given live images that wait for a worker elsewhere
        version_id = await begin(world, resources)
        elsewhere = Elsewhere(Load(3, None))
        metrics = Metrics.create()
        beside = Shadows(
            settings=world.settings,
            store=world.store,
            triton=resources.triton,
            loads=elsewhere,
            metrics=metrics,
        )
        await beside.refresh()
        image_id = await world.add(picture(*RED))
        await resources.pipeline.analyse_images([image_id], LIVE)

        async def once() -> bool:
            return (await known(world, version_id)).images == 1

        await until(once, "the process of the pipeline scores it")
        image = await world.image(image_id)
        (geometry,) = {
            one.geometry for one in await world.store.read(lambda tx: models.active(tx, world.settings))
        }
        prepared = prepare(picture(*RED), frozenset({geometry}))
        # When more images are offered than there is room for
        for number in range(ROOM + 2):
            beside.offer(image_id + number, str(image.sha256), prepared)
            beside.offer(image_id + number, str(image.sha256), prepared)

        async def held_back() -> bool:
            return (await known(world, version_id)).held_back == Reason.WAITING

        await until(held_back, "the row says why nothing is scored")
        assert sample(metrics) == {"dropped": 4}
        # Then it goes on when nobody waits
        elsewhere.load = IDLE

        async def all_scored() -> bool:
            return sample(metrics) == {"dropped": 4, "scored": 1, "late": ROOM - 1}

        await until(all_scored, "what had room is scored, each once; only one of the images is there")
        assert (await known(world, version_id)).held_back is None
        await beside.close()

    async def test_processes_tell_each_other_of_live_work(self, world: World, resources: Resources):
        pulse = Pulse(resources.queue.broker)
        assert await pulse.hear() == IDLE
        await begin(world, resources)
        await resources.pipeline.analyze_bytes(picture(*RED))

        async def told() -> bool:
            load = await pulse.hear()
            return load is not None and load.latency is not None

        await until(told, "the time of a live inference is known")


def sample(metrics: Metrics) -> Counter[str]:
    """Outcome → images."""
    found = Counter[str]()
    for family in metrics.registry.collect():
        for one in family.samples:
            if one.name == MetricName.SHADOW_IMAGES:
                found[one.labels["outcome"]] += int(one.value)
    return found
