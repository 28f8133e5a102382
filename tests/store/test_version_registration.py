"""Registering a version folder: what is checked, what is stored, and what becomes active."""

import hashlib
from datetime import date
from pathlib import Path

import pytest
from small_board import SmallBoard

from orchestrator.errors import Conflict, ManifestError
from orchestrator.records import Label, LabelCategory, VersionState, Vocabulary
from orchestrator.registry.manifest import (
    GeometrySpec,
    HashedFile,
    InputSpec,
    LabelsSpec,
    Manifest,
    OutputSpec,
    ThresholdsSpec,
)
from orchestrator.registry.register import register_folder
from orchestrator.settings import Settings
from orchestrator.store import models
from orchestrator.store.unit_of_work import Store

pytestmark = pytest.mark.anyio

GENERAL = "tag_id,name,category,count\n1,smile,0,10\n2,reimu,4,5\n3,safe,9,1\n"


def publish(
    repository: Path,
    *,
    name: str = "tagger",
    version: int = 1,
    vocabulary: Vocabulary = Vocabulary.DANBOORU,
    labels: str = GENERAL,
    graph: bytes = b"a graph",
    original: bytes = b"the original",
    thresholds: ThresholdsSpec | None = None,
) -> Path:
    """Lay a version's folder down as publishing does; nobody looks into the graph here."""
    folder = repository / name / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    files = {"labels.csv": labels.encode(), "source.onnx": original, "model.onnx": graph}
    for file, data in files.items():
        (folder / file).write_bytes(data)
    digest = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    board = vocabulary is Vocabulary.BOARD
    manifest = Manifest(
        schema_version=1,
        name=name,
        version=version,
        family="test",
        vocabulary=vocabulary,
        model_source="custom_theme" if board else "danbooru",
        geometry=GeometrySpec(size=448, pad_colour=(255, 255, 255), filter="bicubic"),
        input=InputSpec(name="input", layout="NHWC", channel_order="BGR", value_range=(0.0, 255.0)),
        output=OutputSpec(name="output", activation="probabilities"),
        labels=LabelsSpec(
            file="labels.csv",
            sha256=digest["labels.csv"],
            format="board_csv" if board else "wd14_csv",
            count=labels.count("\n") - 1,
        ),
        model=HashedFile(file="source.onnx", sha256=digest["source.onnx"]),
        served=HashedFile(file="model.onnx", sha256=digest["model.onnx"]),
        thresholds=thresholds or ThresholdsSpec(),
        source="a test",
        licence="Apache-2.0",
        created=date(2026, 1, 1),
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


async def test_a_version_is_stored_with_labels_floors_and_hash(board: SmallBoard, repository: Path) -> None:
    advice = ThresholdsSpec(general=0.4, by_label={"smile": 0.55})
    publish(repository, thresholds=advice, graph=b"served")

    model = await register_folder(board.store, board.settings, "tagger", 1, repository=repository)

    assert (model.name, model.version, model.state, model.source) == (
        "tagger",
        1,
        VersionState.ACTIVE,
        "danbooru",
    )
    assert model.labels == (
        Label(0, "smile", LabelCategory.GENERAL),
        Label(1, "reimu", LabelCategory.CHARACTER),
        Label(2, "safe", LabelCategory.RATING),
    )
    assert (model.thresholds.general, model.thresholds.character) == (4000, None)
    assert model.thresholds.by_label == {0: 5500}
    row = await board.store.read(lambda tx: models.find(tx, "tagger", 1))
    assert row is not None
    assert row.sha256 == hashlib.sha256(b"served").hexdigest()


async def test_the_tracked_tagger_registers_from_the_served_repository(
    store: Store, settings: Settings
) -> None:
    model = await register_folder(store, settings, "wd14", 1)

    assert (model.state, model.source, model.vocabulary) == ("active", "danbooru", Vocabulary.DANBOORU)
    assert {label.category for label in model.labels} == {
        LabelCategory.GENERAL,
        LabelCategory.CHARACTER,
        LabelCategory.RATING,
    }
    assert [label.index for label in model.labels] == list(range(len(model.labels)))


async def test_the_tracked_themes_wait_for_the_boards_tags(store: Store, settings: Settings) -> None:
    with pytest.raises(ManifestError) as caught:
        await register_folder(store, settings, "custom_theme", 1)

    assert caught.value.code == "unknown_board_labels"


async def test_the_first_version_is_active_and_the_next_one_waits(
    board: SmallBoard, repository: Path
) -> None:
    publish(repository)
    publish(repository, version=2)

    first = await register_folder(board.store, board.settings, "tagger", 1, repository=repository)
    second = await register_folder(board.store, board.settings, "tagger", 2, repository=repository)

    assert (first.state, second.state) == (VersionState.ACTIVE, VersionState.STAGED)


async def test_registering_again_changes_nothing(board: SmallBoard, repository: Path) -> None:
    publish(repository)
    first = await register_folder(board.store, board.settings, "tagger", 1, repository=repository)

    assert await register_folder(board.store, board.settings, "tagger", 1, repository=repository) == first


async def test_a_registered_version_cannot_be_another_model(board: SmallBoard, repository: Path) -> None:
    publish(repository)
    await register_folder(board.store, board.settings, "tagger", 1, repository=repository)
    publish(repository, graph=b"another graph", original=b"another original")

    with pytest.raises(Conflict) as caught:
        await register_folder(board.store, board.settings, "tagger", 1, repository=repository)

    assert caught.value.code == "version_changed"


async def test_the_same_model_may_be_prepared_anew(board: SmallBoard, repository: Path) -> None:
    publish(repository)
    first = await register_folder(board.store, board.settings, "tagger", 1, repository=repository)
    publish(repository, graph=b"prepared by a later release")

    again = await register_folder(board.store, board.settings, "tagger", 1, repository=repository)

    assert again.id == first.id
    row = await board.store.read(lambda tx: models.find(tx, "tagger", 1))
    assert row is not None
    assert row.sha256 == hashlib.sha256(b"prepared by a later release").hexdigest()


async def test_a_file_that_is_not_the_manifests_is_refused(board: SmallBoard, repository: Path) -> None:
    folder = publish(repository)
    (folder / "model.onnx").write_bytes(b"swapped")

    with pytest.raises(ManifestError, match="sha256"):
        await register_folder(board.store, board.settings, "tagger", 1, repository=repository)

    assert await board.store.read(lambda tx: models.find(tx, "tagger", 1)) is None


async def test_board_labels_are_the_boards_tags_aliases_included(board: SmallBoard, repository: Path) -> None:
    smile, grin = (board.tags[title].external_id for title in ("smile", "grin"))
    labels = f"index,external_id,title\n0,{smile},smile\n1,{grin},grin\n"
    publish(repository, name="themes", vocabulary=Vocabulary.BOARD, labels=labels)

    model = await register_folder(board.store, board.settings, "themes", 1, repository=repository)

    assert [label.name for label in model.labels] == [str(smile), str(grin)]
    assert (model.source, model.priority, model.thresholds.board) == ("custom_theme", 0, 6000)


async def test_a_board_label_that_names_no_tag_stops_registration(
    board: SmallBoard, repository: Path
) -> None:
    labels = "index,external_id,title\n0,987654,who knows\n"
    publish(repository, name="themes", vocabulary=Vocabulary.BOARD, labels=labels)

    with pytest.raises(ManifestError, match="987654") as caught:
        await register_folder(board.store, board.settings, "themes", 1, repository=repository)

    assert caught.value.code == "unknown_board_labels"
    assert await board.store.read(lambda tx: models.find(tx, "themes", 1)) is None
