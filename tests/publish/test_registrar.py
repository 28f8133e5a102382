"""Dropping a folder suffices; what is refused stays unserved, with the reasons beside it."""

import json
import shutil
from pathlib import Path

import pytest
from coloured_sources import Source
from workshop import Workshop

from orchestrator.inference.client import TritonClient
from orchestrator.records import VersionState
from orchestrator.registry.manifest import read_manifest
from orchestrator.registry.registrar import Registrar
from orchestrator.registry.staging import Staging
from orchestrator.store import audit, models
from orchestrator.store.named_lock import model_lock

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("publish")]


@pytest.fixture
def registrar(workshop: Workshop) -> Registrar:
    return Registrar(workshop.settings, workshop.store, workshop.triton)


def drop(workshop: Workshop, source: Source) -> Path:
    """Copy a folder into the repository as an engineer would: READY comes last."""
    folder = source.write(workshop.repository)
    (folder / "READY").touch()
    return folder


async def test_a_dropped_folder_is_published(workshop: Workshop, registrar: Registrar) -> None:
    folder = drop(workshop, Source())
    assert await registrar.look() == 1
    assert await workshop.served() == {("colours", 1)}
    assert (await workshop.rows())[("colours", 1)].state is VersionState.STAGED
    assert sorted(path.name for path in folder.iterdir()) == [
        "golden",
        "manifest.json",
        "model.onnx",
        "original.onnx",
        "report.json",
        "selected_tags.csv",
    ]
    # And nothing happens to it again
    before = await workshop.state()
    assert await registrar.look() == 0
    assert await workshop.state() == before


async def test_a_folder_without_ready_is_left_alone(workshop: Workshop, registrar: Registrar) -> None:
    Source().write(workshop.repository)
    before = await workshop.state()
    assert await registrar.look() == 0
    assert await workshop.state() == before


async def test_a_refused_folder_says_why_and_may_be_mended(workshop: Workshop, registrar: Registrar) -> None:
    # Given a version in use and a dropped one that lies about its channels
    await workshop.publisher().publish(Source().write(workshop.repository.parent / "good"), activate=True)
    shutil.rmtree(workshop.repository.parent / "good")
    folder = drop(workshop, Source(version=2, claims_rgb=True))
    # When the registrar looks, then it is not served, and the reasons are beside it
    assert await registrar.look() == 0
    assert await workshop.served() == {("colours", 1)}
    assert ("colours", 2) not in await workshop.rows()
    assert not (folder / "READY").exists()
    assert "golden" in (folder / "REFUSED.txt").read_text()
    assert json.loads((folder / "report.json").read_text())["passed"] is False
    (entry,) = await workshop.store.read(lambda tx: audit.of(tx, "colours/2"))
    assert (entry.actor, entry.action) == ("registrar", "model.refused")
    # And mended, with another READY, it is published
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["input"]["channel_order"] = "BGR"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "READY").touch()
    assert await registrar.look() == 1
    assert await workshop.served() == {("colours", 1), ("colours", 2)}
    assert not (folder / "REFUSED.txt").exists()


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("colours/one", {}),
        ("colours/01", {}),
        ("colours/7", {}),
        ("colours/7", {"manifest.json": "{"}),
        ("Größe/1", {"manifest.json": "{}"}),
    ],
    ids=["a word", "a leading nought", "no manifest", "half a manifest", "a name that is none"],
)
async def test_nonsense_is_refused_where_it_lies(
    workshop: Workshop, registrar: Registrar, place: str, content: dict[str, str]
) -> None:
    folder = workshop.repository / place
    folder.mkdir(parents=True)
    for name, text in content.items():
        (folder / name).write_text(text)
    (folder / "READY").touch()
    assert await registrar.look() == 0
    assert (folder / "REFUSED.txt").read_text().startswith(f"{place} is refused")
    assert not (folder / "READY").exists()
    assert await workshop.served() == set()


async def test_a_triton_that_is_away_makes_it_wait(workshop: Workshop, free_port: int) -> None:
    folder = drop(workshop, Source())
    async with TritonClient(f"127.0.0.1:{free_port}", admin_key="any") as away:
        assert await Registrar(workshop.settings, workshop.store, away).look() == 0
    assert (folder / "READY").exists()
    assert not (folder / "REFUSED.txt").exists()
    assert await Registrar(workshop.settings, workshop.store, workshop.triton).look() == 1


async def test_what_a_dead_publisher_left_is_undone_unless_it_lives(
    workshop: Workshop, registrar: Registrar
) -> None:
    # Given an attempt that somebody is at
    source = Source().write(workshop.repository.parent / "left")
    Staging.begin(workshop.repository, read_manifest(source), source, dropped=False)
    lock = model_lock(workshop.settings, "colours")
    assert await lock.hold()
    await registrar.look()
    assert Staging.left_behind(workshop.repository)
    # When they die, then it is undone
    await lock.release()
    await registrar.look()
    assert workshop.files() == {}


async def test_folders_that_a_remover_could_not_delete_are_deleted(
    workshop: Workshop, registrar: Registrar
) -> None:
    published = await workshop.publisher().publish(Source().write(workshop.repository.parent / "removed"))
    await workshop.store.write(lambda tx: models.mark_removed(tx, published.model.id))
    await registrar.look()
    assert not (workshop.repository / "colours/1").exists()
