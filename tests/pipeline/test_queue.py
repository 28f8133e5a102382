"""The queue: messages get there, and a Redis that is away or hangs hurts nobody."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from dramatiq import MessageProxy
from dramatiq.errors import ConnectionClosed
from pydantic import SecretStr

from orchestrator.actors import SEND_WAIT, WorkQueue
from orchestrator.broker import PatientRedisBroker, analyse_message, make_broker
from orchestrator.records import Priority
from orchestrator.settings import Settings
from orchestrator.telemetry import MetricName, Metrics, render_metrics

pytestmark = pytest.mark.anyio


@pytest.fixture
def broker(settings: Settings) -> Iterator[PatientRedisBroker]:
    broker = make_broker(settings)
    yield broker
    broker.client.close()


@pytest.fixture
async def hanging_redis() -> AsyncIterator[str]:
    """The address of a server that takes connections and says nothing."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"redis://127.0.0.1:{port}/0"
    server.close()
    await server.wait_closed()


def at(settings: Settings, redis_url: str) -> Settings:
    return settings.model_copy(update={"redis_url": SecretStr(redis_url)})


async def test_live_images_travel_one_by_one_and_backfill_in_batches(broker: PatientRedisBroker):
    queue = WorkQueue(broker, Metrics.create())
    assert await queue.enqueue(range(1, 4), Priority.LIVE)
    assert await queue.enqueue(range(1, 131), Priority.BACKFILL)
    live, backfill = await queue.depth(Priority.LIVE), await queue.depth(Priority.BACKFILL)
    assert live is not None
    assert backfill is not None
    assert (live.ready, live.in_flight, live.delayed, live.dead) == (3, 0, 0, 0)
    assert backfill.ready == 3


async def test_a_message_carries_ids_only(broker: PatientRedisBroker):
    await WorkQueue(broker, Metrics.create()).enqueue([7, 8], Priority.BACKFILL)
    message = next(broker.consume("backfill", prefetch=1, timeout=100))
    assert message is not None
    assert (message.actor_name, message.args, message.kwargs) == ("analyse_backfill", ([7, 8],), {})


async def test_a_fetched_message_counts_as_in_flight(broker: PatientRedisBroker):
    queue = WorkQueue(broker, Metrics.create())
    await queue.enqueue([1, 2], Priority.LIVE)
    next(broker.consume("live", prefetch=1, timeout=100))
    depth = await queue.depth(Priority.LIVE)
    assert depth is not None
    assert (depth.ready, depth.in_flight) == (1, 1)


async def test_a_redis_that_is_away_refuses_without_an_error(
    settings: Settings, free_port: Callable[[], int]
):
    metrics = Metrics.create()
    queue = WorkQueue(make_broker(at(settings, f"redis://127.0.0.1:{free_port()}/0")), metrics)
    assert not await queue.enqueue([1, 2, 3], Priority.LIVE)
    assert not await queue.is_ready()
    assert await queue.depth(Priority.LIVE) is None
    body, _ = render_metrics(metrics)
    assert f'{MetricName.ENQUEUED}{{outcome="refused",queue="live"}} 3.0'.encode() in body


async def test_a_redis_that_hangs_holds_neither_the_caller_nor_the_loop(
    settings: Settings, hanging_redis: str
):
    queue = WorkQueue(make_broker(at(settings, hanging_redis)), Metrics.create())
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    start = time.monotonic()
    assert not await queue.enqueue([1], Priority.LIVE)
    assert time.monotonic() - start < SEND_WAIT + 5, "room for a busy machine; what hangs would never end"
    assert ticks > 20
    ticking.cancel()


async def test_an_acknowledgement_that_hangs_counts_as_a_lost_connection(
    settings: Settings, hanging_redis: str
):
    # dramatiq repeats an acknowledgement after a lost connection, and only then
    broker = make_broker(at(settings, hanging_redis), timeout=0.2)
    consumer = broker.consume("live", prefetch=1, timeout=100)
    message = MessageProxy(
        analyse_message(Priority.LIVE, "analyse_live", [1]).copy(options={"redis_message_id": "x"})
    )
    for command in (consumer.ack, consumer.nack, lambda one: consumer.requeue([one])):
        with pytest.raises(ConnectionClosed):
            await asyncio.to_thread(command, message)
    with pytest.raises(ConnectionClosed):
        await asyncio.to_thread(next, consumer)
