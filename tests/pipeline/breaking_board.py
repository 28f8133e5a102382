"""A board whose models break while they run, with a worker and a keeper to be watched."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import numpy as np
from breakable import Breakage
from colours import SIZE
from prometheus_client.parser import text_string_to_metric_families
from world import World, register_rgb

from orchestrator.inference.client import TritonClient
from orchestrator.inference.watch import Pace
from orchestrator.pipeline.analyse import Pipeline
from orchestrator.reconciler import Reconciler
from orchestrator.records import ImageState, Priority, ServedModel
from orchestrator.resources import Resources
from orchestrator.store import models
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.telemetry import MetricName, Metrics, render_metrics

LIVE = Priority.LIVE
HASTY = Pace(interval=0.3, deadline=2.0, patience=4.0)
MENDED_WITHIN = 60.0


@dataclass(frozen=True)
class Installation:
    """A board with a model that breaks and `shades`, a worker's resources and a keeper's reconciler."""

    world: World
    resources: Resources
    reconciler: Reconciler
    metrics: Metrics
    breakage: Breakage

    @property
    def pipeline(self) -> Pipeline:
        return self.resources.pipeline

    @property
    def triton(self) -> TritonClient:
        return self.resources.triton

    async def model(self, name: str, version: int = 1) -> ServedModel:
        """Return a version as workers see it."""
        loaded = await self.world.store.read(lambda tx: models.loaded(tx, self.world.settings))
        return next(model for model in loaded if (model.name, model.version) == (name, version))

    async def done(self, image_id: int) -> bool:
        """Offer an image to the pipeline, as the sweeper would; whether it is done."""
        await self.pipeline.analyse_images([image_id], LIVE)
        return await self.world.state(image_id) is ImageState.DONE

    async def healthy(self) -> bool:
        """Whether the keeper found every version well when it last asked."""
        return set(sample(self.metrics, MetricName.MODEL_HEALTHY).values()) == {1.0}

    def reloads(self) -> dict[str, float]:
        """Return how many reloads each model had."""
        counted = sample(self.metrics, MetricName.MODEL_LOADS)
        return {labels[1]: value for labels, value in counted.items() if "reload" in labels}

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Have the keeper at work for the length of the block."""
        stop = asyncio.Event()

        async def keep() -> None:
            while not stop.is_set():
                await self.reconciler.reconcile()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 0.1)

        task = asyncio.create_task(keep())
        try:
            yield
        finally:
            stop.set()
            await task


Install = Callable[..., Awaitable[Installation]]
"""Founds a board on a breakage; `versions`: how many of it are served; `pace`: the keeper's."""


async def load_also(store: Store, name: str, version: int) -> None:
    """Register a version that Triton shall serve, without a say in what is suggested."""

    async def add(tx: Transaction) -> None:
        await models.set_loaded(tx, await register_rgb(tx, name, version, active=False), True)

    await store.write(add)


def sample(metrics: Metrics, name: MetricName, suffix: str = "") -> dict[tuple[str, ...], float]:
    """Return a metric's samples by the values of their labels, in the labels' order; of a histogram those
    with this suffix."""
    body, _ = render_metrics(metrics)
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name == name + suffix
    }


async def stored(world: World, image_id: int) -> int:
    """Return how many rows there are of what models saw in an image."""
    rows = await world.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT (SELECT COUNT(*) FROM analyses WHERE image_id = :id)"
            " + (SELECT COUNT(*) FROM raw_predictions WHERE image_id = :id)"
            " + (SELECT COUNT(*) FROM suggestions WHERE image_id = :id)",
            id=image_id,
        )
    )
    return int(rows[0][0])


def red_tensor() -> np.ndarray:
    tensor = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    tensor[..., 0] = 255
    return tensor
