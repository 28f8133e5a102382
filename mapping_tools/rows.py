"""Reading and writing mapping files: CSV with the columns `danbooru_tag,internal_tag_title,action` and,
optionally, `internal_tag_type`, `weight` and `source`. Columns of `suggest` for people are let pass."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.errors import InvalidInput
from orchestrator.records import SCORE_ONE, MappingAction, TagType, as_score

REQUIRED = ("danbooru_tag", "internal_tag_title", "action")
OPTIONAL = ("internal_tag_type", "weight", "source")
NOTES = ("score", "reasons", "alternatives")
"""Columns that speak to people only; whatever stands in them is not looked at."""
DEFAULT_SOURCE = "danbooru"
_LONGEST_NAME = 255
_LONGEST_SOURCE = 32


class BadMappingFile(InvalidInput):
    """The file cannot be imported; `problems` has one sentence a bad line, in file order."""

    code = "bad_mapping_file"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class MappingRow:
    """One line of a mapping file. `title` is None for `ignore`, else as it stands there, blanks and all: a
    board's titles may have such. `weight` in ten-thousandths."""

    line: int
    source: str
    external_tag: str
    action: MappingAction
    title: str | None
    tag_type: TagType | None
    weight: int


def read_rows(text: str) -> tuple[MappingRow, ...]:
    """Parse a mapping file. Raises BadMappingFile naming every bad line, not just the first."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    _check_header(reader)
    rows: list[MappingRow] = []
    problems: list[str] = []
    seen: dict[tuple[str, str], int] = {}
    try:
        for values in reader:
            line = reader.line_num
            try:
                row = _row(line, values)
            except ValueError as error:
                problems.append(f"line {line}: {error}")
                continue
            first = seen.setdefault((row.source, row.external_tag), line)
            if first != line:
                problems.append(f"line {line}: {row.external_tag} stands in line {first} already")
            rows.append(row)
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: this is no CSV: {error}")
    if problems:
        raise BadMappingFile(problems)
    return tuple(rows)


def _check_header(reader: "csv.DictReader[str]") -> None:
    try:
        columns = tuple(reader.fieldnames or ())
    except csv.Error as error:
        raise BadMappingFile([f"line 1: this is no CSV: {error}"]) from error
    wrong = [f"the column {name} is missing" for name in REQUIRED if name not in columns]
    known = (*REQUIRED, *OPTIONAL, *NOTES)
    wrong += [f"the column {name!r} is unknown" for name in columns if name not in known]
    # Of two columns of one name, the reader would silently take the last.
    wrong += [f"the column {name} stands twice" for name in known if columns.count(name) > 1]
    if wrong:
        raise BadMappingFile([f"line 1: {what}; expected {', '.join(REQUIRED)}" for what in wrong])


def write_rows(rows: Iterable[MappingRow]) -> str:
    """Return the CSV text of `rows`, which `read_rows` turns into the same rows again."""
    return write_table((*REQUIRED, *OPTIONAL), (fields(row) for row in rows))


def write_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return CSV text that is read back exactly, whatever the fields hold."""
    stream = io.StringIO(newline="")
    plain = csv.writer(stream, lineterminator="\n")
    # The writer would leave a carriage return unquoted, which the reader takes for the end of a line.
    quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(header)
    for line in lines:
        (quoted if any("\r" in field for field in line) else plain).writerow(line)
    return stream.getvalue()


def fields(row: MappingRow) -> tuple[str, ...]:
    """Return what stands in the columns `REQUIRED` and `OPTIONAL` of a row."""
    weight = f"{row.weight / SCORE_ONE:g}"
    return (row.external_tag, row.title or "", row.action, row.tag_type or "", weight, row.source)


def _row(line: int, values: dict[str | None, str | None]) -> MappingRow:
    if None in values or any(value is None for value in values.values()):
        raise ValueError("the number of fields differs from the header's")
    value = {name: (text or "").strip() for name, text in values.items()}
    external_tag = value["danbooru_tag"]
    title = (values["internal_tag_title"] or "") if value["internal_tag_title"] else ""
    if not external_tag:
        raise ValueError("danbooru_tag is empty")
    if len(external_tag) > _LONGEST_NAME:
        raise ValueError(f"danbooru_tag is longer than {_LONGEST_NAME} characters")
    if value["action"] not in tuple(MappingAction):
        raise ValueError(f"the action of {external_tag} is {value['action']!r}: use map or ignore")
    action = MappingAction(value["action"])
    if action is MappingAction.MAP and not title:
        raise ValueError(f"{external_tag} is to be mapped but names no internal_tag_title")
    if action is MappingAction.IGNORE and title:
        raise ValueError(f"{external_tag} is to be ignored but names the title {title!r}")
    return MappingRow(
        line=line,
        source=_source(value.get("source", "")),
        external_tag=external_tag,
        action=action,
        title=title or None,
        tag_type=_tag_type(value.get("internal_tag_type", "")),
        weight=_weight(value.get("weight", "")),
    )


def _source(text: str) -> str:
    if not text.isascii() or len(text) > _LONGEST_SOURCE:
        raise ValueError(f"the source {text!r} is not up to {_LONGEST_SOURCE} ASCII characters")
    return text or DEFAULT_SOURCE


def _tag_type(text: str) -> TagType | None:
    if not text:
        return None
    if text not in tuple(TagType):
        raise ValueError(f"the internal_tag_type {text!r} is none of {', '.join(TagType)}")
    return TagType(text)


def _weight(text: str) -> int:
    if not text:
        return SCORE_ONE
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    # Weights are kept in ten-thousandths: what rounds to 0 would hide the tag, so it is refused like 0.
    if not 0 < weight <= 1 or as_score(weight) == 0:
        raise ValueError(f"the weight {text!r} is not a number from 0.0001 to 1")
    return as_score(weight)
