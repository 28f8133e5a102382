"""The running API's own log and metrics: a line for every request, and labels that no caller can make up."""

import re
from collections.abc import Iterator

import httpx
import pytest
from installation import Installation, until
from scrapes import assert_bounded, scrape, total

from orchestrator.telemetry import MetricName

pytestmark = pytest.mark.xdist_group("request-log")  # what they share is set up once

IMAGES = "/api/v1/images"
WHO = "uploader"


@pytest.fixture(scope="module")
def http(served: Installation) -> Iterator[httpx.Client]:
    headers = served.headers(WHO)
    with httpx.Client(base_url=served.address, headers=headers, timeout=20, trust_env=False) as client:
        yield client


def lines(served: Installation, request_id: str) -> list[dict[str, object]]:
    """Return what the log says of a request, as soon as it says anything."""

    def found() -> list[dict[str, object]]:
        return [line for line in served.processes["api"].lines if line.get("request_id") == request_id]

    until(lambda: bool(found()), f"the request {request_id} is logged", timeout=10)
    return found()


def test_a_request_is_one_line_under_the_id_that_its_answer_names(
    served: Installation, http: httpx.Client
) -> None:
    """Given a request without an id, when it is answered, then the answer names one, and so does the log."""
    response = http.get(f"{IMAGES}/{served.kept[WHO]}?unknown=1")
    (line,) = lines(served, response.headers["X-Request-ID"])
    assert (line["event"], line["process"], line["level"]) == ("request", "api", "info")
    assert (line["method"], line["route"]) == ("GET", f"{IMAGES}/{{image_id}}")
    assert line["status"] == response.status_code
    assert isinstance(line["ms"], float)
    assert 0 < line["ms"] < 20_000
    assert line["user_id"] == served.user_ids[WHO]


def test_an_id_that_a_proxy_gave_is_kept(served: Installation, http: httpx.Client) -> None:
    response = http.get(IMAGES, headers={"X-Request-ID": "edge-7.0_42"})
    assert response.headers["X-Request-ID"] == "edge-7.0_42"
    assert len(lines(served, "edge-7.0_42")) == 1


@pytest.mark.parametrize("given", ["short", "x" * 65, "with blanks in it", 'quo"ted-and-more', "12345678\t9"])
def test_an_id_that_is_none_is_replaced(served: Installation, http: httpx.Client, given: str) -> None:
    found = http.get(IMAGES, headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{16}", found)
    assert len(lines(served, found)) == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/nowhere/4711", 404, "unmatched"),
        ("GET", "/metrics-of-mine", 404, "unmatched"),
        ("DELETE", IMAGES, 405, IMAGES),
        ("POST", "/api/v1/tag-suggestions/analyze", 415, "/api/v1/tag-suggestions/analyze"),
    ],
)
def test_what_is_refused_is_logged_as_well(
    served: Installation, http: httpx.Client, method: str, path: str, status: int, route: str
) -> None:
    response = http.request(method, path)
    assert response.status_code == status
    (line,) = lines(served, response.headers["X-Request-ID"])
    assert (line["method"], line["route"], line["status"]) == (method, route, status)


def test_who_is_nobody_is_logged_as_nobody(served: Installation) -> None:
    response = httpx.get(f"{served.address}{IMAGES}", trust_env=False)
    (line,) = lines(served, response.headers["X-Request-ID"])
    assert (line["status"], line["user_id"]) == (401, None)


def test_probes_and_scrapes_that_go_well_leave_no_lines(served: Installation, http: httpx.Client) -> None:
    answers = [http.get(path) for path in ("/health/live", "/health/ready", "/metrics")]
    assert [one.status_code for one in answers] == [200, 200, 200]
    lines(served, http.get(IMAGES).headers["X-Request-ID"])  # logged after them, so theirs would be there
    logged = {line.get("request_id") for line in served.processes["api"].lines}
    assert not logged & {one.headers["X-Request-ID"] for one in answers}


def test_labels_are_bounded_whatever_callers_send(served: Installation, http: httpx.Client) -> None:
    """Given strange methods and addresses, when the metrics are scraped, then none of them became a label."""
    for method, path in [
        ("PROPFIND", "/nowhere/4711"),
        ("PROPFIND", IMAGES),
        ("GET", f"{IMAGES}/4711471147114711"),
        ("GET", "/desk/static/4711.css"),
    ]:
        assert http.request(method, path).status_code in {404, 405}
    samples = scrape(f"{served.address}/metrics")
    assert_bounded(samples)
    assert total(samples, f"{MetricName.HTTP_SECONDS}_count", method="other", route="unmatched") >= 1
