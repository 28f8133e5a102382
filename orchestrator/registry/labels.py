"""Labels files: what each output of a model is called."""

import csv
from pathlib import Path

from orchestrator.errors import ManifestError
from orchestrator.records import Label, LabelCategory
from orchestrator.registry.manifest import Manifest

WD14_COLUMNS = ("tag_id", "name", "category", "count")
BOARD_COLUMNS = ("index", "external_id", "title")

# The numbers are Danbooru's own; WD14 exports no other categories.
WD14_CATEGORIES = {"9": LabelCategory.RATING, "0": LabelCategory.GENERAL, "4": LabelCategory.CHARACTER}


def read_labels(folder: Path, manifest: Manifest) -> tuple[Label, ...]:
    """Return the labels of the version in `folder`, in output order.

    A label's name is a Danbooru tag or a board tag's external id in decimal, by the manifest's vocabulary.
    Raises ManifestError for a file that cannot be read, wrong columns or count, unknown categories,
    duplicates, and thresholds for labels that do not exist.
    """
    where = f"{manifest.name}/{manifest.version}: {manifest.labels.file}"
    wd14 = manifest.labels.format == "wd14_csv"
    rows = _read_rows(folder / manifest.labels.file, WD14_COLUMNS if wd14 else BOARD_COLUMNS, where)
    labels = tuple(
        _wd14_label(i, row, where) if wd14 else _board_label(i, row, where) for i, row in enumerate(rows)
    )
    if len(labels) != manifest.labels.count:
        raise ManifestError(f"{where} has {len(labels)} labels, the manifest says {manifest.labels.count}")
    names = {label.name for label in labels}
    if len(names) != len(labels):
        raise ManifestError(f"{where} names a label twice")
    for name in sorted(manifest.thresholds.by_label.keys() - names):
        raise ManifestError(f"{where} has no label '{name}', which the manifest has a threshold for")
    return labels


def _read_rows(path: Path, columns: tuple[str, ...], where: str) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if tuple(reader.fieldnames or ()) != columns:
                raise ManifestError(f"{where} must have the columns {','.join(columns)}")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{where} cannot be read: {error}") from error
    if any(None in row or None in row.values() for row in rows):
        raise ManifestError(f"{where} has a row with too few or too many fields")
    return rows


def _wd14_label(index: int, row: dict[str, str], where: str) -> Label:
    category = WD14_CATEGORIES.get(row["category"])
    if category is None or not row["name"]:
        raise ManifestError(
            f"{where}: row {index + 1} has no name or an unknown category '{row['category']}'"
        )
    return Label(index, row["name"], category)


def _board_label(index: int, row: dict[str, str], where: str) -> Label:
    if row["index"] != str(index):
        raise ManifestError(f"{where}: row {index + 1} must have the index {index}, not '{row['index']}'")
    external_id = row["external_id"]
    if not (external_id.isascii() and external_id.isdigit()) or external_id != str(int(external_id)):
        raise ManifestError(f"{where}: '{external_id}' is no external id of a board tag")
    return Label(index, external_id, LabelCategory.BOARD)
