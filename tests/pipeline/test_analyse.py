"""What becomes of an image: done, failed with a reason, or queued for another try."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import respx
from colours import picture
from world import (
    BLUE,
    GREEN,
    RED,
    World,
    analyse_until_settled,
    opened,
    register_colours,
    until,
    write_picture,
)

from orchestrator.pipeline.analyse import UNDER_WAY
from orchestrator.pipeline.claims import claim
from orchestrator.records import Image, ImageSource, ImageState, Priority, SourceKind
from orchestrator.resources import Resources
from orchestrator.settings import Settings
from orchestrator.store import models, suggestions
from orchestrator.store.transaction import Transaction
from orchestrator.telemetry import MetricName, render_metrics

pytestmark = pytest.mark.anyio

HOST = "http://pictures.example"
LIVE = Priority.LIVE
LEASE = 1.0  # seconds: its renewals, three a lease, must not come late on a busy machine


async def serve(world: World, path: str) -> int:
    return await world.add_source(ImageSource(SourceKind.URL, f"{HOST}/{path}"))


class TestDone:
    async def test_an_upload_ends_with_the_suggestions_of_both_models(
        self, world: World, resources: Resources
    ):
        # Given a picture that is all red, so a third as bright as white
        image_id = await world.add(picture(*RED))
        # When it is analysed
        await resources.pipeline.analyse_images([image_id], LIVE)
        # Then the mapped tag stands, and the board model's is under its threshold
        image = await world.image(image_id)
        assert (image.state, image.failure, image.attempts) == (ImageState.DONE, None, 1)
        assert (image.width, image.height, image.media_type) == (48, 48, "image/png")
        assert await world.suggested(image_id) == {"red": 10_000}

    async def test_mapping_weights_and_board_tags_count(self, world: World, resources: Resources):
        image_id = await world.add(picture(0, 255, 255))
        await resources.pipeline.analyse_images([image_id], LIVE)
        assert await world.suggested(image_id) == {"green": 5_000, "bright": 6_667}

    async def test_evidence_names_the_version_and_raw_scores_are_stored(
        self, world: World, resources: Resources
    ):
        image_id = await world.add(picture(*RED))
        await resources.pipeline.analyse_images([image_id], LIVE)

        async def read(tx: Transaction) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
            views = await suggestions.for_image(tx, image_id)
            raw = await tx.fetch_rows(
                "SELECT v.name, r.label, r.score FROM raw_predictions r JOIN model_versions v"
                " ON v.id = r.model_version_id WHERE r.image_id = :id ORDER BY v.name, r.label",
                id=image_id,
            )
            return [(e.model_name, e.model_version, e.external_tag) for e in views[0].evidence], raw

        evidence, raw = await world.store.read(read)
        assert evidence == [("colours", 1, "red")]
        assert raw == [("colours", 0, 10_000), ("shades", 0, 3_333)]

    async def test_a_picture_by_path(self, world: World, resources: Resources, pictures: Path):
        path = write_picture(pictures, "red.png", picture(*RED))
        image_id = await world.add_source(ImageSource(SourceKind.PATH, path))
        await resources.pipeline.analyse_images([image_id], LIVE)
        assert await world.suggested(image_id) == {"red": 10_000}

    @respx.mock
    async def test_a_picture_by_url(self, world: World, resources: Resources):
        respx.get(f"{HOST}/red.png").respond(content=picture(*RED))
        image_id = await serve(world, "red.png")
        await resources.pipeline.analyse_images([image_id], LIVE)
        assert await world.suggested(image_id) == {"red": 10_000}

    async def test_unmapped_tags_are_counted_and_cost_nothing(self, world: World, resources: Resources):
        image_id = await world.add(picture(*BLUE))
        await resources.pipeline.analyse_images([image_id], LIVE)
        assert await world.suggested(image_id) == {}
        assert await world.state(image_id) is ImageState.DONE
        body, _ = render_metrics(resources.metrics)
        assert f'{MetricName.UNMAPPED}{{source="danbooru"}} 1.0'.encode() in body

    async def test_a_rule_that_changed_holds_for_the_next_image(self, world: World, resources: Resources):
        # Given rules that the worker already holds
        first = await world.add(picture(*GREEN))
        await resources.pipeline.analyse_images([first], LIVE)

        # When version 2 of a model becomes the active one
        async def promote(tx: Transaction) -> None:
            await models.set_active(tx, await register_colours(tx, 2, active=False))

        await world.store.write(promote)
        # Then the next image is seen by it
        second = await world.add(picture(*RED))
        await analyse_until_settled(world, resources.pipeline, second)
        views = await world.store.read(lambda tx: suggestions.for_image(tx, second))
        assert [view.model_version for view in views] == [2]

    @respx.mock
    async def test_what_is_under_way_ends_with_the_version_it_began_with(
        self, world: World, resources: Resources
    ):
        # Given an image whose host keeps a worker waiting
        asked, answer = asyncio.Event(), asyncio.Event()

        async def respond(_request: httpx.Request) -> httpx.Response:
            asked.set()
            await answer.wait()
            return httpx.Response(200, content=picture(*RED))

        respx.get(f"{HOST}/slow.png").mock(side_effect=respond)
        slow, next_one = await serve(world, "slow.png"), await world.add(picture(*RED))
        work = asyncio.create_task(resources.pipeline.analyse_images([slow], LIVE))
        await asyncio.wait_for(asked.wait(), 60)

        # When another version is promoted meanwhile
        async def promote(tx: Transaction) -> None:
            await models.set_active(tx, await register_colours(tx, 2, active=False))

        await world.store.write(promote)
        await resources.pipeline.analyse_images([next_one], LIVE)
        answer.set()
        await work
        # Then that image is seen by the old one, and the next one by the new one
        by = [
            [
                view.model_version
                for view in await world.store.read(lambda tx, one=one: suggestions.for_image(tx, one))
            ]
            for one in (slow, next_one)
        ]
        assert by == [[1], [2]]

    async def test_many_images_in_one_message(self, world: World, resources: Resources):
        ids = [await world.add(picture(n * 10, 0, 0)) for n in range(20)]
        await resources.pipeline.analyse_images(ids, Priority.BACKFILL)
        assert {await world.state(image_id) for image_id in ids} == {ImageState.DONE}


class TestFailed:
    async def test_a_text_file_fails_at_once(self, world: World, resources: Resources):
        image_id = await world.add(b"this is no picture, whatever its name says")
        await resources.pipeline.analyse_images([image_id], LIVE)
        assert_failed(await world.image(image_id), "not_an_image", attempts=1)

    async def test_a_path_outside_the_allowed_roots_fails_at_once(self, world: World, resources: Resources):
        image_id = await world.add_source(ImageSource(SourceKind.PATH, "/etc/passwd"))
        await resources.pipeline.analyse_images([image_id], LIVE)
        assert_failed(await world.image(image_id), "path_refused", attempts=1)

    @respx.mock
    async def test_a_missing_picture_is_asked_for_once(self, world: World, resources: Resources):
        route = respx.get(f"{HOST}/gone.png").respond(404)
        image_id = await serve(world, "gone.png")
        await resources.pipeline.analyse_images([image_id], LIVE)
        await resources.pipeline.analyse_images([image_id], LIVE)
        assert_failed(await world.image(image_id), "not_found", attempts=1)
        assert route.call_count == 1

    @respx.mock
    async def test_a_host_that_stays_down_is_asked_a_few_times(self, world: World, resources: Resources):
        route = respx.get(f"{HOST}/down.png").respond(503)
        image_id = await serve(world, "down.png")
        image = await analyse_until_settled(world, resources.pipeline, image_id)
        assert_failed(image, "fetch_unavailable", attempts=3)
        assert route.call_count == 3

    async def test_a_model_that_answers_nonsense_fails_the_image_in_the_end(
        self, world: World, resources: Resources
    ):
        # Given a registered version with a label more than the served graph has scores

        async def misregister(tx: Transaction) -> None:
            await register_colours(tx, 2, active=True, labels=4)

        await world.store.write(misregister)
        image_id = await world.add(picture(*RED))
        image = await analyse_until_settled(world, resources.pipeline, image_id)
        assert_failed(image, "scores_misshapen", attempts=3)

    async def test_an_unexpected_error_is_tried_again_and_then_named(
        self, world: World, resources: Resources
    ):
        # Given a database that refuses to store results, as after a migration gone wrong
        image_id = await world.add(picture(*RED))
        await world.execute("RENAME TABLE raw_predictions TO raw_predictions_away")
        try:
            image = await analyse_until_settled(world, resources.pipeline, image_id)
        finally:
            await world.execute("RENAME TABLE raw_predictions_away TO raw_predictions")
        assert_failed(image, "internal_error", attempts=3)

    async def test_an_image_whose_workers_keep_dying_fails(self, world: World, resources: Resources):
        # Given an image whose claims ran out as often as it may be tried
        image_id = await world.add(picture(*RED))
        for _ in range(3):
            assert await claim(world.store, [image_id], lease=1.0)
            await world.make_older(5)
        # When another worker takes it
        await opened_pipeline_with_lease(world, 1.0, image_id)
        # Then it is given up
        assert_failed(await world.image(image_id), "attempts_exhausted", attempts=4)


class TestRetried:
    @respx.mock
    async def test_a_host_that_comes_back_is_asked_again(self, world: World, resources: Resources):
        route = respx.get(f"{HOST}/slow.png")
        route.side_effect = [
            httpx.Response(503),
            httpx.ConnectTimeout,
            httpx.Response(200, content=picture(*RED)),
        ]
        image_id = await serve(world, "slow.png")
        # When the first try fails, the row says why and waits
        await resources.pipeline.analyse_images([image_id], LIVE)
        waiting = await world.image(image_id)
        assert waiting.state is ImageState.QUEUED
        assert waiting.failure is not None
        assert waiting.failure.code == "fetch_unavailable"
        # Then it is done in the end, and nothing is left of the failures
        image = await analyse_until_settled(world, resources.pipeline, image_id)
        assert (image.state, image.failure, image.attempts) == (ImageState.DONE, None, 3)

    async def test_an_image_waits_for_triton_without_losing_a_try(
        self, world: World, resources: Resources, free_port: Callable[[], int]
    ):
        # Given a worker whose Triton is away
        away = world.settings.model_copy(update={"triton_url": f"127.0.0.1:{free_port()}"})
        image_id = await world.add(picture(*RED))
        # When the image is tried more often than it may fail
        for _ in range(world.settings.max_attempts + 1):
            async with opened(away) as lost:
                await lost.pipeline.analyse_images([image_id], LIVE)
            await world.make_older(10)
        # Then it still waits with all its tries
        image = await world.image(image_id)
        assert (image.state, image.attempts) == (ImageState.QUEUED, 0)
        assert image.failure is not None
        assert image.failure.code == "inference_unavailable"
        # And once Triton is back it is done
        image = await analyse_until_settled(world, resources.pipeline, image_id)
        assert (image.state, image.attempts) == (ImageState.DONE, 1)

    async def test_without_an_active_model_images_wait(self, world: World, resources: Resources):
        await world.execute("UPDATE model_versions SET state = 'staged'")
        image_id = await world.add(picture(*RED))
        await resources.pipeline.analyse_images([image_id], LIVE)
        image = await world.image(image_id)
        assert (image.state, image.attempts) == (ImageState.QUEUED, 0)
        assert image.failure is not None
        assert image.failure.code == "no_active_model"


class TestClaims:
    async def test_duplicates_of_a_message_do_the_work_once(self, world: World, resources: Resources):
        image_id = await world.add(picture(*RED))
        await asyncio.gather(*(resources.pipeline.analyse_images([image_id] * 2, LIVE) for _ in range(5)))
        await resources.pipeline.analyse_images([image_id], LIVE)
        image = await world.image(image_id)
        assert (image.state, image.attempts) == (ImageState.DONE, 1)

    async def test_racing_workers_share_the_work(self, world: World, resources: Resources):
        ids = [await world.add(picture(n * 12, 100, 0)) for n in range(20)]
        async with opened(world.settings) as other:
            await asyncio.gather(
                *(worker.pipeline.analyse_images([n], LIVE) for n in ids for worker in (resources, other))
            )
        images = [await world.image(image_id) for image_id in ids]
        assert {(image.state, image.attempts) for image in images} == {(ImageState.DONE, 1)}

    @respx.mock
    async def test_a_slow_image_keeps_its_claim(self, world: World):
        # Given a host that takes several leases to answer
        asked, answer = asyncio.Event(), asyncio.Event()

        async def respond(_request: httpx.Request) -> httpx.Response:
            asked.set()
            await answer.wait()
            return httpx.Response(200, content=picture(*RED))

        respx.get(f"{HOST}/slow.png").mock(side_effect=respond)
        image_id = await serve(world, "slow.png")
        hasty = world.settings.model_copy(update={"claim_lease": LEASE})
        async with opened(hasty) as slow:
            work = asyncio.create_task(slow.pipeline.analyse_images([image_id], LIVE))
            await asyncio.wait_for(asked.wait(), 60)
            first = await claimed_at(world, image_id)

            # When the first lease is long over
            async def renewed_often() -> bool:
                return (await claimed_at(world, image_id) - first) > 3 * LEASE

            await until(renewed_often, "the claim is renewed for three leases", timeout=60)
            # Then nobody else gets it, and its worker brings it to its end
            assert await claim(world.store, [image_id], lease=LEASE) == []
            answer.set()
            await work
        image = await world.image(image_id)
        assert (image.state, image.attempts) == (ImageState.DONE, 1)

    @respx.mock
    async def test_a_result_that_comes_after_a_takeover_is_dropped(self, world: World, resources: Resources):
        # Given a worker that was stopped in the middle of an image
        answer = asyncio.Event()

        async def respond(_request: httpx.Request) -> httpx.Response:
            await answer.wait()
            return httpx.Response(200, content=picture(*GREEN))

        respx.get(f"{HOST}/one.png").mock(side_effect=respond)
        image_id = await serve(world, "one.png")
        work = asyncio.create_task(resources.pipeline.analyse_images([image_id], LIVE))

        async def running() -> bool:
            return await world.state(image_id) is ImageState.RUNNING

        await until(running, "the image is claimed")
        # When another takes the image over and the first goes on
        await world.make_older(60)
        (taken,) = await claim(world.store, [image_id], lease=15)
        answer.set()
        await work
        # Then the image is still the other's
        image = await world.image(image_id)
        assert (image.state, image.attempts) == (ImageState.RUNNING, taken.attempts)
        assert await world.suggested(image_id) == {}

    async def test_a_draining_worker_claims_nothing(self, world: World, resources: Resources):
        image_id = await world.add(picture(*RED))
        resources.pipeline.drain()
        assert await resources.pipeline.analyse_images([image_id], LIVE) == [image_id]
        assert await world.state(image_id) is ImageState.QUEUED

    @respx.mock
    async def test_a_worker_that_ends_puts_back_what_it_has_not_begun_with(
        self, world: World, resources: Resources
    ):
        # Given more claimed images than may be under way, all from a host that lets one wait
        asked: list[str] = []
        answer = asyncio.Event()

        async def respond(request: httpx.Request) -> httpx.Response:
            asked.append(str(request.url))
            await answer.wait()
            return httpx.Response(200, content=picture(*RED))

        respx.get(url__startswith=HOST).mock(side_effect=respond)
        ids = [await serve(world, f"{n}.png") for n in range(UNDER_WAY + 6)]
        half = len(ids) // 2
        work = [
            asyncio.create_task(resources.pipeline.analyse_images(part, Priority.BACKFILL))
            for part in (ids[:half], ids[half:])
        ]

        async def full() -> bool:
            running = [await world.state(image_id) is ImageState.RUNNING for image_id in ids]
            return all(running) and len(asked) == UNDER_WAY

        await until(full, "as many are under way as may be")
        # When the worker is told to end
        resources.pipeline.drain()
        answer.set()
        left = [image_id for part in await asyncio.gather(*work) for image_id in part]
        # Then it finishes what it has begun with, and the rest is as if it had never been claimed
        assert len(left) == 6
        images = {image_id: await world.image(image_id) for image_id in ids}
        assert {(images[one].state, images[one].attempts) for one in left} == {(ImageState.QUEUED, 0)}
        assert {images[one].state for one in ids if one not in left} == {ImageState.DONE}

    async def test_images_that_do_not_exist_are_no_trouble(self, world: World, resources: Resources):
        await resources.pipeline.analyse_images([4711], LIVE)
        assert await world.store.read(lambda tx: tx.fetch_rows("SELECT id FROM images")) == []


class TestAnalyzeBytes:
    async def test_nothing_is_stored(self, world: World, resources: Resources):
        analysed = await resources.pipeline.analyze_bytes(picture(*RED, alpha=200))
        assert {one.tag.title: one.model.name for one in analysed.suggestions} == {"red": "colours"}
        assert analysed.has_alpha
        assert len(analysed.sha256) == 64
        assert await world.store.read(lambda tx: tx.fetch_rows("SELECT id FROM images")) == []
        assert await world.store.read(lambda tx: tx.fetch_rows("SELECT image_id FROM raw_predictions")) == []


def assert_failed(image: Image, code: str, *, attempts: int) -> None:
    assert image.failure is not None
    assert (image.state, image.failure.code, image.attempts) == (ImageState.FAILED, code, attempts)
    assert image.failure.detail


async def claimed_at(world: World, image_id: int) -> float:
    rows = await world.store.read(
        lambda tx: tx.fetch_rows("SELECT claimed_at FROM images WHERE id = :id", id=image_id)
    )
    return float(rows[0][0].timestamp())


async def opened_pipeline_with_lease(world: World, lease: float, image_id: int) -> None:
    hasty: Settings = world.settings.model_copy(update={"claim_lease": lease})
    async with opened(hasty) as worker:
        await worker.pipeline.analyse_images([image_id], LIVE)
