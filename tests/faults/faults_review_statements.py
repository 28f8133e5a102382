"""`kill -9` of the API between any two statements of a batch: all of the batch or none of it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from small_board import SmallBoard

from orchestrator import accounts
from orchestrator.records import Role
from orchestrator.settings import Settings
from orchestrator.store import consistency
from orchestrator.store.unit_of_work import Store

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SCORES = {"hair": 9000, "long_hair": 8000, "smile": 6000, "blue_eyes": 5500}
AFTER_THE_LAST = -1


@pytest.fixture
async def board(settings: Settings) -> AsyncIterator[SmallBoard]:
    store = await Store.connect(settings)
    yield await SmallBoard.build(store, settings)
    await store.close()


def variables(settings: Settings) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if not name.startswith("TAGDESK_")}
    for name, value in settings:
        if value is not None and value != ():
            text = value.get_secret_value() if isinstance(value, SecretStr) else value
            text = ",".join(map(str, text)) if isinstance(text, tuple) else str(text)
            found[f"TAGDESK_{name.upper()}"] = text
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def harness_of(settings: Settings) -> "Iterator[subprocess.Popen[str]]":
    """Run the process that starts dying APIs."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "dying_api.py")],
        env=variables(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as harness:
        yield harness
        harness.stdin.close()


async def test_an_api_killed_anywhere_in_a_batch_leaves_all_of_it_or_none(
    board: SmallBoard, settings: Settings
) -> None:
    # Given three images, and a batch that approves a tag with an ancestor on each and rejects another
    images = [await board.suggested(SCORES) for _ in range(3)]
    moderator = await accounts.create_user(board.store, name="mo", role=Role.MODERATOR)
    token = await accounts.issue_token(board.store, moderator)
    rows = [await board.rows(image) for image in images]
    decisions = [
        {"suggestion_id": found[title].id, "version": found[title].version, "decision": decision}
        for found in rows
        for title, decision in (("long hair", "approve"), ("smile", "reject"))
    ]
    before = await _state(board, images)

    with harness_of(settings) as harness:

        async def post(statement: int) -> httpx.Response | None:
            """Start an API that dies at this statement, send the batch, and return its answer if any."""
            port = free_port()
            harness.stdin.write(f"{statement} {port}\n")
            harness.stdin.flush()
            process = int(harness.stdout.readline())
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
                await _live(http)
                try:
                    answer = await http.post(
                        "/api/v1/tag-suggestions/review",
                        json={"decisions": decisions},
                        headers={"Authorization": f"Bearer {token}"},
                    )
                except httpx.TransportError:
                    answer = None
            if answer is not None:
                os.kill(process, signal.SIGTERM)
            assert int(harness.stdout.readline()) in (-signal.SIGKILL, -signal.SIGTERM, 0)
            return answer

        # When the API dies before its first statement, its second, and so on, then nothing of it is there
        assert await post(AFTER_THE_LAST) is None
        assert await _state(board, images) == before, "killed before the commit"
        deaths = 0
        while (answer := await post(deaths + 1)) is None:
            deaths += 1
            assert await _state(board, images) == before, f"killed before statement {deaths}"
            assert await board.store.read(consistency.violations) == ()
        assert deaths >= 8, "a batch takes more statements than that"
        # And when it lives, all of it is
        assert {one["outcome"] for one in answer.json()["results"]} == {"applied"}
    assert [await board.linked(image) for image in images] == [{"long hair"}] * 3
    assert await board.store.read(consistency.violations) == ()


async def _live(http: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if (await http.get("/health/live")).is_success:
                return
        except httpx.TransportError:
            await asyncio.sleep(0.02)
    raise AssertionError("the API does not start")


async def _state(board: SmallBoard, images: list[int]) -> object:
    rows = [
        {title: (row.status, row.version) for title, row in (await board.rows(image)).items()}
        for image in images
    ]
    linked = [await board.linked(image) for image in images]
    (logged,) = await board.store.read(lambda tx: tx.fetch_rows("SELECT COUNT(*) FROM verdicts"))
    return rows, linked, logged
