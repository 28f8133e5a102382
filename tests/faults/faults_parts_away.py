"""Parts that stay away, hang or forget, and what the API answers meanwhile."""

from collections.abc import Callable, Mapping

import httpx
import pytest
from damage import VICTIMS, away, forget, no_room, stopped
from outcome import Stored, assert_unharmed
from running_board import RunningBoard
from sources import NOISE_BYTES, Source, named, noise
from traffic import Traffic

from orchestrator.local.parts import PartName
from orchestrator.records import Role, SourceKind

IMAGES = 60
ABSENCE = 5.0
HANG = 20.0
ACCEPTED_WITHIN = 5.0
REFUSED_WITHIN = 2.0

Ask = Callable[[httpx.Client], None]


def accepts(traffic: Traffic, source: Source) -> Ask:
    """Return a check that an upload is accepted at once."""

    def ask(client: httpx.Client) -> None:
        answer, seconds = traffic.one_more(client, source)
        assert answer.status_code == 202, answer.text
        assert seconds < ACCEPTED_WITHIN

    return ask


def refuses(board: RunningBoard, traffic: Traffic, source: Source) -> Ask:
    """Return a check that every call says soon and plainly that the database is away."""
    headers = board.headers(Role.MODERATOR)
    image = f"/api/v1/images/{next(iter(traffic.image_ids.values()))}"
    decisions = {"decisions": [{"suggestion_id": 1, "version": 1, "decision": "approve"}]}

    def ask(client: httpx.Client) -> None:
        answers = [
            traffic.one_more(client, source)[0],
            client.get(image, headers=headers),
            client.get(f"{image}/tag-suggestions", headers=headers),
            client.post(f"{image}/tag-suggestions/review", headers=headers, json=decisions),
        ]
        for answer in answers:
            assert answer.status_code == 503, answer.text
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["code"] == "store_unavailable"
            assert answer.headers["Retry-After"]
            assert answer.elapsed.total_seconds() < REFUSED_WITHIN, answer.request.url
        assert client.get("/health/live").status_code == 200

    return ask


@pytest.mark.parametrize("part", [PartName.REDIS, PartName.TRITON, PartName.MARIADB])
def test_without_a_service_the_api_accepts_what_it_can_keep_and_refuses_the_rest_soon(
    board: RunningBoard, pictures: tuple[Source, ...], undisturbed: Mapping[str, Stored], part: PartName
) -> None:
    source = named(pictures, "portrait-002.png")
    # Given a run in its midst
    with Traffic(board, pictures, IMAGES) as traffic:
        traffic.wait_for(IMAGES // 6)
        database = part is PartName.MARIADB
        ask = refuses(board, traffic, source) if database else accepts(traffic, source)
        # When a service is away for a while
        with away(board, part):
            # Then uploads are accepted, or refused within two seconds where the database is away
            traffic.meanwhile(ABSENCE, ask)
        # And once it is back all that was accepted comes to its end
        traffic.finish()
    assert_unharmed(board, traffic, undisturbed)
    board.heal()


@pytest.mark.parametrize("victim", ["worker", "Triton", "Redis", "MariaDB"])
def test_a_process_that_hangs_for_twenty_seconds_costs_only_time(
    board: RunningBoard, pictures: tuple[Source, ...], undisturbed: Mapping[str, Stored], victim: str
) -> None:
    source = named(pictures, "portrait-002.png")
    # Given a run in its midst
    with Traffic(board, pictures, IMAGES) as traffic:
        traffic.wait_for(IMAGES // 6)
        ask = refuses(board, traffic, source) if victim == "MariaDB" else accepts(traffic, source)
        # When a process does nothing for twenty seconds, while its connections stay open
        with stopped(VICTIMS[victim](board)):
            # Then the API does not hang with it
            traffic.meanwhile(HANG, ask)
        traffic.finish()
    # And nothing is lost or done twice
    assert_unharmed(board, traffic, undisturbed)
    board.heal()


def test_a_queue_that_forgets_everything_costs_only_time(
    board: RunningBoard, pictures: tuple[Source, ...], undisturbed: Mapping[str, Stored]
) -> None:
    with Traffic(board, pictures, IMAGES) as traffic:
        traffic.wait_for(IMAGES // 6)
        forget(board)
        assert traffic.settled() < IMAGES, "there was nothing left to forget"
        traffic.finish()
    assert_unharmed(board, traffic, undisturbed)


def test_a_full_disk_refuses_uploads_and_leaves_no_halves(
    board: RunningBoard, pictures: tuple[Source, ...], undisturbed: Mapping[str, Stored]
) -> None:
    large = named(pictures, "noise")
    larger = Source("larger", SourceKind.BLOB, data=noise(2 * NOISE_BYTES))
    blobs = board.stack.instance.blobs
    with Traffic(board, pictures[1:], IMAGES) as traffic:
        traffic.wait_for(IMAGES // 6)
        # Given that the picture is not kept yet, and that the disk has no room for all of it
        for kept in blobs.rglob("*"):
            if kept.is_file() and kept.stat().st_size == len(large.data):
                kept.unlink()

        def refused(client: httpx.Client) -> None:
            # When it is uploaded, or one so large that it goes through a temporary file
            for source in (large, larger):
                answer, _ = traffic.one_more(client, source)
                # Then it is refused as something to try again
                assert answer.status_code == 503, answer.text
                assert answer.json()["code"] == "blob_unavailable"
                assert answer.headers["Retry-After"]

        with no_room(board, NOISE_BYTES // 2):
            traffic.meanwhile(3, refused)
        # And nothing of it is left
        assert not list(blobs.rglob(".new-*"))
        # When there is room again, then it is accepted and analysed
        traffic.meanwhile(0.5, accepts(traffic, large))
        traffic.finish()
    # And everything that did find room is as ever
    assert_unharmed(board, traffic, undisturbed)
