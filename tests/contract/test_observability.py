"""What an operator sees of a small run: the log lines and the metrics of real processes."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from installation import UNMAPPED, Installation, installed, portrait, until
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from services import RunningTriton, Stack

from orchestrator.actors import WorkQueue
from orchestrator.api.table import operations
from orchestrator.broker import make_broker
from orchestrator.records import ImageSource, ImageState, Priority, SourceKind
from orchestrator.store import images
from orchestrator.store.unit_of_work import Store
from orchestrator.telemetry import MULTIPROCESS_FOLDER, MetricName, Metrics, Outcome, Stage

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

    def requests(self, request_id: str) -> list[dict[str, object]]:
        """The API's lines about a request, as soon as there are any."""

        def found() -> list[dict[str, object]]:
            return [line for line in self.lines("api") if line.get("request_id") == request_id]

        until(lambda: bool(found()), f"the request {request_id} is logged")
        return found()

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

    def scrape(self) -> dict[str, Metric]:
        """Parse what the API exports, by the name of each sample."""
        response = self.http.get("/metrics")
        assert response.headers["Content-Type"].startswith("text/plain")
        families = list(text_string_to_metric_families(response.text))
        return {sample.name: family for family in families for sample in family.samples}


async def forgotten(installation: Installation) -> int:
    """Register an image of which the queue knows nothing."""
    picture = installation.settings.image_roots[0] / "forgotten.jpg"
    await anyio.Path(picture).write_bytes(portrait(3))
    store = await Store.connect(installation.settings)
    try:
        registered = await store.write(
            lambda tx: images.register(
                tx,
                source=ImageSource(SourceKind.PATH, str(picture)),
                uploader_id=installation.user_ids[WHO],
                external_id=None,
                priority=Priority.LIVE,
            )
        )
    finally:
        await store.close()
    return registered.id


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
            run.done = [run.upload(portrait(1)), anyio.run(forgotten, installation)]
            run.failed = run.upload(b"no picture, whatever its name says")
            for image_id in run.done:
                run.wait_for(image_id, ImageState.DONE)
            run.wait_for(run.failed, ImageState.FAILED)
            yield run


@pytest.mark.parametrize("process", PROCESSES)
def test_every_line_is_json_and_says_who_wrote_it_when(run: Run, process: str) -> None:
    for line in run.lines(process):
        assert {"event", "level", "timestamp"} <= line.keys(), line
        assert line["process"] == process
        assert str(line["timestamp"]).endswith("Z")


@pytest.mark.parametrize("process", PROCESSES)
def test_no_line_gives_a_secret_away(run: Run, process: str) -> None:
    text = json.dumps(run.lines(process))
    settings = run.installation.settings
    secrets = [settings.session_secret, settings.triton_admin_key]
    for secret in [*run.installation.tokens.values(), *(one.get_secret_value() for one in secrets)]:
        assert secret not in text


def test_a_request_is_one_line_under_the_id_that_its_answer_names(run: Run) -> None:
    """Given a request without an id, when it is answered, then the answer names one, and so does the log."""
    response = run.http.get(f"{IMAGES}/{run.done[0]}?unknown=1")
    (line,) = run.requests(response.headers["X-Request-ID"])
    assert (line["event"], line["method"], line["route"]) == ("request", "GET", f"{IMAGES}/{{image_id}}")
    assert line["status"] == response.status_code
    assert isinstance(line["ms"], float)
    assert 0 < line["ms"] < 20_000
    assert line["user_id"] == run.installation.user_ids[WHO]


def test_an_id_that_a_proxy_gave_is_kept(run: Run) -> None:
    response = run.http.get(IMAGES, headers={"X-Request-ID": "edge-7.0_42"})
    assert response.headers["X-Request-ID"] == "edge-7.0_42"
    assert len(run.requests("edge-7.0_42")) == 1


@pytest.mark.parametrize("given", ["short", "x" * 65, "with blanks in it", 'quo"ted-and-more', "12345678\t9"])
def test_an_id_that_is_none_is_replaced(run: Run, given: str) -> None:
    found = run.http.get(IMAGES, headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{16}", found)
    assert len(run.requests(found)) == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/nowhere/4711", 404, "unmatched"),
        ("GET", "/metrics-of-mine", 404, "unmatched"),
        ("DELETE", IMAGES, 405, IMAGES),
        ("POST", "/api/v1/tag-suggestions/analyze", 415, "/api/v1/tag-suggestions/analyze"),
    ],
)
def test_what_is_refused_is_logged_as_well(run: Run, method: str, path: str, status: int, route: str) -> None:
    response = run.http.request(method, path)
    assert response.status_code == status
    (line,) = run.requests(response.headers["X-Request-ID"])
    assert (line["method"], line["route"], line["status"]) == (method, route, status)


def test_who_is_nobody_is_logged_as_nobody(run: Run) -> None:
    response = httpx.get(f"{run.installation.address}{IMAGES}", trust_env=False)
    (line,) = run.requests(response.headers["X-Request-ID"])
    assert (line["status"], line["user_id"]) == (401, None)


def test_probes_and_scrapes_that_go_well_leave_no_lines(run: Run) -> None:
    answers = [run.http.get(path) for path in ("/health/live", "/health/ready", "/metrics")]
    assert [one.status_code for one in answers] == [200, 200, 200]
    run.requests(run.http.get(IMAGES).headers["X-Request-ID"])  # logged after them, so theirs would be there
    logged = {line.get("request_id") for line in run.lines("api")}
    assert not logged & {one.headers["X-Request-ID"] for one in answers}


def test_an_analysis_is_logged_with_image_message_models_and_times(run: Run) -> None:
    found = {line["image_id"]: line for line in run.lines("worker-live") if line["event"] == "image analysed"}
    assert set(found) == set(run.done)
    for line in found.values():
        assert line["message_id"]
        assert line["queue"] == Priority.LIVE
        assert line["attempt"] == 1
        assert line["models"] == ["wd14:1"]
        assert set(line["milliseconds"]) == set(Stage)
        assert line["unmapped"] == [UNMAPPED]


def test_a_failure_is_logged_with_image_message_and_reason(run: Run) -> None:
    lines = [line for line in run.lines("worker-live") if line.get("image_id") == run.failed]
    assert lines
    assert all(line["message_id"] for line in lines)
    assert [line["code"] for line in lines if line["event"] == "image failed"] == ["not_an_image"]


def test_the_keeper_says_what_it_mended(run: Run) -> None:
    events = {str(line["event"]) for line in run.lines("keeper")}
    assert {"leading", "swept"} <= events


def test_every_metric_is_there_after_a_small_run(run: Run) -> None:
    """Given three processes that share a folder, when the API is scraped, then it speaks for all of them."""
    found = run.scrape()
    for name in MetricName:
        assert name in found or f"{name}_count" in found, name


def value(run: Run, name: str, **labels: str) -> float:
    """Return the one sample with these labels, summed over the others."""
    samples = [one for one in run.scrape()[name].samples if one.name == name]
    return sum(one.value for one in samples if labels.items() <= one.labels.items())


def test_the_figures_are_those_of_the_run(run: Run) -> None:
    live = Priority.LIVE.value
    assert value(run, MetricName.IMAGES, queue=live, outcome=Outcome.DONE, reason="") == 2
    assert value(run, MetricName.IMAGES, queue=live, outcome=Outcome.FAILED, reason="not_an_image") == 1
    assert all(value(run, f"{MetricName.STAGE_SECONDS}_count", stage=one) >= 2 for one in Stage)
    assert value(run, f"{MetricName.INFERENCE_SECONDS}_count", model="wd14", version="1") == 2
    assert value(run, MetricName.SUGGESTIONS, model="wd14", version="1") > 2
    assert value(run, MetricName.UNMAPPED, source="danbooru") == 2
    assert value(run, MetricName.SWEPT, queue=live) >= 1
    assert value(run, MetricName.MODEL_LOADS, model="wd14", action="load") >= 1
    assert value(run, MetricName.IMAGES_NOW, state=ImageState.DONE) == 2
    assert value(run, MetricName.QUEUE_MESSAGES, queue=live) == 0
    assert value(run, MetricName.OLDEST_QUEUED) == 0


def test_what_waits_shows_in_depth_and_age(run: Run) -> None:
    """Given a backfill message that no worker of this installation takes, then the gauges tell of it."""

    async def ask() -> None:
        queue = WorkQueue(make_broker(run.installation.settings), Metrics.create())
        assert await queue.enqueue([run.done[0]], Priority.BACKFILL)
        queue.close()

    before = value(run, MetricName.QUEUE_MESSAGES, queue=Priority.BACKFILL, state="ready")
    anyio.run(ask)
    assert value(run, MetricName.QUEUE_MESSAGES, queue=Priority.BACKFILL, state="ready") == before + 1


def test_labels_are_bounded_whatever_callers_send(run: Run) -> None:
    """Given strange methods and addresses, when the metrics are scraped, then none of them became a label."""
    strange = [
        ("BREW", "/nowhere/4711"),
        ("BREW", IMAGES),
        ("GET", f"{IMAGES}/4711471147114711"),
        ("GET", "/desk/static/4711.css"),
    ]
    for method, path in strange:
        assert run.http.request(method, path).status_code in {404, 405}
    routes = {one.path for one in operations()} | {"unmatched", "/desk/static"}
    methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
    allowed = {
        "queue": set(Priority),
        "stage": set(Stage),
        "model": {"wd14"},
        "version": {"1"},
        "source": {"danbooru"},
        "route": routes,
        "method": methods,
    }
    families = {family.name: family for family in run.scrape().values()}
    for family in families.values():
        for sample in family.samples:
            for label, found in sample.labels.items():
                assert re.fullmatch(r"[A-Za-z0-9_/{}.+-]{0,80}", found), (sample.name, label, found)
                assert found in allowed.get(label, {found}), (sample.name, label, found)
    assert "other" in {one.labels.get("method") for family in families.values() for one in family.samples}


def test_batch_sizes_are_in_tritons_own_metrics(run: Run) -> None:
    """One request a picture leaves the pipeline; what Triton makes a batch of, only Triton knows."""
    response = httpx.get(run.triton.metrics_url, trust_env=False)
    samples = {
        one.name.removesuffix("_total"): one.value  # the parser's suffix: Triton's counters have none
        for family in text_string_to_metric_families(response.text)
        for one in family.samples
        if one.labels.get("model") == "wd14" and one.labels.get("version") == "1"
    }
    assert samples["nv_inference_count"] >= samples["nv_inference_exec_count"] > 0
