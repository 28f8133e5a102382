"""Labels files: what each output of a model is called."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import ManifestError
from orchestrator.records import Label, LabelCategory, Vocabulary
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.manifest import LabelsSpec, Manifest, file_inside

WD14_COLUMNS = ("tag_id", "name", "category", "count")
"""What WD14's own files have; `name` and `category` are needed."""
BOARD_COLUMNS = ("index", "external_id", "title")
THRESHOLD_COLUMN = "best_threshold"
LARGEST_FILE = 64 * 1024 * 1024
"""Bytes; WD14 v3's file has 10,861 labels in 0.3 MB."""

# The numbers are Danbooru's own; WD14 exports no other categories.
WD14_CATEGORIES = {"9": LabelCategory.RATING, "0": LabelCategory.GENERAL, "4": LabelCategory.CHARACTER}
_CATEGORIES: Mapping[str, LabelCategory] = WD14_CATEGORIES | {
    str(category): category for category in WD14_CATEGORIES.values()
}


def read_labels(folder: Path, manifest: Manifest) -> tuple[Label, ...]:
    """Return the labels of the version in `folder`, in output order.

    A label's name is a Danbooru tag or a board tag's external id in decimal, by the manifest's vocabulary.
    Raises ManifestError for a file that cannot be read, wrong columns or count, unknown categories,
    duplicates, and thresholds for labels that do not exist.
    """
    where = f"{manifest.name}/{manifest.version}: {manifest.labels.file}"
    path = file_inside(folder, manifest.labels.file)
    labels = parse_labels(path, manifest.labels, manifest.vocabulary, where)
    if len(labels) != manifest.labels.count:
        raise ManifestError(
            f"{where} has {len(labels)} labels, the manifest says {manifest.labels.count}",
            code=CheckCode.LABELS_COUNT,
        )
    names = {label.name for label in labels}
    for name in sorted(manifest.thresholds.by_label.keys() - names):
        raise _invalid(f"{where} has no label '{name}', which the manifest has a threshold for")
    return labels


def parse_labels(path: Path, spec: LabelsSpec, vocabulary: Vocabulary, where: str) -> tuple[Label, ...]:
    """Return the labels in a file of `spec`'s format, whatever its count. `where` begins every complaint.

    Raises ManifestError.
    """
    if spec.format == "board_csv":
        rows = _read_rows(path, BOARD_COLUMNS, where, exactly=True)
        labels = tuple(_board_label(i, row, where) for i, row in enumerate(rows))
    elif spec.format == "text":
        lines = _read_text(path, where).splitlines()
        labels = tuple(_text_label(i, line, vocabulary, spec, where) for i, line in enumerate(lines))
    else:
        rows = _read_rows(path, ("name", "category"), where, exactly=False)
        labels = tuple(
            _named_label(i, row["name"], row["category"], spec, where) for i, row in enumerate(rows)
        )
    seen: dict[str, int] = {}
    for label in labels:
        first = seen.setdefault(label.name, label.index)
        if first != label.index:
            raise ManifestError(
                f"{where} names a label twice: '{label.name}' in the rows {first + 1} and {label.index + 1}",
                code=CheckCode.LABELS_DUPLICATED,
            )
    return labels


def file_thresholds(folder: Path, manifest: Manifest) -> dict[str, float]:
    """Return the labels file's own thresholds by label, if it has a column of them; an empty field is none.

    Raises ManifestError when one is not a number from 0 to 1.
    """
    if manifest.labels.format != "wd14_csv":
        return {}
    where = f"{manifest.name}/{manifest.version}: {manifest.labels.file}"
    rows = _read_rows(file_inside(folder, manifest.labels.file), ("name", "category"), where, exactly=False)
    found = {}
    for i, row in enumerate(rows):
        text = row.get(THRESHOLD_COLUMN, "").strip()
        if not text:
            continue
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not 0 <= value <= 1:
            raise _invalid(f"{where}: row {i + 1} has the {THRESHOLD_COLUMN} '{text}', which is not 0 to 1")
        found[row["name"]] = value
    return found


def with_file_thresholds(folder: Path, manifest: Manifest) -> Manifest:
    """Return the manifest with the labels file's thresholds in it; what the manifest says itself goes first.

    Raises ManifestError as `file_thresholds`.
    """
    found = file_thresholds(folder, manifest) | manifest.thresholds.by_label
    thresholds = manifest.thresholds.model_copy(update={"by_label": found})
    return manifest.model_copy(update={"thresholds": thresholds})


def _read_text(path: Path, where: str) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise _invalid(f"{where} is larger than {LARGEST_FILE} bytes")
        # utf-8-sig: spreadsheets put a mark before the first column's name.
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(f"{where} cannot be read: {error}") from error


def _read_rows(path: Path, columns: tuple[str, ...], where: str, *, exactly: bool) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(_read_text(path, where), newline=""), strict=True)
        names = tuple(reader.fieldnames or ())
        if names != columns if exactly else not set(columns) <= set(names):
            raise _invalid(f"{where} must have the columns {','.join(columns)}")
        rows = list(reader)
    except csv.Error as error:
        raise _invalid(f"{where} cannot be read: {error}") from error
    if any(None in row or None in row.values() for row in rows):
        raise _invalid(f"{where} has a row with too few or too many fields")
    return rows


def _named_label(index: int, name: str, category: str, spec: LabelsSpec, where: str) -> Label:
    known = {**_CATEGORIES, **spec.categories}
    if not name or category not in known:
        raise _invalid(f"{where}: row {index + 1} has no name or an unknown category '{category}'")
    return Label(index, name, known[category])


def _text_label(index: int, line: str, vocabulary: Vocabulary, spec: LabelsSpec, where: str) -> Label:
    name, _, category = line.partition("\t")
    if vocabulary is Vocabulary.BOARD:
        return Label(index, _external_id(name.strip(), where), LabelCategory.BOARD)
    return _named_label(index, name.strip(), category.strip() or LabelCategory.GENERAL, spec, where)


def _board_label(index: int, row: dict[str, str], where: str) -> Label:
    if row["index"] != str(index):
        raise _invalid(f"{where}: row {index + 1} must have the index {index}, not '{row['index']}'")
    return Label(index, _external_id(row["external_id"], where), LabelCategory.BOARD)


def _external_id(text: str, where: str) -> str:
    if not (text.isascii() and text.isdigit()) or text != str(int(text)):
        raise _invalid(f"{where}: '{text}' is no external id of a board tag")
    return text


def _invalid(detail: str) -> ManifestError:
    return ManifestError(detail, code=CheckCode.LABELS_INVALID)
