"""dramatiq middleware of a worker process: its event loop, its resources, and what its log lines carry."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import structlog
from dramatiq import Broker, MessageProxy, Middleware, Worker
from dramatiq.asyncio import EventLoopThread, get_event_loop_thread, set_event_loop_thread
from dramatiq.middleware import AsyncIO, MiddlewareError
from dramatiq.worker import ConsumerThread, WorkerThread

from orchestrator.actors import WorkQueue
from orchestrator.records import Priority
from orchestrator.resources import Resources
from orchestrator.settings import Settings
from orchestrator.telemetry import Metrics

log = structlog.get_logger(__name__)

OPEN_TIMEOUT = 30.0
CLOSE_TIMEOUT = 10.0

# Together with CLOSE_TIMEOUT less than the supervisor's 65 s of patience. What a healthy installation has in
# hand takes seconds; one where every stage runs into its limit gives the rest up.
DRAIN_TIMEOUT = 45.0
CANCEL_TIMEOUT = 5.0
_LOOK_AGAIN = 0.01


def _loop_thread() -> EventLoopThread:
    thread = get_event_loop_thread()
    if thread is None:
        raise MiddlewareError("Lifespan must come after EventLoop in the list of middleware")
    return thread


class EventLoop(AsyncIO):
    """The thread that runs the actors' event loop.

    dramatiq's own gives that thread a second to start; when a busy machine needs longer, its process lives
    on without resources and, since the thread is no daemon, does not end at SIGTERM either.
    """

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Start the thread. Raises MiddlewareError, the one error that ends the process."""
        thread = EventLoopThread(self.logger)
        thread.daemon = True
        try:
            thread.start(timeout=OPEN_TIMEOUT)
        except RuntimeError as error:
            raise MiddlewareError(f"the worker cannot start: {error!r}") from error
        set_event_loop_thread(thread)


class Lifespan(Middleware):
    """Opens a process's resources on the actors' event loop before the first message, and closes them after
    the last. Must come after EventLoop: `before_…` hooks run in list order, `after_…` hooks in reverse."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._resources: Resources | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

    async def analyse(self, image_ids: Sequence[int], priority: Priority) -> None:
        """Hand image ids to this process's pipeline; what actors call."""
        if self._resources is None:
            raise RuntimeError("a message arrived outside the worker's life")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a coroutine that runs on a loop has one)
        self._under_way.add(task)
        try:
            left = await self._resources.pipeline.analyse_images(image_ids, priority)
            # Sent before this message is acknowledged: dying in between costs a duplicate, not an image.
            await self._resources.queue.enqueue(left, priority)
        finally:
            self._under_way.discard(task)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Open the resources. Raises MiddlewareError, the one error that ends the process."""
        thread = _loop_thread()
        try:
            self._resources = thread.run_coroutine(asyncio.wait_for(self._open(broker), OPEN_TIMEOUT))
        except Exception as error:
            thread.stop()  # type: ignore[no-untyped-call]
            raise MiddlewareError(f"the worker cannot start: {error!r}") from error
        log.info("worker ready")

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Wait until every thread runs: one that is told to stop before that would not."""
        deadline = time.monotonic() + OPEN_TIMEOUT
        threads: list[WorkerThread | ConsumerThread] = [*worker.workers, *worker.consumers.values()]
        for thread in threads:
            while not thread.running and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(_LOOK_AGAIN)

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Claim nothing more, and wait until the messages under way are through.

        dramatiq would wait itself, but it takes the time that has passed off its timeout anew for each of
        its threads: sixteen of them use up a minute in four seconds, and the resources would be closed
        under those still at work. What is not through after DRAIN_TIMEOUT is cancelled.
        """
        if self._resources is None:
            return
        self._resources.pipeline.drain()
        for thread in worker.workers:
            thread.stop()
        if not _joined(worker, DRAIN_TIMEOUT):
            _loop_thread().run_coroutine(self._give_up())
            _joined(worker, CANCEL_TIMEOUT)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Close the resources; the loop still runs."""
        if self._resources is not None:
            _loop_thread().run_coroutine(asyncio.wait_for(self._resources.close(), CLOSE_TIMEOUT))
            log.info("worker drained")

    async def _give_up(self) -> None:
        """Cancel what is under way. The claims run out by themselves."""
        log.error("work given up at shutdown", messages=len(self._under_way))
        for task in self._under_way:
            task.cancel()

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


def _joined(worker: Worker, timeout: float) -> bool:
    """Whether every one of the worker's threads ended within `timeout` seconds altogether."""
    deadline = time.monotonic() + timeout
    for thread in worker.workers:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in worker.workers)


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
