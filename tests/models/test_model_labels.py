"""Labels files give every output its name and category, or are refused."""

from pathlib import Path

import pytest
from small_nets import Contract
from versions import SmallVersion, small_version

from orchestrator.errors import ManifestError
from orchestrator.records import Label, LabelCategory, Vocabulary
from orchestrator.registry.labels import read_labels
from orchestrator.registry.manifest import LabelsSpec, Manifest, ThresholdsSpec


@pytest.fixture
def version(tmp_path: Path) -> SmallVersion:
    return small_version(tmp_path, Contract())


def write_labels(version: SmallVersion, text: str) -> None:
    (version.folder / "selected_tags.csv").write_text(text, encoding="utf-8")


def as_board(manifest: Manifest, count: int) -> Manifest:
    labels = LabelsSpec(file="selected_tags.csv", sha256="0" * 64, format="board_csv", count=count)
    return manifest.model_copy(update={"vocabulary": Vocabulary.BOARD, "labels": labels})


def test_danbooru_labels_have_their_categories(version: SmallVersion) -> None:
    # Given a file in WD14's columns, when it is read
    labels = read_labels(version.folder, version.manifest)
    # Then order, names and categories are its own
    assert labels[0] == Label(0, "general", LabelCategory.RATING)
    assert labels[1] == Label(1, "smile", LabelCategory.GENERAL)
    assert labels[4] == Label(4, "someone", LabelCategory.CHARACTER)


def test_board_labels_are_external_ids(version: SmallVersion) -> None:
    # Given a file in the board's columns
    write_labels(version, "index,external_id,title\n0,501,happy\n1,502,gloomy\n")
    # When it is read, then each label is named by the tag's external id
    assert read_labels(version.folder, as_board(version.manifest, 2)) == (
        Label(0, "501", LabelCategory.BOARD),
        Label(1, "502", LabelCategory.BOARD),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,name\n1,smile\n", "must have the columns tag_id,name,category,count"),
        ("", "must have the columns"),
        ("tag_id,name,category,count\n1,smile,0,7\n", "has 1 labels, the manifest says 5"),
        ("tag_id,name,category,count\n1,smile,3,7\n", "unknown category '3'"),
        ("tag_id,name,category,count\n1,smile,0\n", "too few or too many fields"),
        ("tag_id,name,category,count\n1,smile,0,7,9\n", "too few or too many fields"),
        ("tag_id,name,category,count\n" + "1,smile,0,7\n" * 5, "names a label twice"),
    ],
)
def test_a_danbooru_file_that_does_not_fit_is_refused(version: SmallVersion, text: str, reason: str) -> None:
    # Given a spoiled labels file, when it is read, then the reason is said
    write_labels(version, text)
    with pytest.raises(ManifestError, match=reason):
        read_labels(version.folder, version.manifest)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("0,501,happy\n2,502,gloomy\n", "row 2 must have the index 1, not '2'"),
        ("0,happy,happy\n1,502,gloomy\n", "'happy' is no external id"),
        ("0,0501,happy\n1,502,gloomy\n", "'0501' is no external id"),
    ],
)
def test_a_board_file_that_does_not_fit_is_refused(version: SmallVersion, rows: str, reason: str) -> None:
    # Given a spoiled labels file, when it is read, then the reason is said
    write_labels(version, "index,external_id,title\n" + rows)
    with pytest.raises(ManifestError, match=reason):
        read_labels(version.folder, as_board(version.manifest, 2))


def test_a_threshold_for_no_label_is_refused(version: SmallVersion) -> None:
    # Given a manifest with a threshold for a label that the file does not have
    thresholds = ThresholdsSpec(by_label={"simle": 0.4})
    # When the labels are read, then the name is said
    with pytest.raises(ManifestError, match="has no label 'simle'"):
        read_labels(version.folder, version.manifest.model_copy(update={"thresholds": thresholds}))


def test_a_missing_file_is_a_typed_error(version: SmallVersion) -> None:
    # Given no labels file, when it is read, then it is a ManifestError
    (version.folder / "selected_tags.csv").unlink()
    with pytest.raises(ManifestError, match="cannot be read"):
        read_labels(version.folder, version.manifest)
