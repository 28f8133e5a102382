"""What a process holds open: database, fetcher, decoder, Triton, queue. For the API and the workers."""

from contextlib import AsyncExitStack
from typing import Self

from orchestrator.actors import WorkQueue
from orchestrator.broker import make_broker
from orchestrator.comparison.asking import Comparisons
from orchestrator.errors import StoreUnavailable
from orchestrator.images.decoder import Decoder
from orchestrator.images.fetch import ImageFetcher
from orchestrator.inference.client import TritonClient
from orchestrator.pipeline.analyse import Pipeline
from orchestrator.pulse import Pulse
from orchestrator.records import ImageState, Priority
from orchestrator.settings import Settings
from orchestrator.store import backlog
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.telemetry import Metrics, QueueDepth, Snapshot


class Resources:
    """Everything of one process that belongs to its event loop. Open it there, and close it there."""

    def __init__(
        self,
        *,
        settings: Settings,
        metrics: Metrics,
        store: Store,
        fetcher: ImageFetcher,
        decoder: Decoder,
        triton: TritonClient,
        queue: WorkQueue,
        stack: AsyncExitStack,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.store = store
        self.fetcher = fetcher
        self.decoder = decoder
        self.triton = triton
        self.queue = queue
        self.pipeline = Pipeline(
            settings=settings,
            store=store,
            fetcher=fetcher,
            decoder=decoder,
            triton=triton,
            loads=Pulse(queue.broker),
            metrics=metrics,
        )
        self.comparisons = Comparisons(store, settings)
        self._stack = stack

    @classmethod
    async def open(
        cls, settings: Settings, *, metrics: Metrics | None = None, queue: WorkQueue | None = None
    ) -> Self:
        """Connect to the database; all else connects when first needed. Raises StoreUnavailable.

        `queue`: a worker's own, on the broker that it consumes from; otherwise one that only sends.
        """
        metrics = metrics or Metrics.create()
        async with AsyncExitStack() as stack:
            store = await Store.connect(
                settings, on_race=lambda error: metrics.store_races.labels(error).inc()
            )
            stack.push_async_callback(store.close)
            fetcher = await stack.enter_async_context(ImageFetcher(settings))
            decoder = await stack.enter_async_context(Decoder.from_settings(settings))
            triton = await stack.enter_async_context(TritonClient.from_settings(settings))
            if queue is None:
                queue = WorkQueue(make_broker(settings), metrics)
                stack.callback(queue.close)
            return cls(
                settings=settings,
                metrics=metrics,
                store=store,
                fetcher=fetcher,
                decoder=decoder,
                triton=triton,
                queue=queue,
                stack=stack.pop_all(),
            )

    async def close(self) -> None:
        """Close everything, in the reverse order of opening."""
        await self.pipeline.close()
        await self._stack.aclose()

    async def snapshot(self) -> Snapshot:
        """Ask database and broker what only they know, for `render_metrics`; what is away stays empty."""

        async def read(tx: Transaction) -> tuple[dict[ImageState, int], float | None]:
            return await backlog.counts_by_state(tx), await backlog.oldest_queued_age(tx)

        depths: dict[Priority, QueueDepth] = {}
        for priority in Priority:
            depth = await self.queue.depth(priority)
            if depth is None:
                break  # Redis is away: asking again would only take as long again
            depths[priority] = depth
        try:
            counts, oldest = await self.store.read(read)
        except StoreUnavailable:
            return Snapshot(queues=depths)
        return Snapshot(queues=depths, images=counts, oldest_queued=oldest)
