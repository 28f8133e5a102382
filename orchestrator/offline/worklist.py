"""Work lists: which images another host shall look at, and with which graphs. JSON, a line each.

The first line says what is wanted, the last one how many images there are; so a list that was cut is noticed.
Nothing secret is in it.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, BinaryIO, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import InvalidInput
from orchestrator.records import SCORE_ONE, Geometry, ImageSource, SourceKind

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Mark = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Score = Annotated[int, Field(ge=0, le=SCORE_ONE)]
LARGEST_ID = 2**63 - 1

L = TypeVar("L", bound=BaseModel)


class Line(BaseModel):
    """A line of a file that hosts exchange: nothing unknown, nothing converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class WantedVersion(Line):
    """A version that shall look. `sha256`: of the graph that is served; `labels`: how many it has."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    version: int = Field(ge=1)
    sha256: Sha256
    labels: int = Field(ge=1)
    size: int = Field(ge=1, le=2048)
    pad_colour: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos"]

    @property
    def geometry(self) -> Geometry:
        """How pictures become its squares."""
        red, green, blue = self.pad_colour
        return Geometry(self.size, (red, green, blue), self.filter)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class WorkHeader(Line):
    """`exported_at`: by the database's clock, RFC 3339. `floor`: lower scores are not kept."""

    tagdesk_work: Literal[1] = 1
    exported_at: Annotated[datetime, Field(strict=False)]
    floor: Score
    versions: Annotated[list[WantedVersion], Field(min_length=1)]


class WorkImage(Line):
    """An image to look at. `sha256`: of its bytes, where they are known."""

    id: int = Field(ge=1, le=LARGEST_ID)
    kind: Annotated[SourceKind, Field(strict=False)]
    location: str = Field(min_length=1)
    sha256: Sha256 | None = None

    @property
    def source(self) -> ImageSource:
        """Where its bytes are."""
        return ImageSource(self.kind, self.location)


class _End(Line):
    end: int = Field(ge=0)


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` shares of a list: every `of`-th image, from the `number`-th on."""

    number: int
    of: int

    def size(self, images: int) -> int:
        """Return how many of so many images are in it."""
        return max(0, (images - self.number) // self.of + 1)


WHOLE = Shard(1, 1)


def mark_of(source: ImageSource) -> str:
    """Return what tells sources apart: answers are for an image of this source only."""
    return hashlib.sha256(f"{source.kind}:{source.location}".encode()).hexdigest()[:16]


def read_line(kind: type[L], text: bytes, where: str, *, code: str) -> L:
    """Return a line as a record of its kind. Raises InvalidInput (`code`), which begins with `where`."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False, include_input=False)
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{where}: {place + ': ' if place else ''}{first['msg']}", code=code) from error


class WorkWriter:
    """Writes a work list beside its place and puts it there when all of it is on the disk."""

    def __init__(self, path: Path, header: WorkHeader) -> None:
        self._path = path
        self._images = 0
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-", suffix=".jsonl")
        self._temporary = Path(name)
        self._file: BinaryIO = os.fdopen(descriptor, "wb")
        self._write(header)

    def add(self, image: WorkImage) -> None:
        """Add an image."""
        self._images += 1
        self._write(image)

    def _write(self, line: Line) -> None:
        self._file.write(line.model_dump_json().encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                self._write(_End(end=self._images))
                self._file.flush()
                os.fsync(self._file.fileno())
        if error is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink()


@dataclass(frozen=True, slots=True)
class WorkList:
    """A work list that was read through once. `digest`: the file's SHA-256 in hex tells lists apart."""

    path: Path
    header: WorkHeader
    images: int
    digest: str

    @classmethod
    def open(cls, path: Path) -> "WorkList":
        """Read a list through. Raises InvalidInput (`bad_work_list`), naming the line; OSError."""
        digest, images, end = hashlib.sha256(), 0, None
        with path.open("rb") as file:
            header = read_line(WorkHeader, file.readline(), f"{path}, line 1", code="bad_work_list")
            file.seek(0)
            for number, line in enumerate(file, start=1):
                digest.update(line)
                if number == 1:
                    continue
                where = f"{path}, line {number}"
                if end is not None:
                    raise _bad(f"{where}: there is something behind the end")
                if line.startswith(b'{"end"'):
                    end = read_line(_End, line, where, code="bad_work_list").end
                else:
                    read_line(WorkImage, line, where, code="bad_work_list")
                    images += 1
        if end != images:
            raise _bad(f"{path}, line {images + 2}: the list is cut; copy it again")
        return cls(path, header, images, digest.hexdigest())

    def of(self, shard: Shard) -> Iterator[WorkImage]:
        """Yield a shard's images in their order."""
        with self.path.open("rb") as file:
            file.readline()
            for number in range(self.images):
                line = file.readline()
                if number % shard.of == shard.number - 1:
                    yield WorkImage.model_validate_json(line)


def _bad(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="bad_work_list")
