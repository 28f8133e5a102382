"""The whole path on real parts: every process of the local stack, the demo models, drawn portraits."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest
import services

from orchestrator.client import ApiError, Client
from orchestrator.demo.people import read_tokens
from orchestrator.demo.portraits.files import PortraitFile, write_portraits
from orchestrator.demo.setup import set_up, until_ready
from orchestrator.local.stack import Stack
from orchestrator.records import Decision, ImageState, Role, VerdictOutcome
from orchestrator.settings import load_settings
from orchestrator.store.unit_of_work import Store
from orchestrator.wire.requests import DecisionItem, RegisterImage, ReviewRequest
from orchestrator.wire.schemas import ReviewResult, SuggestionAnswer

# What they share is set up once.
pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("whole-path")]

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
async def board(installation: Stack) -> AsyncIterator[Callable[[Role], Client]]:
    """Return the client of somebody in a role."""
    tokens, url = (
        read_tokens(installation.instance.tokens_file),
        installation.environment()["TAGDESK_PUBLIC_URL"],
    )
    async with AsyncExitStack() as open_clients:
        clients = {
            role: await open_clients.enter_async_context(Client(url, token)) for role, token in tokens.items()
        }
        yield clients.__getitem__


async def _until(condition: Callable[[], Awaitable[object]], what: str) -> None:
    deadline = time.monotonic() + WITHIN
    while not await condition():
        assert time.monotonic() < deadline, f"not within {WITHIN:.0f} s: {what}"
        await asyncio.sleep(0.05)


async def _states(admin: Client, images: Sequence[int]) -> set[ImageState]:
    return {(await admin.show_status(image)).status for image in images}


async def _register(
    board: Callable[[Role], Client], how: str, portrait: PortraitFile, host: str, pictures: Path
) -> int:
    """Register a portrait by URL, by upload or by path, and wait for its suggestions."""
    if how == "url":
        named = RegisterImage(url=f"{host}/{portrait.path.name}")
        image = (await board(Role.UPLOADER).register_image(named)).id
    elif how == "upload":
        image = (await board(Role.UPLOADER).register_image(portrait.path)).id
    else:
        path = pictures / portrait.path.name
        path.write_bytes(portrait.path.read_bytes())
        image = (await board(Role.ENGINEER).register_image(RegisterImage(path=str(path)))).id

    async def analysed() -> bool:
        return await _states(board(Role.ADMIN), [image]) <= {ImageState.DONE, ImageState.FAILED}

    await _until(analysed, "analysed")
    assert await _states(board(Role.ADMIN), [image]) == {ImageState.DONE}
    return image


@pytest.mark.parametrize("how", ["url", "upload", "path"])
async def test_a_picture_ends_with_the_tags_of_what_was_drawn(
    installation: Stack,
    board: Callable[[Role], Client],
    portraits: list[PortraitFile],
    picture_host: str,
    how: str,
) -> None:
    for portrait in portraits[:4]:
        # Given a drawn portrait, registered in one of the three ways
        image = await _register(board, how, portrait, picture_host, installation.instance.pictures)
        # Then the board's tags for its unmistakable attributes are suggested, by the models that see them
        page = await board(Role.MODERATOR).list_suggestions(image)
        suggested = {item.tag.title for item in page.items}
        drawn = {title for label, title in DRAWN.items() if label in portrait.labels}
        assert drawn <= suggested
        # And none of those that were not drawn
        assert not suggested & (set(DRAWN.values()) - drawn)
        assert {item.model_source for item in page.items} <= {"danbooru", "custom_theme"}
        assert page.counts.pending == len(page.items)


async def test_approving_links_once_and_a_stale_version_is_refused(
    installation: Stack,
    board: Callable[[Role], Client],
    portraits: list[PortraitFile],
    picture_host: str,
) -> None:
    # Given a portrait's suggestions
    image = await _register(board, "upload", portraits[5], picture_host, installation.instance.pictures)
    moderator = board(Role.MODERATOR)
    first, second, *_ = (await moderator.list_suggestions(image)).items

    async def decide(
        client: Client, item: SuggestionAnswer, decision: Decision, version: int
    ) -> ReviewResult:
        one = DecisionItem(suggestion_id=item.id, version=version, decision=decision)
        return (await client.review_suggestions(image, ReviewRequest(decisions=(one,)))).results[0]

    # When a moderator approves one
    result = await decide(moderator, first, Decision.APPROVE, first.version)
    # Then its canonical tag is linked
    assert (result.outcome, result.linked) == (VerdictOutcome.APPLIED, True)
    tags = (await moderator.show_image(image)).tags
    assert result.tag in tags
    # When it is approved once more
    again = await decide(moderator, first, Decision.APPROVE, first.version)
    # Then that is the same decision, and nothing is linked twice
    assert (again.outcome, again.linked) == (VerdictOutcome.UNCHANGED, False)
    assert (await moderator.show_image(image)).tags == tags
    # When somebody else decides on the row as it was, then they are refused and told who was first
    with pytest.raises(ApiError) as late:
        await decide(board(Role.TAGGER), first, Decision.REJECT, first.version)
    assert late.value.status == 409
    assert late.value.results[0].decided_by == "moderator"
    # And a version that the row never had is refused as well
    with pytest.raises(ApiError, match="stale_version"):
        await decide(moderator, second, Decision.APPROVE, 99)


async def test_killing_a_worker_in_a_run_of_sixty_loses_and_doubles_nothing(
    installation: Stack,
    board: Callable[[Role], Client],
    portraits: list[PortraitFile],
    picture_host: str,
) -> None:
    async def shown(image: int) -> list[tuple[object, ...]]:
        page = await board(Role.MODERATOR).list_suggestions(image)
        return sorted(
            (item.tag.id, item.score, item.confidence, item.version, item.status) for item in page.items
        )

    # Given what an undisturbed run makes of twelve portraits
    undisturbed = [
        await shown(await _register(board, "upload", portrait, picture_host, installation.instance.pictures))
        for portrait in portraits
    ]
    # When sixty are on their way and the worker is killed in the middle
    uploader, admin = board(Role.UPLOADER), board(Role.ADMIN)
    images = [
        (await uploader.register_image(portraits[number % len(portraits)].path)).id for number in range(60)
    ]

    async def some_are_done() -> bool:
        return ImageState.DONE in await _states(admin, images)

    async def all_are_done() -> bool:
        return await _states(admin, images) == {ImageState.DONE}

    await _until(some_are_done, "some are done")
    run = installation.run()
    assert run is not None
    master = psutil.Process(run.parts["worker-live"].pid or 0)
    (worker,) = [one for one in master.children() if "orchestrator.worker" in " ".join(one.cmdline())]
    worker.kill()
    # Then every image ends done
    await _until(all_are_done, "all are done")
    # And its rows are those of the undisturbed run
    for number, image in enumerate(images):
        assert await shown(image) == undisturbed[number % len(portraits)]
