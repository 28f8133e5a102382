"""A manifest is complete and consistent, or is refused with every reason."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel
from small_nets import Contract
from versions import SmallVersion, small_version

from orchestrator.errors import ManifestError
from orchestrator.records import Geometry
from orchestrator.registry.manifest import (
    LARGEST_MANIFEST,
    BatchSpec,
    Figures,
    GeometrySpec,
    GoldenSpec,
    HashedFile,
    InputSpec,
    LabelsSpec,
    Manifest,
    OutputSpec,
    ThresholdsSpec,
    TrainingSpec,
    check_files,
    parse_manifest,
    read_manifest,
)

PAGE = Path(__file__).resolve().parents[2] / "docs/manifest.md"
PARTS: dict[str, type[BaseModel]] = {
    "The whole": Manifest,
    "Files": HashedFile,
    "Geometry": GeometrySpec,
    "Input": InputSpec,
    "Output": OutputSpec,
    "Labels": LabelsSpec,
    "Thresholds": ThresholdsSpec,
    "Batch": BatchSpec,
    "Training": TrainingSpec,
    "Figures": Figures,
    "Golden": GoldenSpec,
}
"""The page's sections, and what they are about."""

Spoil = Callable[[dict[str, object]], object]


@pytest.fixture
def version(tmp_path: Path) -> SmallVersion:
    return small_version(tmp_path, Contract())


def part(document: dict[str, object], name: str) -> dict[str, object]:
    found = document[name]
    assert isinstance(found, dict)
    return found


def test_a_manifest_survives_its_own_json(version: SmallVersion) -> None:
    # Given a manifest, when it is written and read, then it is the same
    assert parse_manifest(version.manifest.to_json()) == version.manifest
    assert read_manifest(version.folder) == version.manifest


def test_the_geometry_becomes_the_record_that_stages_pass(version: SmallVersion) -> None:
    # Given a manifest, when its geometry is asked for, then it is the record
    assert version.manifest.geometry.record() == Geometry(32, (255, 255, 255), "bicubic")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda d: d.update(schema_version=2), "schema_version: Input should be 1"),
        (lambda d: d.pop("licence"), "licence: Field required"),
        (lambda d: d.update(colour="BGR"), "colour: Extra inputs are not permitted"),
        (lambda d: d.update(name="WD 14"), "name: String should match pattern"),
        (lambda d: d.update(version=0), "version: Input should be greater than or equal to 1"),
        (lambda d: part(d, "input").update(layout="HWCN"), "input.layout: Input should be 'NHWC' or 'NCHW'"),
        (lambda d: part(d, "input").update(channel_order="GBR"), "input.channel_order: Input should be"),
        (
            lambda d: part(d, "input").update(value_range=[255, 0]),
            "input: Value error, value_range must rise",
        ),
        (lambda d: part(d, "input").update(std=[1, 0, 1]), "input: Value error, std must be positive"),
        (lambda d: part(d, "output").update(activation="softmax"), "output.activation: Input should be"),
        (
            lambda d: part(d, "geometry").update(pad_colour=[0, 0, 256]),
            "geometry.pad_colour.2: Input should be",
        ),
        (lambda d: part(d, "geometry").update(filter="area"), "geometry.filter: Input should be"),
        (
            lambda d: part(d, "model").update(file="../m.onnx"),
            "model.file: must be a relative path",
        ),
        (
            lambda d: part(d, "model").update(file="/m.onnx"),
            "model.file: must be a relative path",
        ),
        (lambda d: part(d, "model").update(sha256="abc"), "model.sha256: String should match pattern"),
        (lambda d: d.update(vocabulary="board"), "vocabulary 'board' needs labels in the format 'board_csv'"),
        (lambda d: d.update(thresholds={"general": 35}), "thresholds.general: Input should be less than"),
        (lambda d: d.update(batch={"maximum": 4, "preferred": 8}), "preferred must not exceed maximum"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_by_field(
    version: SmallVersion, spoil: Spoil, reason: str
) -> None:
    # Given a manifest with one mistake
    document = json.loads(version.manifest.to_json())
    spoil(document)
    # When it is parsed, then the field and the reason are said
    with pytest.raises(ManifestError) as caught:
        parse_manifest(json.dumps(document))
    assert reason in caught.value.detail


def test_every_mistake_is_named_at_once(version: SmallVersion) -> None:
    # Given a manifest with two mistakes, when it is parsed, then both are named
    document = json.loads(version.manifest.to_json())
    del document["family"], document["created"]
    with pytest.raises(ManifestError, match=r"family: Field required.*created: Field required"):
        parse_manifest(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_text_that_is_no_manifest_is_refused(text: str) -> None:
    # Given text that is no JSON object, when it is parsed, then it is a typed error
    with pytest.raises(ManifestError, match="does not fit schema version 1"):
        parse_manifest(text)


def test_a_manifest_of_another_folder_is_refused(version: SmallVersion) -> None:
    # Given a version folder that was copied to the next number
    moved = version.folder.rename(version.folder.with_name("2"))
    # When its manifest is read, then it is refused
    with pytest.raises(ManifestError, match="speaks of small/1, but lies in small/2"):
        read_manifest(moved)


def test_a_missing_manifest_is_a_typed_error(tmp_path: Path) -> None:
    # Given an empty folder, when its manifest is read, then it is refused
    with pytest.raises(ManifestError, match=r"manifest.json of .* cannot be read"):
        read_manifest(tmp_path)


def test_a_changed_file_is_found(version: SmallVersion) -> None:
    # Given a version whose labels were edited after the manifest was written
    labels = version.folder / "selected_tags.csv"
    labels.write_text(labels.read_text().replace("hat", "cap"))
    # When its files are checked, then the file is named
    with pytest.raises(ManifestError, match=r"selected_tags\.csv is not the file it was"):
        check_files(version.folder, version.manifest)


def test_a_missing_file_is_found(version: SmallVersion) -> None:
    # Given a version without its graph, when its files are checked, then the file is named
    (version.folder / "original.onnx").unlink()
    with pytest.raises(ManifestError, match=r"original.onnx is missing"):
        check_files(version.folder, version.manifest)


def test_a_link_that_leads_out_of_the_folder_is_refused(version: SmallVersion, tmp_path: Path) -> None:
    # Given a version whose labels file is a link to the same content elsewhere
    labels, elsewhere = version.folder / "selected_tags.csv", tmp_path / "elsewhere.csv"
    labels.rename(elsewhere)
    labels.symlink_to(elsewhere)
    # When its files are checked, then the link is refused
    with pytest.raises(ManifestError, match=r"selected_tags\.csv leads out") as refused:
        check_files(version.folder, version.manifest)
    assert refused.value.code == "path_outside"


@pytest.mark.parametrize(
    "name", ["", "..", "a/../../b", "/etc/hosts", "C:\\a", "c:a", "a\\..\\b", "a\0b", "."]
)
def test_names_that_lead_out_of_the_folder_are_refused_everywhere(version: SmallVersion, name: str) -> None:
    # Given a manifest that names such a file in every place where it names one
    places: list[Spoil] = [
        lambda d: part(d, "model").update(file=name),
        lambda d: part(d, "labels").update(file=name),
        lambda d: part(d, "served").update(file=name),
        lambda d: d.update(model_data=[{"file": name, "sha256": "0" * 64}]),
        lambda d: d["golden"][0].update(file=name),
        lambda d: d["golden"][0]["tensor"].update(file=name),
    ]
    for spoil in places:
        document = json.loads(version.manifest.to_json())
        spoil(document)
        # When it is parsed, then it is refused for that
        with pytest.raises(ManifestError, match="must be a relative path") as refused:
            parse_manifest(json.dumps(document))
        assert refused.value.code == "path_outside"


def test_a_manifest_that_is_too_large_is_not_read(version: SmallVersion) -> None:
    # Given a manifest that was blown up, without taking the room for it
    with (version.folder / "manifest.json").open("r+b") as stream:
        stream.truncate(LARGEST_MANIFEST + 1)
    # When it is read, then it is refused for its size
    with pytest.raises(ManifestError, match="is larger than"):
        read_manifest(version.folder)


def test_probabilities_may_be_called_by_their_former_name(version: SmallVersion) -> None:
    # Given a manifest of before the word was settled, as databases remember them
    document = json.loads(version.manifest.to_json())
    part(document, "output")["activation"] = "sigmoid"
    # When it is parsed, then it means the same
    assert parse_manifest(json.dumps(document)) == version.manifest


@pytest.mark.parametrize("heading", PARTS)
def test_every_field_is_documented_and_no_other(heading: str) -> None:
    # Given the page's section about a part of the manifest
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    assert sections.keys() == PARTS.keys()
    documented = set(re.findall(r"^\| `(\w+)` \|", sections[heading], re.MULTILINE))
    # When it is compared with the schema, then it has its fields: those of a file are explained once
    fields = set(PARTS[heading].model_fields)
    if PARTS[heading] is not HashedFile and issubclass(PARTS[heading], HashedFile):
        fields -= HashedFile.model_fields.keys()
    assert documented == fields
