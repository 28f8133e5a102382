"""Reading import files: CSV or JSON Lines, plain or gzipped, row by row and by line number."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, NamedTuple

from orchestrator.errors import InvalidInput

Value = str | int | None
Values = Mapping[str, Value]

_LONGEST_FIELD = 1 << 20


class Kind(StrEnum):
    """What a file has rows of, in the order in which kinds are imported."""

    TAGS = "tags"
    USERS = "users"
    IMAGES = "images"
    LINKS = "links"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a kind. One of each of `required` must be there."""

    required: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...]

    @property
    def known(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self.optional).union(*self.required)


COLUMNS: Mapping[Kind, Columns] = {
    Kind.TAGS: Columns((("external_id",), ("title",), ("type",)), ("alias_of", "parent")),
    Kind.USERS: Columns((("external_id",), ("name",)), ("role",)),
    Kind.IMAGES: Columns(
        (("external_id",), ("url", "path"), ("uploader",)), ("sha256", "uploaded_at", "status")
    ),
    Kind.LINKS: Columns((("image",), ("tag",)), ("by",)),
}


class BadBoardFile(InvalidInput):
    """A file cannot be read at all, or has rows that cannot be imported."""

    code = "bad_board_file"


class Row(NamedTuple):  # there are millions, and a dataclass takes thrice as long to make
    """A row as it stands in a file. `problem`: why it is none; `values` are then of no use.

    A column that is not there is not in `values`; an empty one is "" or None.
    """

    line: int
    values: Values
    problem: str | None = None


def open_text(path: Path) -> IO[str]:
    """Open a file, unpacked if its name ends in .gz. Raises BadBoardFile."""
    try:
        if path.suffix == ".gz":
            return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise BadBoardFile(f"{path}: {error.strerror}") from error


def digest(path: Path) -> bytes:
    """Return the SHA-256 of a file's bytes. Raises BadBoardFile."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise BadBoardFile(f"{path}: {error.strerror}") from error


def read(kind: Kind, path: Path) -> Iterator[Row]:
    """Yield the rows of a file in order; empty lines are none. Raises BadBoardFile when it cannot be read."""
    name = path.name.removesuffix(".gz")
    reader = {".csv": _read_csv, ".jsonl": _read_jsonl}.get(Path(name).suffix)
    if reader is None:
        raise BadBoardFile(f"{path}: its name ends neither in .csv nor in .jsonl, with or without .gz")
    with open_text(path) as text:
        try:
            yield from reader(COLUMNS[kind], path, text)
        except UnicodeDecodeError as error:
            raise BadBoardFile(f"{path}, line {_not_text(path)}: this is no UTF-8: {error.reason}") from error
        except (gzip.BadGzipFile, EOFError) as error:
            raise BadBoardFile(f"{path}: cannot be unpacked: {error}") from error


def _not_text(path: Path) -> int:
    """Return the first line that is no UTF-8; readers are some lines ahead of what they give."""
    number = 0
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):  # noqa: B007
            try:
                line.decode()
            except UnicodeDecodeError:
                break
    return number


def _read_csv(columns: Columns, path: Path, text: IO[str]) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(text, strict=True)
    try:
        header = tuple(next(reader, ()))
        _check_header(columns, path, header)
        behind = reader.line_num
        for fields in reader:
            line, behind = behind + 1, reader.line_num
            if len(fields) == len(header):
                yield Row(line, dict(zip(header, fields, strict=True)))
            elif fields:
                found = f"{len(fields)} fields, the header has {len(header)}"
                yield Row(line, {}, f"{found}: put quotes around a field that has a comma or a line break")
    except csv.Error as error:
        raise BadBoardFile(f"{path}, line {reader.line_num}: this is no CSV: {error}") from error


def _check_header(columns: Columns, path: Path, header: tuple[str, ...]) -> None:
    wrong = [
        f"there is no column {' or '.join(names)}" for names in columns.required if not _has(names, header)
    ]
    wrong += [f"the column {name!r} is unknown" for name in header if name not in columns.known]
    wrong += [f"the column {name} stands twice" for name in sorted(columns.known) if header.count(name) > 1]
    if wrong:
        raise BadBoardFile(f"{path}, line 1: {'; '.join(wrong)}; known are {_names(columns)}")


def _has(names: tuple[str, ...], header: tuple[str, ...]) -> bool:
    return any(name in header for name in names)


def _names(columns: Columns) -> str:
    return ", ".join([" or ".join(names) for names in columns.required] + list(columns.optional))


def _read_jsonl(columns: Columns, path: Path, text: IO[str]) -> Iterator[Row]:
    known = columns.known
    for line, content in enumerate(text, start=1):
        if not content.strip():
            continue
        try:
            values = json.loads(content)
        except ValueError as error:
            yield Row(line, {}, f"this is no JSON: {error}")
            continue
        if not isinstance(values, dict):
            yield Row(line, {}, "this is no JSON object: write {…} with a row's values, one a line")
        elif not values.keys() <= known:
            unknown = ", ".join(sorted(values.keys() - known))
            yield Row(line, {}, f"unknown: {unknown}; known are {_names(columns)}")
        else:
            yield Row(line, values)
