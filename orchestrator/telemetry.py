"""Logs and metrics of every process: JSON lines on stderr, Prometheus metrics of one typed registry.

Whatever is bound with `structlog.contextvars` (request, image, message) stands on every line logged below
it, by our code or by a library. Metrics live in a `Metrics` object that a process creates once and hands
on. Where `PROMETHEUS_MULTIPROC_DIR` names a folder, the processes of an installation share it and any of
them can render the sum; the variable must be set before the process starts, as prometheus_client reads it
once, at its first import.
"""

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Self, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from orchestrator.records import ImageState, Priority

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_STAGE_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STACK_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
_QUIET = ("httpx", "httpcore", "asyncio", "PIL", "databases")
_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")


class MetricName(StrEnum):
    """Every metric that the orchestrator exports itself."""

    IMAGES = "tagdesk_images_total"
    STAGE_SECONDS = "tagdesk_stage_seconds"
    INFERENCE_SECONDS = "tagdesk_inference_seconds"
    STACK_IMAGES = "tagdesk_stack_images"
    SUGGESTIONS = "tagdesk_suggestions_total"
    UNMAPPED = "tagdesk_unmapped_tags_total"
    ENQUEUED = "tagdesk_enqueued_images_total"
    SWEPT = "tagdesk_swept_images_total"
    MODEL_LOADS = "tagdesk_model_loads_total"
    MODEL_HEALTHY = "tagdesk_model_healthy"
    SHADOW_IMAGES = "tagdesk_shadow_images_total"
    SHADOW_PAUSED = "tagdesk_shadow_paused"
    STORE_RACES = "tagdesk_store_races_total"
    BROKEN_ANSWERS = "tagdesk_broken_answers_total"
    HTTP_SECONDS = "tagdesk_http_request_seconds"
    QUEUE_MESSAGES = "tagdesk_queue_messages"
    IMAGES_NOW = "tagdesk_images"
    OLDEST_QUEUED = "tagdesk_oldest_queued_seconds"


class Stage(StrEnum):
    """The timed steps of one analysis; `store` resolves and commits; `total` is all of them."""

    FETCH = "fetch"
    DECODE = "decode"
    INFER = "infer"
    STORE = "store"
    TOTAL = "total"


class Outcome(StrEnum):
    """What became of a claimed image. `lost`: another worker had taken the claim over meanwhile."""

    DONE = "done"
    FAILED = "failed"
    RETRIED = "retried"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one process. Create one a process: in a shared folder two would overwrite each other."""

    registry: CollectorRegistry
    images: Counter
    stage_seconds: Histogram
    inference_seconds: Histogram
    stack_images: Histogram
    suggestions: Counter
    unmapped: Counter
    enqueued: Counter
    swept: Counter
    model_loads: Counter
    model_healthy: Gauge
    broken_answers: Counter
    shadow_images: Counter
    shadow_paused: Gauge
    store_races: Counter
    http_seconds: Histogram

    @classmethod
    def create(cls) -> Self:
        """Build every metric in a registry of its own."""
        if folder := os.environ.get(MULTIPROCESS_FOLDER):
            Path(folder).mkdir(parents=True, exist_ok=True)
        registry = CollectorRegistry()
        return cls(
            registry=registry,
            images=Counter(
                MetricName.IMAGES,
                "Claimed images by outcome; `reason` is the error code, or empty when done",
                ["queue", "outcome", "reason"],
                registry=registry,
            ),
            stage_seconds=Histogram(
                MetricName.STAGE_SECONDS,
                "Time of each stage of an analysis",
                ["stage"],
                buckets=_STAGE_BUCKETS,
                registry=registry,
            ),
            inference_seconds=Histogram(
                MetricName.INFERENCE_SECONDS,
                "Time of one answer of a model version, as the client sees it",
                ["model", "version"],
                buckets=_STAGE_BUCKETS,
                registry=registry,
            ),
            stack_images=Histogram(
                MetricName.STACK_IMAGES,
                "Pictures of a backfill that one request carried",
                ["model", "version"],
                buckets=_STACK_BUCKETS,
                registry=registry,
            ),
            suggestions=Counter(
                MetricName.SUGGESTIONS,
                "Suggestions proposed, by the model version that decided",
                ["model", "version"],
                registry=registry,
            ),
            unmapped=Counter(
                MetricName.UNMAPPED,
                "External tags above their threshold that no mapping speaks of",
                ["source"],
                registry=registry,
            ),
            enqueued=Counter(
                MetricName.ENQUEUED,
                "Images handed to the queue; `refused` ones wait for the sweeper",
                ["queue", "outcome"],
                registry=registry,
            ),
            swept=Counter(
                MetricName.SWEPT,
                "Images that the sweeper handed to the queue once more",
                ["queue"],
                registry=registry,
            ),
            model_loads=Counter(
                MetricName.MODEL_LOADS,
                "What the reconciler asked of Triton, and whether it worked",
                ["model", "action", "outcome"],
                registry=registry,
            ),
            model_healthy=Gauge(
                MetricName.MODEL_HEALTHY,
                "Whether a version gave the keeper a good answer when last asked; NaN once it is let go",
                ["model", "version"],
                multiprocess_mode="mostrecent",
                registry=registry,
            ),
            broken_answers=Counter(
                MetricName.BROKEN_ANSWERS,
                "Answers that a model version owed and did not give, or that were none; `reason` is the code",
                ["model", "version", "reason"],
                registry=registry,
            ),
            shadow_images=Counter(
                MetricName.SHADOW_IMAGES,
                "Images chosen for a shadow: `scored`, `dropped` for want of room, `late` or `failed`",
                ["model", "version", "outcome"],
                registry=registry,
            ),
            shadow_paused=Gauge(
                MetricName.SHADOW_PAUSED,
                "Whether shadows hold back for this reason, as a process last said",
                ["reason"],
                multiprocess_mode="mostrecent",
                registry=registry,
            ),
            store_races=Counter(
                MetricName.STORE_RACES,
                "Units of work that lost a race in the database and ran again; `error` is MariaDB's number",
                ["error"],
                registry=registry,
            ),
            http_seconds=Histogram(
                MetricName.HTTP_SECONDS,
                "Time of an API request by route template",
                ["method", "route", "status"],
                buckets=_STAGE_BUCKETS,
                registry=registry,
            ),
        )

    @contextmanager
    def timed(self, stage: Stage, timings: dict[str, float]) -> Iterator[None]:
        """Observe a stage that succeeds, and note its milliseconds in `timings` for the log."""
        start = perf_counter()
        yield
        seconds = perf_counter() - start
        self.stage_seconds.labels(stage).observe(seconds)
        timings[stage] = round(seconds * 1000, 1)


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Messages of one queue: waiting, fetched by a worker, delayed, given up."""

    ready: int
    in_flight: int
    delayed: int
    dead: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What only the services know at the moment of a scrape. An empty part could not be asked."""

    queues: Mapping[Priority, QueueDepth] = field(default_factory=dict)
    images: Mapping[ImageState, int] = field(default_factory=dict)
    oldest_queued: float | None = None


class _SnapshotCollector:
    """Gives a snapshot to prometheus_client as gauges."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges of the snapshot."""
        messages = GaugeMetricFamily(
            MetricName.QUEUE_MESSAGES, "Messages in the broker", labels=["queue", "state"]
        )
        for queue, depth in self._snapshot.queues.items():
            messages.add_metric([queue, "ready"], depth.ready)
            messages.add_metric([queue, "in_flight"], depth.in_flight)
            messages.add_metric([queue, "delayed"], depth.delayed)
            messages.add_metric([queue, "dead"], depth.dead)
        yield messages
        images = GaugeMetricFamily(MetricName.IMAGES_NOW, "Images by analysis state", labels=["state"])
        for state, count in self._snapshot.images.items():
            images.add_metric([state], count)
        yield images
        if self._snapshot.images:
            yield GaugeMetricFamily(
                MetricName.OLDEST_QUEUED,
                "Age of the oldest image that waits for its analysis",
                value=self._snapshot.oldest_queued or 0.0,
            )


def render_metrics(metrics: Metrics, snapshot: Snapshot | None = None) -> tuple[bytes, str]:
    """Return the body and the content type of a scrape.

    With a shared folder the sums of all its processes, else those of this process; then the snapshot.
    """
    folder = os.environ.get(MULTIPROCESS_FOLDER)
    if folder:
        shared = CollectorRegistry()
        MultiProcessCollector(shared, path=folder)  # type: ignore[no-untyped-call]
        body = generate_latest(shared)
    else:
        body = generate_latest(metrics.registry)
    if snapshot is not None:
        gauges = CollectorRegistry()
        gauges.register(_SnapshotCollector(snapshot))
        body += generate_latest(gauges)
    return body, CONTENT_TYPE


def configure_logging(process: str, *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send everything this process logs to `stream` (stderr) as one JSON object a line.

    `process` stands on every line (`api`, `worker-live`, `keeper`, …). Call it once at start, and again
    after a fork that replaced stderr.
    """

    def name_process(
        _logger: structlog.types.WrappedLogger, _method: str, event: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        event["process"] = process
        return event

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        name_process,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _UVICORN:  # uvicorn has installed handlers of its own by the time the app is made
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
