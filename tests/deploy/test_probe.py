"""The question that containers' healthchecks ask."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orchestrator.local.ports import choose_port
from orchestrator.probe import problem


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """A host that says 200 at /good and 503 elsewhere."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def asked(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.probe", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_success_is_success_and_everything_else_is_not(address: str) -> None:
    assert problem(f"{address}/good") is None
    assert "503" in str(problem(f"{address}/bad"))
    assert "refused" in str(problem(f"http://127.0.0.1:{choose_port()}/good"))


def test_the_command_says_it_by_its_status_and_passes_proxies_by(address: str) -> None:
    """Given a proxy in the environment, where engines put one, then the container is asked all the same."""
    proxy = f"http://127.0.0.1:{choose_port()}"
    assert asked(f"{address}/good", http_proxy=proxy, HTTP_PROXY=proxy).returncode == 0
    bad = asked(f"{address}/bad")
    assert bad.returncode == 1
    assert bad.stderr.startswith(f"{address}/bad: ")
    assert asked().returncode == 2


def test_a_worker_without_a_folder_for_its_metrics_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.worker", "live"],
        env={
            "PATH": os.environ["PATH"],
            "TAGDESK_METRICS_PORT": "9191",
            "TAGDESK_DATABASE_URL": "mysql+asyncmy://nobody@127.0.0.1:1/none",
            "TAGDESK_REDIS_URL": "redis://127.0.0.1:1/0",
            "TAGDESK_TRITON_URL": "127.0.0.1:1",
            "TAGDESK_MODEL_REPOSITORY": "models",
            "TAGDESK_BLOB_DIR": "blobs",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "PROMETHEUS_MULTIPROC_DIR" in done.stderr
