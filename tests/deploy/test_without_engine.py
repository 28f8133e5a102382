"""All that the compose file starts, run as written but without containers: it works, and is watched."""

import asyncio
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest
import redis
import services
import yaml
from compose_file import FILE, ONCE
from containers import Containers, until
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from orchestrator.local import checks
from orchestrator.local.errors import NotReady
from orchestrator.local.instance import checkout
from orchestrator.local.triton import server_flags
from orchestrator.records import Priority
from orchestrator.telemetry import MetricName, Outcome, Stage

pytestmark = pytest.mark.xdist_group("deployment")  # what they share is set up once

PROMETHEUS = FILE.parent / "triton_config/prometheus/prometheus.yml"
LASTING = ("api", "worker-live", "worker-backfill", "keeper")
EXECUTED = re.compile(r"^    docker compose -f docker-compose\.gpu\.yml exec api (tagdesk .+)$", re.MULTILINE)
PICTURE = checkout() / "model_repository/wd14/1/golden/wide.jpg"


def executed(containers: Containers, first_words: str) -> str:
    """Run a command of docs/gpu.md in the API's container; returns what it prints."""
    page = (checkout() / "docs/gpu.md").read_text()
    (line,) = [one for one in EXECUTED.findall(page) if one.startswith(first_words)]
    done = containers.run("api", line.split())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def database_answers(containers: Containers) -> bool:
    try:
        asyncio.run(checks.mariadb({"TAGDESK_DATABASE_URL": containers.secret("tagdesk_database_url")}))
    except NotReady:
        assert containers.processes["mariadb"].poll() is None, containers.log("mariadb")
        return False
    return True


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    """Every service but Prometheus, started in the order in which they wait for each other."""
    made = Containers(services.test_instance(f"containers-{services.worker_number()}"))
    try:
        made.start("mariadb")
        until(lambda: database_answers(made), "mariadb answers its user")
        made.start_healthy("redis")
        for name in ONCE:
            done = made.run(name)
            assert done.returncode == 0, done.stdout + done.stderr
        made.start_healthy("triton")
        for name in LASTING:
            made.start_healthy(name)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def scraped(containers: Containers) -> dict[str, list[Sample]]:
    """What Prometheus would have of each job after a picture was uploaded and analysed."""
    executed(containers, "tagdesk models register")
    executed(containers, "tagdesk users create")
    token = executed(containers, "tagdesk tokens issue").strip()
    base = f"http://{containers.address('api', 8000)}"
    with httpx.Client(
        base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=20, trust_env=False
    ) as http:
        sent = http.post("/api/v1/images", files={"file": ("wide.jpg", PICTURE.read_bytes(), "image/jpeg")})
        assert sent.status_code == 202, sent.text
        status = f"/api/v1/images/{sent.json()['id']}/tag-suggestions/status"
        until(lambda: http.get(status).json()["status"] == "done", "the picture is analysed")
    return {job: scrape(f"http://{containers.address(*target)}/metrics") for job, target in targets().items()}


def targets() -> dict[str, tuple[str, int]]:
    """Return the service and the port that each job of Prometheus asks, but for itself."""
    found = {}
    for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]:
        match job:
            case {"job_name": name, "dns_sd_configs": [{"names": [host], "type": "A", "port": int(port)}]}:
                found[name] = (host, port)
            case {"job_name": name, "static_configs": [{"targets": [address]}]} if name != "prometheus":
                host, _, port = address.partition(":")
                found[name] = (host, int(port))
    return found


def scrape(url: str) -> list[Sample]:
    answer = httpx.get(url, trust_env=False, timeout=20)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    return [one for family in text_string_to_metric_families(answer.text) for one in family.samples]


def total(samples: list[Sample], name: str, **labels: str) -> float:
    """Return the sum of a metric's samples with these labels; 0 where there is none."""
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def test_triton_runs_with_exactly_the_flags_of_this_project(containers: Containers) -> None:
    """Given a server that serve.sh started, then it got the flags that the local stack gives, with the key of
    the secret, and those of the compose file."""
    key = containers.secret("tagdesk_triton_admin_key")
    program, *arguments = psutil.Process(containers.processes["triton"].pid).cmdline()
    given = containers.command("triton")[2:]
    assert program == "tritonserver"
    assert arguments[: len(server_flags(key))] == list(server_flags(key))
    rest = arguments[len(server_flags(key)) :]
    assert rest[: len(given)] == given
    assert all(one.startswith("--backend-") for one in rest[len(given) :])


def test_an_empty_key_does_not_start_triton(containers: Containers) -> None:
    secret = containers.instance.folder / "containers/triton/secrets/tagdesk_triton_admin_key"
    key = secret.read_text()
    environment = {"PATH": "/usr/bin:/bin", "TAGDESK_SECRETS_DIR": str(secret.parent)}
    for wrong in ("", None):
        secret.unlink() if wrong is None else secret.write_text(wrong)
        done = subprocess.run(
            ["bash", "triton_config/serve.sh"],
            cwd=checkout(),
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 1
        assert b"admin key" in done.stderr or b"No such file" in done.stderr
    secret.write_text(key)


def test_redis_has_a_password_that_nobody_sees_and_evicts_nothing(containers: Containers) -> None:
    url = containers.secret("tagdesk_redis_url")
    password = containers.secret("redis_password")
    assert password in url
    command = " ".join(psutil.Process(containers.processes["redis"].pid).cmdline())
    assert "redis-server" in command
    assert password not in command
    with redis.Redis.from_url(url) as client:
        found = {
            name: client.config_get(name)[name]
            for name in ("maxmemory-policy", "maxmemory", "save", "appendonly")
        }
    assert found == {
        "maxmemory-policy": "noeviction",
        "maxmemory": str(256 * 1024**2),
        "save": "",
        "appendonly": "no",
    }
    with (
        redis.Redis.from_url(url.replace(password, "wrong")) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_the_models_are_copied_once_and_never_touched_again(containers: Containers) -> None:
    folder = containers.instance.folder / "containers/volumes/models"
    shipped = checkout() / "model_repository"
    assert {one.name for one in folder.iterdir()} == {one.name for one in shipped.iterdir()}
    changed = folder / "wd14/1/MODEL_CARD.md"
    assert changed.read_bytes() == (shipped / "wd14/1/MODEL_CARD.md").read_bytes()
    changed.write_text("an engineer's own words")
    assert containers.run("models").returncode == 0
    assert changed.read_text() == "an engineer's own words"
    changed.write_bytes((shipped / "wd14/1/MODEL_CARD.md").read_bytes())


def test_a_copy_that_was_cut_off_is_made_anew(containers: Containers) -> None:
    """Given what a killed copy leaves in the volume, when it runs again, then the volume is whole."""
    folder = containers.instance.folder / "containers/volumes/models"
    aside = folder.with_name("aside")
    folder.rename(aside)
    try:
        (folder / ".shipped/half").mkdir(parents=True)
        assert containers.run("models").returncode == 0
        assert {one.name for one in folder.iterdir()} == {one.name for one in aside.iterdir()}
    finally:
        shutil.rmtree(folder)
        aside.rename(folder)


def test_a_schema_that_is_up_to_date_is_left(containers: Containers) -> None:
    done = containers.run("migrate")
    assert done.returncode == 0
    assert "head" in done.stdout


def test_every_job_of_prometheus_names_a_service_that_answers(scraped: dict[str, list[Sample]]) -> None:
    assert set(scraped) == {"triton", *LASTING}
    for job, samples in scraped.items():
        ours = {one.name for one in samples if one.name.startswith("tagdesk_")}
        known = {
            f"{name}{end}" for name in MetricName for end in ("", "_bucket", "_count", "_sum", "_created")
        }
        assert ours <= known | {name.replace("_total", "_created") for name in MetricName}, job
        assert bool(ours) == (job not in ("triton", "worker-backfill")), job


def test_a_worker_group_shows_its_own_work_and_only_that(scraped: dict[str, list[Sample]]) -> None:
    live = scraped["worker-live"]
    assert total(live, MetricName.IMAGES, queue=Priority.LIVE, outcome=Outcome.DONE) == 1
    assert {total(live, f"{MetricName.STAGE_SECONDS}_count", stage=stage) for stage in Stage} == {1}
    assert total(live, f"{MetricName.INFERENCE_SECONDS}_count", model="wd14", version="1") >= 1
    assert total(live, "dramatiq_messages_total", queue_name="live") >= 1
    assert not [one for one in live if one.name.startswith(MetricName.HTTP_SECONDS)]
    assert total(scraped["worker-backfill"], MetricName.IMAGES) == 0


def test_the_keeper_and_the_api_show_what_they_did(scraped: dict[str, list[Sample]]) -> None:
    assert total(scraped["keeper"], MetricName.MODEL_LOADS, model="wd14", action="load", outcome="done") >= 1
    api = scraped["api"]
    assert total(api, f"{MetricName.HTTP_SECONDS}_count", method="POST", route="/api/v1/images") == 1
    assert total(api, MetricName.IMAGES_NOW, state="done") == 1
    assert total(api, MetricName.IMAGES) == 0
    assert total(scraped["triton"], "nv_inference_count_total", model="wd14", version="1") >= 1


def test_the_doctor_of_a_new_installation_finds_all_parts(
    containers: Containers, scraped: dict[str, list[Sample]]
) -> None:
    """Given an installation without tags yet, then these are what the doctor misses, and nothing else."""
    done = containers.run("api", ["tagdesk", "doctor"])
    assert scraped
    found = re.findall(r"^│ (\w[\w ]*?) +│ (\w+) +│", done.stdout, re.MULTILINE)
    states = dict(found)
    assert {states[name] for name in ("configuration", "schema", "redis", "model wd14 1")} == {"ok"}, (
        done.stdout
    )
    assert [name for name, state in states.items() if state == "fail"] == ["tags"], done.stdout


def test_a_gpu_that_is_not_there_is_missed(containers: Containers, scraped: dict[str, list[Sample]]) -> None:
    """On this machine there is none, which TAGDESK_EXPECT_GPU of the compose file makes a finding."""
    assert scraped
    answer = httpx.get(
        f"http://{containers.address('api', 8000)}/health/ready", trust_env=False, timeout=20
    ).json()
    assert answer["inference"]["expected_gpu"] is True
    assert (answer["inference"]["provider"] == "cpu") == ("GPU" in (answer["inference"]["detail"] or ""))


@pytest.mark.parametrize("name", ["worker-backfill", "worker-live", "keeper", "api", "triton", "redis"])
def test_a_service_that_is_stopped_ends_in_time_and_is_no_longer_healthy(
    containers: Containers, name: str
) -> None:
    assert containers.healthy(name)
    began = time.monotonic()
    # uvicorn shuts down in good order and then ends by the signal it was sent.
    wanted = -signal.SIGTERM if name == "api" else 0
    assert containers.stop(name) == wanted, containers.log(name)
    grace = containers.services[name].keys["stop_grace_period"]
    assert time.monotonic() - began < int(grace.removesuffix("s"))
    assert not containers.healthy(name)
