"""Publishing: from a folder to a version that is served and registered, or nothing has changed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from coloured_sources import COLOUR, SIZE, Source
from workshop import Workshop

from orchestrator.errors import Conflict, InferenceUnavailable, ManifestError, ModelError, StoreUnavailable
from orchestrator.inference.client import TritonClient
from orchestrator.records import VersionState
from orchestrator.registry import publish as publishing
from orchestrator.registry import serving
from orchestrator.registry.config import ConfigOptions
from orchestrator.registry.publish import ModelRefused, Publisher
from orchestrator.store import audit, models
from orchestrator.store.named_lock import model_lock

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("publish")]

SQUARE = np.full((1, SIZE, SIZE, 3), COLOUR, np.uint8)


async def test_a_folder_becomes_a_staged_version_that_answers(workshop: Workshop, tmp_path: Path) -> None:
    # Given what an engineer hands in: the original graph, labels, a golden picture, a manifest
    source = Source()
    folder = source.write(tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    # When it is published
    published = await workshop.publisher().publish(folder)
    # Then it is staged, served, and answers what the original would
    assert published.model.state is VersionState.STAGED
    assert await workshop.served() == {("colours", 1)}
    scores = await workshop.triton.infer(published.model, SQUARE)
    assert scores[0] == pytest.approx(source.expected(), abs=1e-4)
    # And nobody's pictures are looked at by it, the source is as it was, and who did it is on record
    assert await workshop.active() == []
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    (entry,) = await workshop.store.read(lambda tx: audit.of(tx, "colours/1"))
    assert (entry.actor, entry.action) == ("ada", "model.published")
    assert not list((workshop.repository / ".staging").iterdir())


async def test_versions_with_other_labels_are_served_side_by_side(workshop: Workshop, tmp_path: Path) -> None:
    first = await workshop.publisher().publish(Source().write(tmp_path / "a"), activate=True)
    second = await workshop.publisher().publish(Source(labels=5, gain=0.5).write(tmp_path / "b"))
    assert (first.model.version, second.model.version) == (1, 2)
    assert await workshop.served() == {("colours", 1), ("colours", 2)}
    assert [model.version for model in await workshop.active()] == [1]
    for published, source in ((first, Source()), (second, Source(labels=5, gain=0.5))):
        scores = await workshop.triton.infer(published.model, SQUARE)
        assert scores[0] == pytest.approx(source.expected(), abs=1e-4)


async def test_settings_made_by_hand_are_kept(workshop: Workshop, tmp_path: Path) -> None:
    await workshop.publisher().publish(Source().write(tmp_path / "a"))
    config = workshop.repository / "colours" / "config.pbtxt"
    delay = "max_queue_delay_microseconds"
    by_hand = config.read_text().replace(f"{delay}: 1000", f"{delay}: 77")
    config.write_text(f"# ours\n{by_hand}")
    await workshop.publisher().publish(Source(gain=0.5).write(tmp_path / "b"))
    assert config.read_text() == f"# ours\n{by_hand}"
    # And a version that can take less at once lowers what is sent at once, and nothing else
    await workshop.publisher().publish(Source(gain=0.7, maximum=4).write(tmp_path / "c"))
    assert "max_batch_size: 4" in config.read_text()
    assert f"{delay}: 77" in config.read_text()


async def test_a_configuration_for_tensorrt_serves_here_as_well(workshop: Workshop, tmp_path: Path) -> None:
    options = ConfigOptions(tensorrt_cache="/var/cache/engines", threads=1)
    publisher = Publisher(workshop.store, workshop.settings, workshop.triton, "ada", options=options)
    await publisher.publish(Source().write(tmp_path))
    config = (workshop.repository / "colours" / "config.pbtxt").read_text()
    assert f"image:16x{SIZE}x{SIZE}x3" in config
    assert "/var/cache/engines" in config
    assert await workshop.served() == {("colours", 1)}


async def test_wrong_channels_are_refused_and_nothing_changes(workshop: Workshop, tmp_path: Path) -> None:
    await workshop.publisher().publish(Source().write(tmp_path / "good"), activate=True)
    before = await workshop.state()
    with pytest.raises(ModelRefused) as caught:
        await workshop.publisher().publish(Source(claims_rgb=True).write(tmp_path / "bad"))
    assert any("golden" in finding.code for finding in caught.value.report.failures)
    assert await workshop.state() == before


async def test_a_picture_size_that_cannot_share_is_refused_by_name(
    workshop: Workshop, tmp_path: Path
) -> None:
    await workshop.publisher().publish(Source().write(tmp_path / "a"))
    before = await workshop.state()
    with pytest.raises(ManifestError, match="another name") as caught:
        await workshop.publisher().publish(Source(size=64).write(tmp_path / "b"))
    assert caught.value.code == "config_mismatch"
    assert await workshop.state() == before
    # And under another name it goes
    await workshop.publisher().publish(Source(size=64).write(tmp_path / "c"), name="large_colours")
    assert ("large_colours", 1) in await workshop.served()


async def test_a_number_that_is_taken_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    folder = Source().write(tmp_path)
    await workshop.publisher().publish(folder, version=3)
    with pytest.raises(Conflict) as caught:
        await workshop.publisher().publish(folder, version=3)
    assert caught.value.code == "version_exists"
    assert (await workshop.publisher().publish(folder)).model.version == 4


class Broken(Exception):
    """A failure at some step."""


@pytest.mark.parametrize("step", ["golden", "compare", "register"])
async def test_a_failure_after_loading_restores_everything(
    workshop: Workshop, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workshop.publisher().publish(Source().write(tmp_path / "a"), activate=True)
    before = await workshop.state()

    async def fail(*_: object, **__: object) -> None:
        assert ("colours", 2) in await workshop.served()
        raise ModelError("it answers otherwise")

    step_name = {"golden": "check_golden", "compare": "compare_with_runtime", "register": "enter_staged"}[
        step
    ]
    monkeypatch.setattr(publishing, step_name, fail)
    with pytest.raises(ModelError, match="answers otherwise"):
        await workshop.publisher().publish(Source(gain=0.5).write(tmp_path / "b"))
    assert await workshop.state() == before


async def test_triton_being_away_restores_everything(
    workshop: Workshop, tmp_path: Path, free_port: int
) -> None:
    before = await workshop.state()
    async with TritonClient(f"127.0.0.1:{free_port}", admin_key="any") as away:
        publisher = Publisher(workshop.store, workshop.settings, away, "ada")
        with pytest.raises(InferenceUnavailable):
            await publisher.publish(Source().write(tmp_path))
    assert await workshop.state() == before


async def test_an_answer_that_was_lost_is_found_by_the_next(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a database that stores the version and goes away before it says so
    write = workshop.store.write

    async def lost(work: object) -> object:
        await write(work)  # type: ignore[arg-type]
        raise StoreUnavailable("gone while committing")

    with monkeypatch.context() as patch:
        patch.setattr(workshop.store, "write", lost)
        with pytest.raises(StoreUnavailable):
            await workshop.publisher().publish(Source().write(tmp_path / "a"))
    # When the next publisher comes, then the version that is registered has its files
    await workshop.publisher().publish(Source(gain=0.5).write(tmp_path / "b"))
    assert set(await workshop.rows()) == {("colours", 1), ("colours", 2)}
    assert (workshop.repository / "colours/1/model.onnx").exists()


async def test_two_publishers_take_turns(workshop: Workshop, tmp_path: Path) -> None:
    said: list[str] = []
    both = await asyncio.gather(
        workshop.publisher(said.append).publish(Source().write(tmp_path / "a")),
        workshop.publisher(said.append).publish(Source(gain=0.5).write(tmp_path / "b")),
    )
    assert sorted(one.model.version for one in both) == [1, 2]
    assert any("waiting" in line for line in said)


async def test_who_will_not_wait_is_told(workshop: Workshop) -> None:
    lock = model_lock(workshop.settings, "colours")
    assert await lock.hold()
    try:
        with pytest.raises(Conflict) as caught:
            async with serving.alone(workshop.settings, "colours", patience=0):
                pytest.fail("nobody should get here")
        assert caught.value.code == "model_busy"
    finally:
        await lock.release()


DYING = """
import asyncio, os, signal, sys
from pathlib import Path
from orchestrator.inference.client import TritonClient
from orchestrator.registry.publish import Publisher
from orchestrator.settings import load_settings
from orchestrator.store.unit_of_work import Store

def say(text):
    if text.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    settings = load_settings()
    store = await Store.connect(settings)
    async with TritonClient.from_settings(settings) as triton:
        await Publisher(store, settings, triton, "ada", say=say).publish(Path(sys.argv[1]))

asyncio.run(main())
"""


@pytest.mark.parametrize("step", ["checking", "loading", "asking"])
async def test_a_publisher_that_is_killed_leaves_nothing_behind(
    workshop: Workshop, tmp_path: Path, step: str, variables: dict[str, str]
) -> None:
    # Given a version in use, and a publisher that is killed at some step
    await workshop.publisher().publish(Source().write(tmp_path / "a"), activate=True)
    before = await workshop.state()
    source = Source(gain=0.5).write(tmp_path / "b")
    dying = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", DYING, str(source), step],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert dying.returncode == -signal.SIGKILL, dying.stderr
    assert await workshop.state() != before
    # When the next one comes along, then the former state is back before anything else happens
    async with serving.alone(workshop.settings, "colours"):
        await workshop.publisher().recover("colours")
    files, _, rows = await workshop.state()
    assert (files, rows) == (before[0], before[2])
    # And publishing goes on as if nothing had been
    published = await workshop.publisher().publish(source)
    assert (published.model.version, await workshop.served()) == (2, {("colours", 1), ("colours", 2)})


async def test_what_is_registered_is_what_is_on_disk(workshop: Workshop, tmp_path: Path) -> None:
    published = await workshop.publisher().publish(Source().write(tmp_path))
    manifest = await workshop.store.read(lambda tx: models.manifest(tx, published.model.id))
    assert json.loads(manifest) == json.loads((workshop.repository / "colours/1/manifest.json").read_text())
    report = json.loads((workshop.repository / "colours/1/report.json").read_text())
    assert report["passed"] is True
