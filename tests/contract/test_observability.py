"""What an operator sees of a small run: the log lines and the metrics of real processes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from installation import UNMAPPED, Installation, installed, portrait, until
from scrapes import assert_bounded, scrape, total
from services import RunningTriton, Stack

from orchestrator.actors import WorkQueue
from orchestrator.broker import make_broker
from orchestrator.records import ImageSource, ImageState, Priority, SourceKind
from orchestrator.store import images
from orchestrator.store.unit_of_work import Store
from orchestrator.telemetry import MULTIPROCESS_FOLDER, MetricName, Metrics, Outcome, Stage

pytestmark = pytest.mark.xdist_group("observability")  # what they share is set up once

IMAGES = "/api/v1/images"
WHO = "uploader"
PROCESSES = ("api", "worker-live", "keeper")


class Run:
    """An installation with API, worker and keeper, which has had a little work."""

    def __init__(self, installation: Installation, triton: RunningTriton, http: httpx.Client) -> None:
        self.installation = installation
        self.triton = triton
        self.http = http
        self.done: list[int] = []
        self.failed = 0

    def lines(self, process: str) -> list[dict[str, object]]:
        """Every line that a process has logged."""
        return self.installation.processes[process].lines

    def upload(self, data: bytes) -> int:
        """Upload a picture; returns its id."""
        response = self.http.post(IMAGES, files={"file": ("picture.jpg", data, "image/jpeg")})
        assert response.status_code == 202, response.text
        image_id: int = response.json()["id"]
        return image_id

    def wait_for(self, image_id: int, state: ImageState) -> None:
        """Wait until an image's analysis has ended like this."""
        path = f"{IMAGES}/{image_id}/tag-suggestions/status"
        until(lambda: self.http.get(path).json()["status"] == state, f"image {image_id} is {state}")


async def registered(installation: Installation, priority: Priority) -> int:
    """Register an image of which the queue knows nothing."""
    picture = installation.settings.image_roots[0] / f"{priority}.jpg"
    await anyio.Path(picture).write_bytes(portrait(3))
    store = await Store.connect(installation.settings)
    try:
        image = await store.write(
            lambda tx: images.register(
                tx,
                source=ImageSource(SourceKind.PATH, str(picture)),
                uploader_id=installation.user_ids[WHO],
                external_id=None,
                priority=priority,
            )
        )
    finally:
        await store.close()
    return image.id


async def backfilled(installation: Installation) -> bool:
    """Register an image for the backfill and enqueue it; false when Redis does not take it."""
    image_id = await registered(installation, Priority.BACKFILL)
    queue = WorkQueue(make_broker(installation.settings), Metrics.create())
    try:
        return await queue.enqueue([image_id], Priority.BACKFILL)
    finally:
        queue.close()


@pytest.fixture(scope="module")
def run(
    stack: Stack,
    model_repository: Path,
    triton_serving: Callable[[Path, str], RunningTriton],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Run]:
    """Two pictures analysed, one of them forgotten by the queue at first, and one file that is none."""
    triton = triton_serving(model_repository, "observed")
    folder = tmp_path_factory.mktemp("observed")
    with installed(stack, folder, "observed", triton=triton) as installation:
        shared = {MULTIPROCESS_FOLDER: str(folder / "metrics")}
        installation.start("keeper", "orchestrator.keeper", **shared)
        installation.start("worker-live", "orchestrator.worker", "live", **shared)
        installation.start_api(**shared)
        headers = installation.headers(WHO)
        with httpx.Client(
            base_url=installation.address, headers=headers, timeout=20, trust_env=False
        ) as http:
            run = Run(installation, triton, http)
            run.done = [run.upload(portrait(1)), anyio.run(registered, installation, Priority.LIVE)]
            run.failed = run.upload(b"no picture, whatever its name says")
            for image_id in run.done:
                run.wait_for(image_id, ImageState.DONE)
            run.wait_for(run.failed, ImageState.FAILED)
            yield run


def test_every_line_is_json_says_who_wrote_it_when_and_gives_no_secret_away(run: Run) -> None:
    settings = run.installation.settings
    secrets = [one.get_secret_value() for one in (settings.session_secret, settings.triton_admin_key)]
    for process in PROCESSES:
        for line in run.lines(process):
            assert {"event", "level", "timestamp"} <= line.keys(), line
            assert line["process"] == process
            assert str(line["timestamp"]).endswith("Z")
            text = json.dumps(line)
            assert not any(one in text for one in [*run.installation.tokens.values(), *secrets])


def test_the_log_tells_each_image_with_its_message_models_times_and_reason(run: Run) -> None:
    """Given two pictures and a file that is none, then the log tells the story of each, and of the sweep."""
    lines = run.lines("worker-live")
    assert all(line["message_id"] and line["queue"] == Priority.LIVE for line in lines if "image_id" in line)
    analysed = {line["image_id"]: line for line in lines if line["event"] == "image analysed"}
    assert set(analysed) == set(run.done)
    for line in analysed.values():
        assert line["attempt"] == 1
        assert line["models"] == ["wd14:1"]
        assert set(line["milliseconds"]) == set(Stage)
        assert line["unmapped"] == [UNMAPPED]
    (failed,) = [line for line in lines if line["event"] == "image failed"]
    assert (failed["image_id"], failed["code"]) == (run.failed, "not_an_image")
    assert {"leading", "swept"} <= {line["event"] for line in run.lines("keeper")}


def test_every_metric_is_there_with_the_figures_of_the_run(run: Run) -> None:
    """Given three processes that share a folder, when the API is scraped, then it speaks for all of them."""
    found = scrape(f"{run.installation.address}/metrics")
    names = {one.name for one in found}
    # Races in the database are counted by their error, so there is nothing to show before the first one; nor
    # is there a backfill or a shadow here.
    unseen = {
        MetricName.STORE_RACES,
        MetricName.STACK_IMAGES,
        MetricName.SHADOW_IMAGES,
        MetricName.SHADOW_PAUSED,
    }
    for name in set(MetricName) - unseen:
        assert name in names or f"{name}_count" in names, name
    assert_bounded(found)
    live = Priority.LIVE.value
    assert total(found, MetricName.IMAGES, queue=live, outcome=Outcome.DONE, reason="") == 2
    assert total(found, MetricName.IMAGES, queue=live, outcome=Outcome.FAILED, reason="not_an_image") == 1
    assert all(total(found, f"{MetricName.STAGE_SECONDS}_count", stage=one) >= 2 for one in Stage)
    assert total(found, f"{MetricName.INFERENCE_SECONDS}_count", model="wd14", version="1") == 2
    assert total(found, MetricName.SUGGESTIONS, model="wd14", version="1") > 2
    assert total(found, MetricName.UNMAPPED, source="danbooru") == 2
    assert total(found, MetricName.ENQUEUED, queue=live, outcome="sent") >= 3
    assert total(found, MetricName.SWEPT, queue=live) >= 1
    assert total(found, MetricName.MODEL_LOADS, model="wd14", action="load") >= 1
    assert total(found, MetricName.IMAGES_NOW, state=ImageState.DONE) == 2


def test_what_waits_shows_in_depth_and_age(run: Run) -> None:
    """Given a backfill image that no worker of this installation takes, then the gauges tell of it."""
    asked = anyio.run(backfilled, run.installation)
    assert asked
    found = scrape(f"{run.installation.address}/metrics")
    assert total(found, MetricName.QUEUE_MESSAGES, queue=Priority.BACKFILL, state="ready") >= 1
    assert total(found, MetricName.IMAGES_NOW, state=ImageState.QUEUED) == 1
    assert 0 < total(found, MetricName.OLDEST_QUEUED) < 600


def test_batch_sizes_are_in_tritons_own_metrics(run: Run) -> None:
    """One request a picture leaves the pipeline; what Triton makes a batch of, only Triton knows."""
    found = scrape(run.triton.metrics_url)  # the parser adds a suffix that Triton's counters do not have
    pictures = total(found, "nv_inference_count_total", model="wd14", version="1")
    batches = total(found, "nv_inference_exec_count_total", model="wd14", version="1")
    assert pictures >= batches > 0
