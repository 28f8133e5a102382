"""The message broker: Redis through dramatiq, with the settings that measurements asked for (DESIGN 2b).

Redis may be lost at any time. The database row says where an image stands and the sweeper sends again what
the queue forgot, so messages carry ids only, are never retried by dramatiq itself, and may arrive twice.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import redis
from dramatiq import Message, MessageProxy, Middleware
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.records import Priority
from orchestrator.settings import Settings
from orchestrator.telemetry import QueueDepth

T = TypeVar("T")

HEARTBEAT_TIMEOUT_MS = 15_000  # a worker silent for so long is dead; its messages go back to the queue
MAINTENANCE_PER_MILLION = 50_000  # how often a command looks for dead workers
SEND_TIMEOUT = 1.0  # an upload must not wait longer for a Redis that hangs
WORKER_TIMEOUT = 5.0

# What dramatiq does not take for a lost connection, though Redis may have done nothing of what was asked.
_AS_GOOD_AS_LOST = (redis.TimeoutError, redis.OutOfMemoryError, redis.ReadOnlyError)


def _as_connection_loss(call: Callable[..., T], *arguments: object) -> T:
    try:
        return call(*arguments)
    except (redis.ConnectionError, *_AS_GOOD_AS_LOST) as error:
        raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]


class PatientConsumer(_RedisConsumer):
    """Takes a Redis that hangs or is full for a lost connection.

    dramatiq repeats an acknowledgement after a lost connection but drops it after any other error, and the
    message would then stay in flight for as long as this worker lives.
    """

    def ack(self, message: MessageProxy) -> None:
        """Acknowledge a message that was processed."""
        _as_connection_loss(super().ack, message)

    def nack(self, message: MessageProxy) -> None:
        """Move a message to the dead letters."""
        _as_connection_loss(super().nack, message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give messages back that this worker fetched and did not start."""
        _as_connection_loss(super().requeue, messages)

    def __next__(self) -> MessageProxy | None:
        message: MessageProxy | None = _as_connection_loss(super().__next__)
        return message


class PatientRedisBroker(RedisBroker):
    """A RedisBroker whose consumers do not lose acknowledgements."""

    @property
    def consumer_class(self) -> type[PatientConsumer]:
        """The class of consumers that `consume` makes."""
        return PatientConsumer


def make_broker(
    settings: Settings, *, middleware: Sequence[Middleware] = (), timeout: float = SEND_TIMEOUT
) -> PatientRedisBroker:
    """Build the broker of a process; nothing is connected before the first message.

    `timeout`: seconds that one command may take. Senders keep the short default, workers pass
    WORKER_TIMEOUT.
    """
    client: redis.Redis = redis.Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        # A pooled connection that Redis closed meanwhile deserves a second try; one that hangs does not.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
    return PatientRedisBroker(  # type: ignore[no-untyped-call]
        client=client,
        middleware=list(middleware),
        namespace=settings.redis_namespace,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_PER_MILLION,
    )


def queue_depth(broker: PatientRedisBroker, queue: Priority) -> QueueDepth:
    """Count the messages of a queue. Blocks; raises redis.RedisError."""
    key = f"{broker.namespace}:{queue}"
    pipe: Any = broker.client.pipeline(transaction=False)
    pipe.llen(key).hlen(f"{key}.msgs").hlen(f"{key}.DQ.msgs").zcard(f"{key}.XQ")
    ready, known, delayed, dead = pipe.execute()
    return QueueDepth(ready=ready, in_flight=max(0, known - ready), delayed=delayed, dead=dead)


def analyse_message(queue: Priority, actor: str, image_ids: Sequence[int]) -> Message[None]:
    """Build the message that asks for an analysis of `image_ids`."""
    return Message(queue_name=queue, actor_name=actor, args=(list(image_ids),), kwargs={}, options={})
