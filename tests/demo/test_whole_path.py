"""The whole path on real parts: every process of the local stack, the demo models, drawn portraits."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import psutil
import pytest

from orchestrator.client import ApiError, Client
from orchestrator.demo.portraits.files import PortraitFile
from orchestrator.local.stack import Stack
from orchestrator.records import Decision, ImageState, Role, VerdictOutcome
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
