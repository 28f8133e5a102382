"""The whole path on real parts: every process of the local stack, the demo models, drawn portraits."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import psutil
import pytest
import services

from orchestrator.demo.people import read_tokens
from orchestrator.demo.portraits.files import PortraitFile, write_portraits
from orchestrator.demo.setup import set_up, until_ready
from orchestrator.local.stack import Stack
from orchestrator.records import Role
from orchestrator.settings import load_settings
from orchestrator.store.unit_of_work import Store

pytestmark = pytest.mark.xdist_group("whole-path")  # what they share is set up once

WITHIN = 60.0

DRAWN = {
    "blue_eyes": "blue eyes",
    "green_hair": "green hair",
    "purple_hair": "purple hair",
    "glasses": "glasses",
    "outdoors": "outdoors",
    "cat_ears": "cat ears",
    "school_uniform": "school uniform",
}
"""Attributes that nobody could overlook, and the board's tags for them."""


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> list[PortraitFile]:
    return write_portraits(tmp_path_factory.mktemp("portraits"), 12)


@pytest.fixture(scope="module")
def picture_host(portraits: list[PortraitFile]) -> Iterator[str]:
    """The board's own picture host; only an allow-list lets the fetcher go there."""
    folder = portraits[0].path.parent

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def installation(picture_host: str) -> Iterator[Stack]:
    """A stack of this test's own, with the demo board and both models."""
    patch = pytest.MonkeyPatch()
    patch.setenv("TAGDESK_FETCH_ALLOW", "127.0.0.1")
    label = f"path-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    stack = Stack(services.test_instance(label))
    stack.up(hasty=True, owner=services.run_owner())
    try:
        for name, value in stack.environment().items():
            if name.startswith("TAGDESK_"):
                patch.setenv(name, value)
        asyncio.run(_prepare(stack))
        yield stack
    finally:
        patch.undo()
        services.remove(stack)


async def _prepare(stack: Stack) -> None:
    settings = load_settings()
    store = await Store.connect(settings)
    try:
        await set_up(store, settings, stack.instance.tokens_file, say=lambda text: None)
    finally:
        await store.close()
    await until_ready(stack.environment()["TAGDESK_PUBLIC_URL"])


@pytest.fixture
def board(installation: Stack) -> Iterator[Callable[..., httpx.Response]]:
    """Ask the API in a role: board(Role.MODERATOR, "GET", "/images/1")."""
    tokens = read_tokens(installation.instance.tokens_file)
    with httpx.Client(base_url=installation.environment()["TAGDESK_PUBLIC_URL"], timeout=30) as client:

        def ask(role: Role, method: str, path: str, **more: object) -> httpx.Response:
            headers = {"Authorization": f"Bearer {tokens[role]}"}
            return client.request(method, f"/api/v1{path}", headers=headers, **more)  # type: ignore[arg-type]

        yield ask


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN:.0f} s: {what}"
        time.sleep(0.05)


def _register(
    board: Callable[..., httpx.Response], how: str, portrait: PortraitFile, host: str, pictures: Path
) -> int:
    """Register a portrait by URL, by upload or by path, and wait for its suggestions."""
    if how == "url":
        answer = board(Role.UPLOADER, "POST", "/images", json={"url": f"{host}/{portrait.path.name}"})
    elif how == "upload":
        files = {"file": (portrait.path.name, portrait.path.read_bytes(), portrait.media_type)}
        answer = board(Role.UPLOADER, "POST", "/images", files=files)
    else:
        path = pictures / portrait.path.name
        path.write_bytes(portrait.path.read_bytes())
        answer = board(Role.ENGINEER, "POST", "/images", json={"path": str(path)})
    assert answer.status_code == 202, answer.text
    image = int(answer.json()["id"])
    status = f"/images/{image}/tag-suggestions/status"
    _until(lambda: board(Role.ADMIN, "GET", status).json()["status"] in ("done", "failed"), "analysed")
    assert board(Role.ADMIN, "GET", status).json()["status"] == "done"
    return image


@pytest.mark.parametrize("how", ["url", "upload", "path"])
def test_a_picture_ends_with_the_tags_of_what_was_drawn(
    installation: Stack,
    board: Callable[..., httpx.Response],
    portraits: list[PortraitFile],
    picture_host: str,
    how: str,
) -> None:
    for portrait in portraits[:4]:
        # Given a drawn portrait, registered in one of the three ways
        image = _register(board, how, portrait, picture_host, installation.instance.pictures)
        # Then the board's tags for its unmistakable attributes are suggested, by the models that see them
        page = board(Role.MODERATOR, "GET", f"/images/{image}/tag-suggestions").json()
        suggested = {item["tag"]["title"] for item in page["items"]}
        drawn = {title for label, title in DRAWN.items() if label in portrait.labels}
        assert drawn <= suggested
        # And none of those that were not drawn
        assert not suggested & (set(DRAWN.values()) - drawn)
        assert {item["model_source"] for item in page["items"]} <= {"danbooru", "custom_theme"}
        assert page["counts"]["pending"] == len(page["items"])


def test_approving_links_once_and_a_stale_version_is_refused(
    installation: Stack,
    board: Callable[..., httpx.Response],
    portraits: list[PortraitFile],
    picture_host: str,
) -> None:
    # Given a portrait's suggestions
    image = _register(board, "upload", portraits[5], picture_host, installation.instance.pictures)
    items = board(Role.MODERATOR, "GET", f"/images/{image}/tag-suggestions").json()["items"]
    first, second = items[0], items[1]
    review = f"/images/{image}/tag-suggestions/review"

    def decide(role: Role, item: dict[str, object], decision: str, version: object) -> httpx.Response:
        decisions = [{"suggestion_id": item["id"], "version": version, "decision": decision}]
        return board(role, "POST", review, json={"decisions": decisions})

    # When a moderator approves one
    answer = decide(Role.MODERATOR, first, "approve", first["version"])
    # Then its canonical tag is linked
    result = answer.json()["results"][0]
    assert (answer.status_code, result["outcome"], result["linked"]) == (200, "applied", True)
    tags = board(Role.MODERATOR, "GET", f"/images/{image}").json()["tags"]
    assert result["tag"]["id"] in [tag["id"] for tag in tags]
    # When it is approved once more
    again = decide(Role.MODERATOR, first, "approve", first["version"]).json()["results"][0]
    # Then that is the same decision, and nothing is linked twice
    assert (again["outcome"], again["linked"]) == ("unchanged", False)
    assert board(Role.MODERATOR, "GET", f"/images/{image}").json()["tags"] == tags
    # When somebody else decides on the row as it was, then they are refused and told who was first
    late = decide(Role.TAGGER, first, "reject", first["version"])
    assert late.status_code == 409
    assert late.json()["results"][0]["decided_by"] == "moderator"
    # And a version that the row never had is refused as well
    assert decide(Role.MODERATOR, second, "approve", 99).status_code == 409


def test_killing_a_worker_in_a_run_of_sixty_loses_and_doubles_nothing(
    installation: Stack,
    board: Callable[..., httpx.Response],
    portraits: list[PortraitFile],
    picture_host: str,
) -> None:
    def shown(image: int) -> list[tuple[object, ...]]:
        page = board(Role.MODERATOR, "GET", f"/images/{image}/tag-suggestions").json()
        return sorted(
            (item["tag"]["id"], item["score"], item["confidence"], item["version"], item["status"])
            for item in page["items"]
        )

    # Given what an undisturbed run makes of twelve portraits
    undisturbed = [
        shown(_register(board, "upload", portrait, picture_host, installation.instance.pictures))
        for portrait in portraits
    ]
    # When sixty are on their way and the worker is killed in the middle
    images: list[int] = []
    for number in range(60):
        portrait = portraits[number % len(portraits)]
        files = {"file": (portrait.path.name, portrait.path.read_bytes(), portrait.media_type)}
        images.append(int(board(Role.UPLOADER, "POST", "/images", files=files).json()["id"]))

    def states() -> list[str]:
        return [
            board(Role.ADMIN, "GET", f"/images/{image}/tag-suggestions/status").json()["status"]
            for image in images
        ]

    _until(lambda: "done" in states(), "some are done")
    run = installation.run()
    assert run is not None
    master = psutil.Process(run.parts["worker-live"].pid or 0)
    (worker,) = [one for one in master.children() if "orchestrator.worker" in " ".join(one.cmdline())]
    worker.kill()
    # Then every image ends done
    _until(lambda: set(states()) == {"done"}, "all are done")
    # And its rows are those of the undisturbed run
    for number, image in enumerate(images):
        assert shown(image) == undisturbed[number % len(portraits)]
