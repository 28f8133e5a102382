"""Labels files give every output its name and category, or are refused."""

from pathlib import Path

import pytest
from small_nets import Contract
from versions import SmallVersion, small_version

from orchestrator.errors import ManifestError
from orchestrator.records import Label, LabelCategory, Vocabulary
from orchestrator.registry.labels import file_thresholds, read_labels, with_file_thresholds
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
        ("id,name\n1,smile\n", "must have the columns name,category"),
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
    with pytest.raises(ManifestError, match="is missing"):
        read_labels(version.folder, version.manifest)


def as_text(manifest: Manifest, count: int, vocabulary: Vocabulary = Vocabulary.DANBOORU) -> Manifest:
    labels = LabelsSpec(file="selected_tags.csv", sha256="0" * 64, format="text", count=count)
    return manifest.model_copy(update={"vocabulary": vocabulary, "labels": labels})


def test_plain_text_has_a_label_a_line_and_a_category_behind_a_tab(version: SmallVersion) -> None:
    # Given a plain list
    write_labels(version, "smile\nakari\tcharacter\nsafe\t9\n")
    # When it is read, then what has no category is general
    assert read_labels(version.folder, as_text(version.manifest, 3)) == (
        Label(0, "smile", LabelCategory.GENERAL),
        Label(1, "akari", LabelCategory.CHARACTER),
        Label(2, "safe", LabelCategory.RATING),
    )


def test_plain_text_of_a_boards_model_has_external_ids(version: SmallVersion) -> None:
    # Given a plain list of ids
    write_labels(version, "501\n502\n")
    # When it is read, then they are board labels
    labels = read_labels(version.folder, as_text(version.manifest, 2, Vocabulary.BOARD))
    assert labels == (Label(0, "501", LabelCategory.BOARD), Label(1, "502", LabelCategory.BOARD))


@pytest.mark.parametrize("text", ["smile\n\nhat\n", "smile\tmood\nhat\nscarf\n"])
def test_plain_text_with_a_bad_line_is_refused(version: SmallVersion, text: str) -> None:
    # Given an empty line, or a category that nobody knows, when it is read, then the row is named
    write_labels(version, text)
    with pytest.raises(ManifestError, match=r"row \d has no name or an unknown category"):
        read_labels(version.folder, as_text(version.manifest, 3))


def test_a_manifest_may_say_what_a_files_own_categories_mean(version: SmallVersion) -> None:
    # Given a file with a category of its family's own
    write_labels(version, "name,category\nsmile,mood\nakari,4\n")
    spec = LabelsSpec(
        file="selected_tags.csv",
        sha256="0" * 64,
        format="wd14_csv",
        count=2,
        categories={"mood": LabelCategory.GENERAL},
    )
    # When it is read with a manifest that explains it, then it has that meaning, beside WD14's
    labels = read_labels(version.folder, version.manifest.model_copy(update={"labels": spec}))
    assert [label.category for label in labels] == [LabelCategory.GENERAL, LabelCategory.CHARACTER]


def test_a_files_own_thresholds_are_taken_over_where_the_manifest_has_none(version: SmallVersion) -> None:
    # Given a file with thresholds, not for every label, and a manifest with one
    rows = ["general,9,", "smile,0,0.4", "hat,0,0.25", "cat,0, ", "someone,4,0.9"]
    write_labels(version, "\n".join(["name,category,best_threshold", *rows]) + "\n")
    manifest = version.manifest.model_copy(update={"thresholds": ThresholdsSpec(by_label={"hat": 0.7})})
    # When they are taken over
    merged = with_file_thresholds(version.folder, manifest)
    # Then the manifest's own word stays, and labels without one have none
    assert merged.thresholds.by_label == {"smile": 0.4, "hat": 0.7, "someone": 0.9}


@pytest.mark.parametrize("threshold", ["1.5", "-0.1", "nan", "high"])
def test_a_threshold_that_is_none_is_refused(version: SmallVersion, threshold: str) -> None:
    # Given a file with a bad threshold, when it is read, then the row is named
    write_labels(version, f"name,category,best_threshold\nsmile,0,{threshold}\n")
    with pytest.raises(ManifestError, match="row 1 has the best_threshold"):
        file_thresholds(version.folder, version.manifest)


def test_a_spreadsheets_mark_and_line_ends_do_not_matter(version: SmallVersion) -> None:
    # Given WD14's file, saved by a spreadsheet
    text = (version.folder / "selected_tags.csv").read_text(encoding="utf-8")
    (version.folder / "selected_tags.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    # When it is read, then the names are as before
    assert read_labels(version.folder, version.manifest)[0].name == "general"
