"""Versions that break while they run: found, named, started afresh, and never believed."""

import asyncio
import signal
import time

import pytest
from breakable import Breakage, write_breakable
from breaking_board import LIVE, MENDED_WITHIN, Install, red_tensor, sample, stored
from colours import picture
from services import RunningTriton
from stubs import stubs
from world import GREEN, RED, analyse_until_settled, opened, register_colours, register_rgb, until

from orchestrator.api.health import Readiness
from orchestrator.errors import InferenceRejected, TagdeskError
from orchestrator.inference.watch import Pace
from orchestrator.records import ImageFailure, ImageState, Priority
from orchestrator.store import images, models
from orchestrator.store.transaction import Transaction
from orchestrator.telemetry import MetricName

pytestmark = pytest.mark.anyio

WRONG_ANSWERS = {
    Breakage.NOT_FINITE: "scores_not_finite",
    Breakage.NOT_PROBABILITIES: "scores_not_probabilities",
    Breakage.MISSHAPEN: "scores_misshapen",
}


class TestAnswersThatAreNone:
    @pytest.mark.parametrize(("breakage", "code"), WRONG_ANSWERS.items())
    async def test_a_picture_that_breaks_a_model_is_tried_again_and_then_failed_with_nothing_stored(
        self, install: Install, breakage: Breakage, code: str
    ):
        # Given a version that answers its probes well, and breaks on a picture
        board = await install(breakage)
        breaking = await board.world.add(picture(*RED))
        other = await board.world.add(picture(*GREEN))
        # When it is analysed for the first time
        await board.pipeline.analyse_images([breaking], LIVE)
        await board.pipeline.analyse_images([other], LIVE)
        # Then it waits for another try, while pictures that the model can see are done
        image = await board.world.image(breaking)
        assert (image.state, image.attempts) == (ImageState.QUEUED, 1)
        assert await board.world.suggested(other) == {"green": 5_000}
        # And in the end it says what was wrong, by version; of no model is anything kept
        image = await analyse_until_settled(board.world, board.pipeline, breaking)
        assert (image.state, image.attempts) == (ImageState.FAILED, 3)
        assert image.failure == ImageFailure(code, image.failure.detail)
        assert f"{breakage} version 1" in image.failure.detail
        assert await stored(board.world, breaking) == 0
        counted = sample(board.resources.metrics, MetricName.BROKEN_ANSWERS)
        assert counted == {(breakage, code, "1"): 3}

    async def test_a_picture_that_breaks_a_model_fails_alone_of_all_that_a_backfill_asks_about_with_it(
        self, install: Install
    ):
        # Given a backfill with one picture among many that a version breaks on
        board = await install(Breakage.NOT_FINITE)
        ids = [await board.world.add(picture(0, 10 * n, 0)) for n in range(15)]
        ids.insert(7, await board.world.add(picture(*RED)))
        # When all are analysed
        await board.pipeline.analyse_images(ids, Priority.BACKFILL)
        # Then that one alone waits for another try, and the others are done
        tried = [await board.world.image(image_id) for image_id in ids]
        assert [image.state for image in tried] == [
            ImageState.QUEUED if n == 7 else ImageState.DONE for n in range(16)
        ]
        # And they were asked about together
        asked = sample(board.resources.metrics, MetricName.STACK_IMAGES, "_count")
        carried = sample(board.resources.metrics, MetricName.STACK_IMAGES, "_sum")
        assert asked[("shades", "1")] < carried[("shades", "1")] == 16

    async def test_a_failed_picture_can_be_tried_again_with_a_version_that_sees_it(self, install: Install):
        board = await install(Breakage.NOT_FINITE)
        image_id = await board.world.add(picture(*RED))
        await analyse_until_settled(board.world, board.pipeline, image_id)

        # When another model takes its place, and the image is tried again
        async def replace(tx: Transaction) -> None:
            old = await models.find(tx, board.breakage, 1)
            await models.retire(tx, old.id)
            await register_colours(tx, 1, active=True)
            assert await images.requeue(tx, image_id, explicit=False, priority=LIVE)

        await board.world.store.write(replace)
        async with board.kept():
            await until(lambda: board.done(image_id), "the image is done", timeout=MENDED_WITHIN)
        assert await board.world.suggested(image_id) == {"red": 10_000}

    async def test_a_picture_that_nobody_stores_is_refused_too(self, install: Install):
        board = await install(Breakage.NOT_FINITE)
        with pytest.raises(InferenceRejected) as refusal:
            await board.pipeline.analyze_bytes(picture(*RED))
        assert refusal.value.code == "scores_not_finite"

    async def test_a_version_that_breaks_on_its_probe_is_loaded_afresh_from_its_file(
        self, install: Install, breaking_server: RunningTriton
    ):
        # Given a version that was loaded with weights that are good for nothing
        board = await install(Breakage.NOT_FINITE)
        write_breakable(breaking_server.repository, board.breakage, board.breakage, limit=0.3)
        await board.triton.reload(board.breakage, 1, [1], repository=breaking_server.repository)
        # When the file is as it should be
        write_breakable(breaking_server.repository, board.breakage, board.breakage)
        waiting = await board.world.add(picture(*GREEN))
        model = await board.model(board.breakage)
        with pytest.raises(InferenceRejected):
            await board.triton.probe(model)
        # Then the version is named as what it is
        ready = await Readiness(board.resources).ask()
        assert not ready.ready
        broken = [(one.name, one.version, one.code) for one in ready.inference.models if not one.ready]
        assert broken == [(board.breakage, 1, "scores_not_finite")]

        # And the keeper mends it
        async def mended() -> bool:
            # The gauge alone may still be of the look before the version broke.
            return board.reloads() == {board.breakage: 1} and await board.healthy()

        async with board.kept():
            await until(lambda: board.done(waiting), "the image is done", timeout=MENDED_WITHIN)
            await until(mended, "the version is reloaded once and healthy", timeout=MENDED_WITHIN)

    async def test_what_a_reload_does_not_mend_is_reloaded_ever_more_rarely_and_alone(self, install: Install):
        # Given a registered version with a label more than the served graph has scores
        board = await install(Breakage.SLOW)

        async def misregister(tx: Transaction) -> None:
            await models.set_loaded(tx, await register_rgb(tx, "colours", 2, active=False, labels=4), True)

        await board.world.store.write(misregister)
        # When the keeper has asked it often
        broken = ("colours", "scores_misshapen", "2")

        async def asked_often() -> bool:
            return sample(board.metrics, MetricName.BROKEN_ANSWERS).get(broken, 0) >= 6

        async with board.kept():
            began = time.monotonic()
            await until(asked_often, "the keeper asks six times", timeout=MENDED_WITHIN)
            took = time.monotonic() - began
        # Then it was reloaded once at first and then with pauses that double: 0, 2, 6, 14 seconds
        assert 1 <= board.reloads()["colours"] <= 2 + took / 4
        assert board.reloads().keys() == {"colours"}
        health = sample(board.metrics, MetricName.MODEL_HEALTHY)
        assert health == {("colours", "2"): 0, (board.breakage, "1"): 1, ("shades", "1"): 1}


class TestBackendsThatEnd:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
    async def test_only_the_version_itself_is_started_afresh_and_no_image_is_lost(
        self, install: Install, breaking_server: RunningTriton, number: signal.Signals
    ):
        # Given two versions of a name, the second asked all the time
        board = await install(Breakage.NOT_FINITE, versions=2)
        sibling = await board.model(board.breakage, 2)
        answers, refusals = 0, []
        stop = asyncio.Event()

        async def keep_asking() -> None:
            nonlocal answers
            while not stop.is_set():
                try:
                    await board.triton.probe(sibling, deadline=10)
                    answers += 1
                except TagdeskError as error:
                    refusals.append(error)

        asking = asyncio.create_task(keep_asking())
        # When the process of the first is killed, or stops answering
        (stub,) = stubs(breaking_server.repository, board.breakage, 1)
        stub.send_signal(number)
        image_id = await board.world.add(picture(*GREEN))
        await board.pipeline.analyse_images([image_id], LIVE)
        # Then an image that met it waits, and health and metrics name the version
        image = await board.world.image(image_id)
        assert (image.state, image.attempts) == (ImageState.QUEUED, 1)
        assert image.failure is not None
        assert image.failure.code == "inference_internal"
        ready = await Readiness(board.resources).ask()
        (broken,) = [one for one in ready.inference.models if not one.ready]
        assert (broken.name, broken.version, broken.code) == (board.breakage, 1, "inference_internal")
        # And when the keeper comes by, it is started afresh and the image done
        async with board.kept():
            await until(lambda: board.done(image_id), "the image is done", timeout=MENDED_WITHIN)
            await until(board.healthy, "every version is healthy", timeout=MENDED_WITHIN)
        stop.set()
        await asking
        assert await board.world.suggested(image_id) == {"green": 5_000}
        assert board.reloads() == {board.breakage: 1}
        # While the other version never stopped
        assert answers > 0
        assert refusals == []

    async def test_an_image_waits_for_a_version_that_is_not_loaded_without_losing_a_try(
        self, install: Install
    ):
        board = await install(Breakage.NOT_FINITE)
        await board.triton.unload(board.breakage)
        image_id = await board.world.add(picture(*GREEN))
        await board.pipeline.analyse_images([image_id], LIVE)
        image = await board.world.image(image_id)
        assert (image.state, image.attempts) == (ImageState.QUEUED, 0)
        assert image.failure is not None
        assert image.failure.code == "model_not_served"
        async with board.kept():
            await until(lambda: board.done(image_id), "the image is done", timeout=MENDED_WITHIN)
        assert (await board.world.image(image_id)).attempts == 1


class TestSlowVersions:
    async def test_a_version_that_is_only_slow_is_left_alone(
        self, install: Install, breaking_server: RunningTriton
    ):
        # Given a version that is kept busy with pictures that take it longer than a probe may take
        pace = Pace(interval=0.1, deadline=0.3, patience=3.0)
        board = await install(Breakage.SLOW, pace=pace)
        model = await board.model(board.breakage)
        before = stubs(breaking_server.repository, board.breakage)
        stop = asyncio.Event()

        async def keep_busy() -> None:
            while not stop.is_set():
                await board.triton.infer(model, red_tensor(), deadline=60)

        busy = [asyncio.create_task(keep_busy()) for _ in range(2)]
        silent = (board.breakage, "inference_timeout", "1")
        began = time.monotonic()

        async def silent_for_long() -> bool:
            unanswered = sample(board.metrics, MetricName.BROKEN_ANSWERS).get(silent, 0)
            return unanswered >= 10 and time.monotonic() - began > 2 * pace.patience

        # When probes of it have gone unanswered for longer than a version may be silent
        async with board.kept():
            await until(silent_for_long, "probes go unanswered for long", timeout=MENDED_WITHIN)
            # Then it was not reloaded, for it computed all the time
            assert board.reloads() == {}
            assert stubs(breaking_server.repository, board.breakage) == before
            stop.set()
            await asyncio.gather(*busy)
            await until(board.healthy, "every version is healthy", timeout=MENDED_WITHIN)

    async def test_an_image_that_a_busy_version_had_no_time_for_loses_no_try(self, install: Install):
        # Given a version that is known to be slow, and has more to do than an answer may take
        board = await install(Breakage.SLOW)
        model = await board.model(board.breakage)
        hasty = board.world.settings.model_copy(update={"inference_timeout": 0.2})
        stop = asyncio.Event()
        computed = 0

        async def keep_busy() -> None:
            nonlocal computed
            while not stop.is_set():
                await board.triton.infer(model, red_tensor(), deadline=60)
                computed += 1

        async def known() -> bool:
            return computed >= 4

        busy = [asyncio.create_task(keep_busy()) for _ in range(2)]
        await until(known, "some slow pictures are done", timeout=MENDED_WITHIN)
        # When an image meets it
        image_id = await board.world.add(picture(*GREEN))
        async with opened(hasty) as resources:
            await resources.pipeline.analyse_images([image_id], LIVE)
        # Then the image waits with all its tries
        image = await board.world.image(image_id)
        stop.set()
        await asyncio.gather(*busy)
        assert (image.state, image.attempts) == (ImageState.QUEUED, 0)
        assert image.failure is not None
        assert image.failure.code == "inference_timeout"
