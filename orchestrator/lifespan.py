"""dramatiq middleware of a worker process: its resources, and what its log lines carry."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from dramatiq import Broker, MessageProxy, Middleware, Worker
from dramatiq.asyncio import EventLoopThread, get_event_loop_thread
from dramatiq.middleware import MiddlewareError

from orchestrator.actors import WorkQueue
from orchestrator.records import Priority
from orchestrator.resources import Resources
from orchestrator.settings import Settings
from orchestrator.telemetry import Metrics

log = structlog.get_logger(__name__)

OPEN_TIMEOUT = 30.0
CLOSE_TIMEOUT = 10.0


def _loop_thread() -> EventLoopThread:
    thread = get_event_loop_thread()
    if thread is None:
        raise RuntimeError("Lifespan must come after AsyncIO in the list of middleware")
    return thread


class Lifespan(Middleware):
    """Opens a process's resources on the actors' event loop before the first message, and closes them after
    the last. Must come after AsyncIO: `before_…` hooks run in list order, `after_…` hooks in reverse."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._resources: Resources | None = None

    async def analyse(self, image_ids: Sequence[int], priority: Priority) -> None:
        """Hand image ids to this process's pipeline; what actors call."""
        if self._resources is None:
            raise RuntimeError("a message arrived outside the worker's life")
        left = await self._resources.pipeline.analyse_images(image_ids, priority)
        # Sent before this message is acknowledged: dying in between costs a duplicate, not an image.
        await self._resources.queue.enqueue(left, priority)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Open the resources. Raises MiddlewareError, the one error that ends the process."""
        thread = _loop_thread()
        try:
            self._resources = thread.run_coroutine(asyncio.wait_for(self._open(broker), OPEN_TIMEOUT))
        except Exception as error:
            # The loop's thread is no daemon: without this the process would live on, doing nothing.
            thread.stop()  # type: ignore[no-untyped-call]
            raise MiddlewareError(f"the worker cannot start: {error!r}") from error
        log.info("worker ready")

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Claim nothing more; messages under way go on until they are through."""
        if self._resources is not None:
            self._resources.pipeline.drain()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Close the resources; the loop still runs."""
        if self._resources is not None:
            _loop_thread().run_coroutine(asyncio.wait_for(self._resources.close(), CLOSE_TIMEOUT))
            log.info("worker drained")

    async def _open(self, broker: Any) -> Resources:
        resources = await Resources.open(
            self._settings, metrics=self._metrics, queue=WorkQueue(broker, self._metrics)
        )
        try:
            await resources.decoder.warm()
            await resources.pipeline.warm()
            await resources.triton.is_live()  # opens the channel; whether anybody answers shows later
        except BaseException:
            await resources.close()
            raise
        return resources


class LogContext(Middleware):
    """Binds the message to whatever is logged while it is processed: a coroutine started from this thread
    inherits the thread's context."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Bind the message's id and queue."""
        structlog.contextvars.bind_contextvars(message_id=message.message_id, queue=message.queue_name)

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """Forget the message."""
        structlog.contextvars.unbind_contextvars("message_id", "queue")

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Forget the message."""
        structlog.contextvars.unbind_contextvars("message_id", "queue")
