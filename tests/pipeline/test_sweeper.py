"""The sweeper finds what the queue forgot, and leaves alone what it did not."""

import pytest
from colours import picture
from world import RED, World

from orchestrator.pipeline.claims import claim
from orchestrator.records import ImageFailure, Priority
from orchestrator.resources import Resources
from orchestrator.store import images
from orchestrator.sweeper import GRACE, PATIENCE, WINDOW, Sweeper

pytestmark = pytest.mark.anyio

LIVE = Priority.LIVE


@pytest.fixture
def sweeper(world: World, resources: Resources) -> Sweeper:
    return Sweeper(world.settings, world.store, resources.queue, resources.metrics)


async def ready(resources: Resources, priority: Priority = LIVE) -> int:
    depth = await resources.queue.depth(priority)
    assert depth is not None
    return depth.ready


async def test_what_redis_lost_is_sent_again(
    world: World, resources: Resources, sweeper: Sweeper, lose_everything
):
    # Given images of both queues that were enqueued, and a Redis that lost its memory
    live = [await world.add(picture(*RED)) for _ in range(3)]
    backfill = [await world.add(picture(*RED), priority=Priority.BACKFILL) for _ in range(3)]
    await resources.queue.enqueue(live, LIVE)
    await resources.queue.enqueue(backfill, Priority.BACKFILL)
    lose_everything()
    await world.make_older(GRACE + 1)
    # When the sweeper comes by twice
    assert await sweeper.sweep() == 6
    assert await sweeper.sweep() == 0
    # Then each image is in its queue once
    assert await ready(resources) == 3
    assert await ready(resources, Priority.BACKFILL) == 1


async def test_an_upload_under_way_is_left_alone(world: World, resources: Resources, sweeper: Sweeper):
    await world.add(picture(*RED))
    assert await sweeper.sweep() == 0
    assert await ready(resources) == 0


async def test_an_upload_that_redis_refused_is_found(world: World, sweeper: Sweeper):
    await world.add(picture(*RED))
    await world.make_older(GRACE + 1)
    assert await sweeper.sweep() == 1


async def test_images_that_wait_their_turn_are_not_sent_twice(
    world: World, resources: Resources, sweeper: Sweeper
):
    ids = [await world.add(picture(*RED)) for _ in range(5)]
    await resources.queue.enqueue(ids, LIVE)
    await world.make_older(GRACE + 1)
    assert await sweeper.sweep() == 0


async def test_among_waiting_ones_a_forgotten_image_is_found_after_a_while(
    world: World, resources: Resources, sweeper: Sweeper
):
    await world.add(picture(*RED))
    other = await world.add(picture(*RED))
    await resources.queue.enqueue([other], LIVE)
    await world.make_older(PATIENCE + 1)
    assert await sweeper.sweep() == 2


async def test_a_full_queue_is_left_alone(world: World, resources: Resources, sweeper: Sweeper):
    await resources.queue.enqueue(range(10**6, 10**6 + WINDOW), LIVE)
    await world.add(picture(*RED))
    await world.make_older(PATIENCE + 1)
    assert await sweeper.sweep() == 0


async def test_a_retry_is_sent_when_its_moment_has_come(world: World, sweeper: Sweeper):
    # Given an image that is to be tried again in a minute
    image_id = await world.add(picture(*RED))
    (claimed,) = await claim(world.store, [image_id], lease=15)
    failure = ImageFailure("fetch_unavailable", "the host answered 503")
    await world.store.write(
        lambda tx: images.release_for_retry(tx, image_id, claimed.token, failure, delay=60)
    )
    # Then it is sent no sooner, and then at once
    assert await sweeper.sweep() == 0
    await world.make_older(61)
    assert await sweeper.sweep() == 1


async def test_a_claim_that_ran_out_is_sent_again_and_one_that_holds_is_not(world: World, sweeper: Sweeper):
    image_id = await world.add(picture(*RED))
    await claim(world.store, [image_id], lease=15)
    assert await sweeper.sweep() == 0
    await world.make_older(world.settings.claim_lease + 1)
    assert await sweeper.sweep() == 1
