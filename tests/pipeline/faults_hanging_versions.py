"""Versions that compute for ever: found, started afresh alone, and never blamed on other pictures.

A fault run, for what is left of a hung backend keeps a core busy for a while, which other tests would feel.
"""

import pytest
from breakable import Breakage
from breaking_board import LIVE, MENDED_WITHIN, Install, sample, stored
from colours import picture
from world import GREEN, RED, until

from orchestrator.records import ImageState
from orchestrator.telemetry import MetricName

pytestmark = pytest.mark.anyio


class TestVersionsThatHang:
    async def test_a_version_that_computes_for_ever_is_started_afresh(self, install: Install):
        # Given a version that never comes back from a picture
        board = await install(Breakage.ENDLESS, versions=2)
        image_id = await board.world.add(picture(*RED))

        async def tried() -> bool:
            # On a busy machine all of Triton may look slow at first; such a try does not count.
            await board.pipeline.analyse_images([image_id], LIVE)
            return (await board.world.image(image_id)).attempts == 1

        await until(tried, "the version is found to hang", timeout=MENDED_WITHIN)
        image = await board.world.image(image_id)
        assert image.state is ImageState.QUEUED
        assert image.failure is not None
        assert image.failure.code == "model_hung"
        # When another image comes while the keeper is at work
        other = await board.world.add(picture(*GREEN))
        async with board.kept():
            await until(lambda: board.done(other), "the other image is done", timeout=MENDED_WITHIN)
            await until(board.healthy, "every version is healthy", timeout=MENDED_WITHIN)
        # Then it was done after a reload, which Triton's count alone asked for
        assert board.reloads() == {board.breakage: 1}
        counted = sample(board.metrics, MetricName.BROKEN_ANSWERS)
        assert counted[board.breakage, "model_hung", "1"] == 1
        assert {labels[::2] for labels, value in counted.items() if value} == {(board.breakage, "1")}

    async def test_a_picture_that_hangs_a_version_every_time_fails_in_the_end(self, install: Install):
        board = await install(Breakage.ENDLESS)
        image_id = await board.world.add(picture(*RED))
        async with board.kept():

            async def failed() -> bool:
                await board.pipeline.analyse_images([image_id], LIVE)
                return await board.world.state(image_id) is ImageState.FAILED

            await until(failed, "the image fails", timeout=2 * MENDED_WITHIN)
            await until(board.healthy, "every version is healthy", timeout=MENDED_WITHIN)
        image = await board.world.image(image_id)
        assert image.failure is not None
        assert (image.failure.code, image.attempts) == ("model_hung", 3)
        assert await stored(board.world, image_id) == 0
