"""`tagdesk backfill`, as an engineer at a terminal meets it."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from terminal import tagdesk, with_store

from orchestrator import accounts
from orchestrator.feeder import Feeder
from orchestrator.records import ImageSource, Priority, Role, SourceKind
from orchestrator.resources import Resources
from orchestrator.settings import Settings
from orchestrator.store import images
from orchestrator.store.images import NewImage
from orchestrator.store.unit_of_work import Store


@pytest.fixture
def registered(installation: Settings) -> list[int]:
    """Three images that nobody has looked at."""

    async def register(store: Store) -> list[int]:
        user = await accounts.create_user(store, name="mira", role=Role.UPLOADER)
        source = ImageSource(SourceKind.URL, "https://board.example/1.jpg")
        rows = [NewImage(source, user.id, number, Priority.BACKFILL) for number in range(1, 4)]
        return [one.id for one in await store.write(lambda tx: images.register_many(tx, rows))]

    return with_store(installation, register)


def feed(settings: Settings) -> None:
    """Let the keeper's feeder take a step."""

    async def step() -> None:
        resources = await Resources.open(settings)
        try:
            await Feeder(resources.store, resources.queue).feed()
        finally:
            await resources.close()

    asyncio.run(step())


def test_a_backfill_is_counted_started_watched_and_ended(
    installation: Settings, registered: list[int]
) -> None:
    # When somebody only asks
    assert "3 images" in tagdesk("backfill", "start", "--where", "all", "--dry-run").output
    assert "there are no backfills" in tagdesk("backfill", "status").output
    # When it is started
    started = tagdesk("backfill", "start", "--where", "uploader=mira")
    named = re.match(r"backfill (\d+) has begun", started.output)
    assert named is not None, started.output
    number = named[1]
    # Then it can be seen, paused, resumed
    assert "running" in tagdesk("backfill", "status").output
    assert "paused" in tagdesk("backfill", "pause", number).output
    assert "running" in tagdesk("backfill", "resume", number).output
    # And when the keeper has fed it, its images are queued
    feed(installation)
    (line,) = tagdesk("backfill", "status", number, "--json").output.splitlines()
    found = json.loads(line)
    assert {
        name: found[name] for name in ("state", "asked", "total", "queued", "waiting", "done", "failed")
    } == {
        "state": "running",
        "asked": {"where": ["uploader=mira"]},
        "total": 3,
        "queued": 3,
        "waiting": 0,
        "done": 0,
        "failed": 0,
    }
    assert f"no image of backfill {number} has failed" in tagdesk("backfill", "failures", number).output
    assert f"0 images of backfill {number} wait again" in tagdesk("backfill", "retry", number).output
    # When it is cancelled, it cannot go on
    assert "cancelled" in tagdesk("backfill", "cancel", number).output
    assert tagdesk("backfill", "resume", number).exit_code == 1


def test_a_list_is_read_and_what_is_not_there_is_named(
    installation: Settings, registered: list[int], tmp_path: Path
) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_text(f"{registered[0]}\n999999\n")
    answer = tagdesk("backfill", "start", "--manifest", str(listed))
    assert answer.exit_code == 0, answer.output
    assert "1 ids name no image and are left out: 999999" in answer.output
    assert json.loads(tagdesk("backfill", "status", "--json").output)["total"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "say which images"),
        (("--where", "state=asleep"), "queued, done, failed or imported"),
        (("--where", "uploader=nobody"), "no user is called"),
        (("--where", "unseen_by=wd14:9"), "no version 9"),
    ],
)
def test_what_means_nothing_starts_nothing(
    installation: Settings, arguments: tuple[str, ...], says: str
) -> None:
    answer = tagdesk("backfill", "start", *arguments)
    assert answer.exit_code != 0
    assert says in f"{answer.output} {answer.exception}"
    assert "there are no backfills" in tagdesk("backfill", "status").output
