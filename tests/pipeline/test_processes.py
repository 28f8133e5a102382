"""Whole runs with real worker and keeper processes, some of which die."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from colours import picture
from processes import Process, running
from world import World, until

from orchestrator.records import ImageSource, ImageState, Priority, SourceKind
from orchestrator.resources import Resources
from orchestrator.store import backlog
from orchestrator.worker import THREADS as WORKER_THREADS

pytestmark = pytest.mark.anyio

LEASE = 3.0
RUN_TIMEOUT = 120.0  # a safety net: on two busy cores a process alone needs ten seconds to start
THREADS = WORKER_THREADS[Priority.LIVE]
SLOW = 6.0  # seconds: dramatiq's own count of a minute runs out after four, with so many threads


@pytest.fixture
def start(world: World, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts `python -m …` with the settings of the test; whatever still runs is ended afterwards."""
    settings = world.settings.model_copy(update={"claim_lease": LEASE, "sweep_interval": 0.5})
    started: list[Process] = []

    def begin(*command: str) -> Process:
        process = Process(list(command), settings, tmp_path / f"process-{len(started)}.log")
        started.append(process)
        return process

    yield begin
    for process in started:
        process.clean_up()


@pytest.fixture
def sixty() -> list[bytes]:
    """Sixty different pictures, big enough that a run lasts a while."""
    return [picture(4 * n, 255 - 4 * n, 17 * n % 256, size=1000 + n) for n in range(60)]


async def counts(world: World) -> dict[ImageState, int]:
    return await world.store.read(backlog.counts_by_state)


async def add_all(world: World, resources: Resources, pictures: list[bytes]) -> list[int]:
    ids = [await world.add(data) for data in pictures]
    assert await resources.queue.enqueue(ids, Priority.LIVE)
    return ids


async def part_done(world: World) -> bool:
    return (await counts(world))[ImageState.DONE] >= 10


async def test_killing_a_worker_loses_and_doubles_nothing(
    world: World, resources: Resources, start: Callable[..., Process], sixty: list[bytes]
):
    # Given what an undisturbed run stores
    undisturbed = [await world.add(data) for data in sixty]
    await resources.pipeline.analyse_images(undisturbed, Priority.BACKFILL)
    expected, counters = await world.stored_rows(undisturbed), await world.counters()

    # When a worker is killed in the middle of the same sixty pictures and another takes its place
    start("orchestrator.keeper")
    worker = start("orchestrator.worker", "live")
    ids = await add_all(world, resources, sixty)

    async def some_done() -> bool:
        done = [await world.state(image_id) for image_id in ids].count(ImageState.DONE)
        return done >= 10

    await until(some_done, "a part is done", timeout=RUN_TIMEOUT, every=0.01)
    worker.kill_worker()
    left = await counts(world)
    assert left[ImageState.DONE] < 120, "the worker was killed too late to mean anything"
    assert left[ImageState.RUNNING] > 0, "the worker held nothing when it was killed"
    start("orchestrator.worker", "live")

    # Then every image ends done, with the very same rows and counters
    async def all_done() -> bool:
        return (await counts(world))[ImageState.DONE] == 120

    await until(all_done, "every image is done", timeout=RUN_TIMEOUT)
    assert await world.stored_rows(ids) == expected
    assert await world.counters() == {tag: 2 * amount for tag, amount in counters.items()}


async def test_a_redis_that_forgets_everything_costs_only_time(
    world: World, resources: Resources, start: Callable[..., Process], sixty: list[bytes], lose_everything
):
    start("orchestrator.keeper")
    start("orchestrator.worker", "live")
    await add_all(world, resources, sixty)
    await until(lambda: part_done(world), "a part is done", timeout=RUN_TIMEOUT, every=0.01)
    lose_everything()

    async def all_done() -> bool:
        return (await counts(world))[ImageState.DONE] == len(sixty)

    await until(all_done, "every image is done", timeout=RUN_TIMEOUT)


async def test_a_worker_that_is_told_to_stop_leaves_nothing_half_done(
    world: World, resources: Resources, start: Callable[..., Process]
):
    worker = start("orchestrator.worker", "live")
    await add_all(world, resources, [picture(200, 100, 0, size=3000)] * 60)
    await until(lambda: part_done(world), "a part is done", timeout=RUN_TIMEOUT, every=0.01)
    # When it gets SIGTERM, then it exits cleanly, holding no image and no message
    assert worker.terminate() == 0
    assert await worker.logged("worker drained")
    left = await counts(world)
    assert left[ImageState.RUNNING] == left[ImageState.FAILED] == 0
    assert left[ImageState.QUEUED] > 0, "the worker was stopped too late to mean anything"
    # And every message is back, without the sweeper's help
    depth = await resources.queue.depth(Priority.LIVE)
    assert depth is not None
    assert (depth.ready, depth.in_flight) == (left[ImageState.QUEUED], 0)


async def test_a_worker_that_is_told_to_stop_waits_for_slow_hosts(
    world: World, resources: Resources, tmp_path: Path
):
    # Given as many pictures under way as a worker takes at once, on a host that is slow with each
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(SLOW)
        body = picture(200, 100, 0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    host = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = host.sockets[0].getsockname()[1]
    settings = world.settings.model_copy(update={"fetch_allow": ("127.0.0.1",), "fetch_timeout": 60.0})
    async with host:
        with running(["orchestrator.worker", "live"], settings, tmp_path / "slow.log") as worker:
            sources = [ImageSource(SourceKind.URL, f"http://127.0.0.1:{port}/{n}") for n in range(THREADS)]
            ids = [await world.add_source(source) for source in sources]
            assert await resources.queue.enqueue(ids, Priority.LIVE)

            async def all_running() -> bool:
                return (await counts(world))[ImageState.RUNNING] == len(ids)

            await until(all_running, "all are under way", timeout=RUN_TIMEOUT, every=0.01)
            # When it gets SIGTERM, then it finishes them all before it ends
            assert await asyncio.to_thread(worker.terminate) == 0
            assert await worker.logged("worker drained")
    assert (await counts(world))[ImageState.DONE] == len(ids)


async def test_backfill_is_worked_on_in_batches_and_with_less_haste(
    world: World, resources: Resources, start: Callable[..., Process], sixty: list[bytes]
):
    master = start("orchestrator.worker", "backfill")
    ids = [await world.add(data, priority=Priority.BACKFILL) for data in sixty[:20]]
    assert await resources.queue.enqueue(ids, Priority.BACKFILL)

    async def all_done() -> bool:
        return (await counts(world))[ImageState.DONE] == len(ids)

    await until(all_done, "every image is done", timeout=RUN_TIMEOUT)
    (worker,) = master.workers()
    assert worker.nice() > master.handle.nice()


async def test_workers_whose_master_is_killed_end_as_well(
    world: World, resources: Resources, start: Callable[..., Process]
):
    master = start("orchestrator.worker", "live")
    await until(lambda: master.logged("worker ready"), "the worker is ready", timeout=RUN_TIMEOUT)
    (worker,) = master.workers()
    master.kill()

    async def gone() -> bool:
        return not worker.is_running() or worker.status() == "zombie"

    await until(gone, "the orphan is gone", timeout=RUN_TIMEOUT)


async def test_a_worker_that_cannot_reach_its_database_ends(world: World, tmp_path: Path, free_port):
    # A process that lived on doing nothing would look healthy to its supervisor
    url = world.settings.database_url.get_secret_value()
    host = url.rpartition("@")[2].partition("/")[0]
    away = type(world.settings.database_url)(url.replace(host, f"127.0.0.1:{free_port()}"))
    lost = world.settings.model_copy(update={"database_url": away})
    with running(["orchestrator.worker", "live"], lost, tmp_path / "lost.log") as worker:

        async def ended() -> bool:
            return not worker.handle.is_running() or worker.handle.status() == "zombie"

        await until(ended, "the worker ends", timeout=RUN_TIMEOUT)


async def test_a_standby_keeper_takes_over(world: World, start: Callable[..., Process]):
    # Given a keeper that leads and one that waits
    first = start("orchestrator.keeper")
    await until(lambda: first.logged("leading"), "the first leads", timeout=RUN_TIMEOUT)
    second = start("orchestrator.keeper")
    # When the first is killed, then the second leads, and stops cleanly when told to
    first.kill()
    await until(lambda: second.logged("leading"), "the second leads", timeout=RUN_TIMEOUT)
    assert second.terminate() == 0
    assert await second.logged("keeper stopped")
