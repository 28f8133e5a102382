"""Logs and metrics: one JSON object a line with its context, names from one registry."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import structlog
from colours import picture
from prometheus_client.parser import text_string_to_metric_families
from world import RED, World

from orchestrator.records import ImageState, Priority
from orchestrator.resources import Resources
from orchestrator.telemetry import (
    MULTIPROCESS_FOLDER,
    MetricName,
    Metrics,
    Snapshot,
    Stage,
    configure_logging,
    render_metrics,
)

ALONE = """
from orchestrator.telemetry import Metrics, render_metrics
metrics = Metrics.create()
metrics.swept.labels("live").inc(2)
print(render_metrics(metrics)[0].decode())
"""

HEALTH = """
from orchestrator.telemetry import Metrics, render_metrics
metrics = Metrics.create()
metrics.model_healthy.labels("wd14", 3).set(float("{health}"))
print(render_metrics(metrics)[0].decode())
"""


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """What a process called `test` logs; the test run's own logging comes back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = StringIO()
    configure_logging("test", stream=stream)
    yield stream
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_context_stands_on_our_lines_and_on_libraries(logged: StringIO):
    with structlog.contextvars.bound_contextvars(image_id=7):
        structlog.get_logger("orchestrator.x").info("seen", models=["wd14:1"])
        logging.getLogger("dramatiq.worker").warning("slow %s", "message")
    ours, theirs = lines(logged)
    assert (ours["event"], ours["image_id"], ours["process"], ours["models"]) == (
        "seen",
        7,
        "test",
        ["wd14:1"],
    )
    assert (theirs["event"], theirs["image_id"], theirs["level"]) == ("slow message", 7, "warning")


def test_a_traceback_stays_on_its_line(logged: StringIO):
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines(logged)
    assert "ValueError: boom" in str(line["exception"])


def test_processes_that_share_a_folder_are_summed(tmp_path: Path):
    # Given two processes that each counted two, when a third renders the folder
    environment = {**os.environ, MULTIPROCESS_FOLDER: str(tmp_path / "metrics")}
    rendered = ""
    for _ in range(3):
        rendered = subprocess.run(
            [sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, check=True
        ).stdout
    # Then it shows the sum of all
    assert f'{MetricName.SWEPT}{{queue="live"}} 6.0' in rendered


def test_of_a_versions_health_the_newest_word_counts(tmp_path: Path):
    # Given keepers that led one after another, and found a version well, broken, and let go
    environment = {**os.environ, MULTIPROCESS_FOLDER: str(tmp_path / "metrics")}
    rendered = []
    for health in ("1", "0", "nan"):
        code = HEALTH.format(health=health)
        rendered.append(
            subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
            ).stdout
        )
    # Then each scrape shows what the last one found
    sample = f'{MetricName.MODEL_HEALTHY}{{model="wd14",version="3"}}'
    for text, health in zip(rendered, ("1.0", "0.0", "NaN"), strict=True):
        assert f"{sample} {health}" in text


@pytest.mark.anyio
async def test_an_analysis_leaves_its_figures(world: World, resources: Resources):
    # Given one image done and one queued
    done = await world.add(picture(*RED))
    await resources.pipeline.analyse_images([done], Priority.LIVE)
    await world.add(picture(*RED))
    await resources.queue.enqueue([4711], Priority.LIVE)
    # When the metrics are scraped
    body, _ = render_metrics(resources.metrics, await resources.snapshot())
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    # Then they say what happened, how long it took and what waits
    assert samples[("tagdesk_images_total", "", "done", "live")] == 1
    assert all(samples[("tagdesk_stage_seconds_count", stage)] == 1 for stage in Stage)
    assert samples[("tagdesk_inference_seconds_count", "1", "colours")] == 1
    assert samples[("tagdesk_suggestions_total", "1", "colours")] == 1
    assert samples[("tagdesk_queue_messages", "live", "ready")] == 1
    assert samples[("tagdesk_images", "queued")] == 1
    assert samples[("tagdesk_images", "done")] == 1
    assert 0 <= samples[("tagdesk_oldest_queued_seconds",)] < 60


def test_every_metric_has_its_name_in_the_registry():
    snapshot = Snapshot(images={ImageState.QUEUED: 1})
    body, _ = render_metrics(Metrics.create(), snapshot)
    families = {family.name for family in text_string_to_metric_families(body.decode())}
    assert families == {name.removesuffix("_total") for name in MetricName}
