"""Parts: files with the answers for some images of a work list, whole or not there.

`part-<shard>of<shards>-<part>.jsonl`: a header, a line for each image, and at the end their number and the
SHA-256 of all before. `.npz` has the same in arrays (`arrays`).
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from orchestrator.errors import InvalidInput
from orchestrator.offline.worklist import (
    LARGEST_ID,
    Line,
    Mark,
    Score,
    Sha256,
    Shard,
    WantedVersion,
    WorkList,
    read_line,
)

DAMAGED = "bad_part"
_NAME = re.compile(r"part-(\d+)of(\d+)-(\d+)\.(jsonl|npz)")
_TEMPORARY = ".new-part-"

Scores = tuple[list[int], list[int]]
"""Labels in rising order, and their scores in ten-thousandths."""


class Format(StrEnum):
    """How parts are written."""

    JSONL = "jsonl"
    NPZ = "npz"


class PartHeader(Line):
    """What a part answers. `work`: the list's digest; its further fields are as in the list."""

    tagdesk_part: Literal[1] = 1
    work: Sha256
    exported_at: Annotated[datetime, Field(strict=False)]
    floor: Score
    versions: Annotated[list[WantedVersion], Field(min_length=1)]
    shard: int = Field(ge=1)
    shards: int = Field(ge=1)
    part: int = Field(ge=1)
    parts: int = Field(ge=1)
    images: int = Field(ge=1)
    out_of_reach: int = Field(0, ge=0, description="images to be looked at by a run that has their pictures")

    @classmethod
    def of(cls, work: WorkList, shard: Shard, part: int, size: int) -> "PartHeader":
        """Return the header of a shard's part, where every part but the last has `size` images."""
        images = shard.size(work.images)
        return cls(
            work=work.digest,
            exported_at=work.header.exported_at,
            floor=work.header.floor,
            versions=work.header.versions,
            shard=shard.number,
            shards=shard.of,
            part=part,
            parts=-(-images // size),
            images=min(size, images - (part - 1) * size),
        )


class SeenImage(Line):
    """What the models saw in one image. `raw`: of each version of the header, in its order."""

    what: Literal["seen"] = "seen"
    id: int = Field(ge=1, le=LARGEST_ID)
    mark: Mark
    sha256: Sha256
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    has_alpha: bool
    media_type: str = Field(pattern=r"^image/[a-z+.-]{1,24}$")
    raw: list[Scores]


class UnseenImage(Line):
    """Why nobody saw one image. `out_of_reach`: its picture cannot be had on that host, which says nothing
    about the picture."""

    what: Literal["unseen"] = "unseen"
    id: int = Field(ge=1, le=LARGEST_ID)
    mark: Mark
    code: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    detail: str
    out_of_reach: bool = False


Outcome = SeenImage | UnseenImage
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Annotated[Outcome, Field(discriminator="what")])


class _End(Line):
    end: int
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class Part:
    """A part that was read and found whole."""

    header: PartHeader
    outcomes: tuple[Outcome, ...]


def damaged(detail: str) -> InvalidInput:
    """Return what is said of a part that cannot be used."""
    return InvalidInput(detail, code="bad_part")


def part_name(shard: Shard, part: int, form: Format) -> str:
    """Return the file's name of a shard's part."""
    return f"part-{shard.number}of{shard.of}-{part:06}.{form}"


def find_parts(folder: Path) -> list[Path]:
    """Return the parts in a folder by shard and number. Raises InvalidInput (`bad_part`) for one that was
    renamed, OSError."""
    found = sorted(path for path in folder.iterdir() if path.name.startswith("part-"))
    for path in found:
        if not _NAME.fullmatch(path.name):
            raise damaged(f"{path}: no part has such a name; remove it, or give it the name that it had")
    return found


def remove_unfinished(folder: Path, shard: Shard) -> None:
    """Remove what a killed run of a shard has left half written."""
    for path in folder.glob(f"{_TEMPORARY}{shard.number}of{shard.of}-*"):
        with suppress(FileNotFoundError):
            path.unlink()


def write_whole(path: Path, header: PartHeader, data: bytes) -> None:
    """Put a part into its place: all of it, on the disk, or nothing. Raises OSError."""
    prefix = f"{_TEMPORARY}{header.shard}of{header.shards}-"
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def to_lines(header: PartHeader, outcomes: Iterable[Outcome]) -> bytes:
    """Return a part as JSON lines."""
    lines = [header.model_dump_json(), *(one.model_dump_json() for one in outcomes)]
    data = "".join(f"{line}\n" for line in lines).encode()
    end = _End(end=len(lines) - 1, sha256=hashlib.sha256(data).hexdigest())
    return data + end.model_dump_json().encode() + b"\n"


def header_of_lines(path: Path) -> PartHeader:
    """Return a part's header alone. Raises InvalidInput (`bad_part`), OSError."""
    with path.open("rb") as file:
        return read_line(PartHeader, file.readline(), f"{path}, line 1", code=DAMAGED)


def read_lines(path: Path) -> Part:
    """Return a part that was written as JSON lines. Raises InvalidInput (`bad_part`), OSError."""
    lines = path.read_bytes().splitlines(keepends=True)
    header = read_line(PartHeader, lines[0] if lines else b"", f"{path}, line 1", code=DAMAGED)
    outcomes: list[Outcome] = []
    for number, line in enumerate(lines[1 : header.images + 1], start=2):
        where = f"{path}, line {number}"
        try:
            outcome = _OUTCOME.validate_json(line)
        except ValidationError as error:
            (first, *_) = error.errors(include_url=False, include_input=False)
            raise damaged(f"{where}: {first['msg']}") from error
        check(header, outcome, where)
        outcomes.append(outcome)
    last = header.images + 2
    if len(lines) != last:
        where = f"{path}, line {min(len(lines) + 1, last + 1)}"
        raise damaged(f"{where}: {'the part is cut' if len(lines) < last else 'something is behind the end'}")
    end = read_line(_End, lines[-1], f"{path}, line {last}", code=DAMAGED)
    if end.end != header.images or end.sha256 != hashlib.sha256(b"".join(lines[:-1])).hexdigest():
        raise damaged(f"{path}, line {last}: the part is not as it was written (sha256)")
    return Part(header, tuple(outcomes))


def check(header: PartHeader, outcome: Outcome, where: str) -> None:
    """Raise InvalidInput (`bad_part`) for scores that no version of the header can have given."""
    if isinstance(outcome, UnseenImage):
        return
    if len(outcome.raw) != len(header.versions):
        raise damaged(f"{where}: {len(outcome.raw)} answers of {len(header.versions)} versions")
    for version, (labels, scores) in zip(header.versions, outcome.raw, strict=True):
        if len(labels) != len(scores) or not _rise(labels, version.labels):
            raise damaged(f"{where}: labels that {version} does not have")
        if scores and not (header.floor <= min(scores) and max(scores) <= 10_000):
            raise damaged(f"{where}: scores of {version} that are none")


def _rise(labels: Sequence[int], count: int) -> bool:
    behind = [-1, *labels]
    return all(before < label for before, label in zip(behind, labels, strict=False)) and behind[-1] < count
