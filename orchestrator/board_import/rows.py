"""What a row of a file says, checked for itself: pure, and quick, for there are millions."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from orchestrator.board_import.files import Kind, Value, Values
from orchestrator.records import (
    TITLE_LENGTH,
    Eligibility,
    ImageSource,
    Role,
    SourceKind,
    TagType,
)
from orchestrator.review.tag_edits import KEEP, Keep

_LARGEST_ID = 2**63 - 1
_LONGEST_NAME = 100
_LONGEST_LOCATION = 2048
_E = TypeVar("_E", TagType, Role, Eligibility)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class BadRow(ValueError):
    """Why a row cannot be imported, and what to do."""


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag. `alias_of`, `parent`: external ids, None for none, KEEP for a column that is not there."""

    line: int
    external_id: int
    title: str
    type: TagType
    alias_of: int | Keep | None
    parent: int | Keep | None


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user. `role`: None keeps the one that there is, and is `uploader` for somebody new."""

    line: int
    external_id: int
    name: str
    role: Role | None


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image. `uploader`: the user's external id. What is None is kept as it is; a new image is active and
    was uploaded now. `uploaded_at` in UTC, without saying so."""

    line: int
    external_id: int
    source: ImageSource
    uploader: int
    sha256: bytes | None
    uploaded_at: datetime | None
    eligibility: Eligibility | None


class LinkRow(NamedTuple):  # as `Row`
    """A tag on an image, all by external ids. `by`: who put it there, if that is known."""

    line: int
    image: int
    tag: int
    by: int | None


AnyRow = TagRow | UserRow | ImageRow | LinkRow


@dataclass(frozen=True, slots=True)
class Parser:
    """Reads rows; `roots`: the folders that images may lie in."""

    roots: Sequence[Path] = ()

    def of(self, kind: Kind) -> Callable[[int, Values], AnyRow]:
        """Return the reader of a kind's rows: of line number and values. It raises BadRow."""
        readers: Mapping[Kind, Callable[[int, Values], AnyRow]] = {
            Kind.TAGS: _tag,
            Kind.USERS: _user,
            Kind.IMAGES: self._image,
            Kind.LINKS: _link,
        }
        return readers[kind]

    def _image(self, line: int, values: Values) -> ImageRow:
        status = _text(values, "status")
        sha256 = _text(values, "sha256")
        if sha256 and not _SHA256.fullmatch(sha256):
            raise BadRow(f"sha256 is {sha256!r}: write 64 hexadecimal digits, or nothing")
        return ImageRow(
            line,
            _id(values, "external_id"),
            self._source(_text(values, "url"), _text(values, "path")),
            _id(values, "uploader"),
            bytes.fromhex(sha256) if sha256 else None,
            _moment(_text(values, "uploaded_at")),
            _one_of(Eligibility, "status", status) if status else None,
        )

    def _source(self, url: str, path: str) -> ImageSource:
        if bool(url) == bool(path):
            raise BadRow("say where the picture is: by url or by path, not both")
        if len(url or path) > _LONGEST_LOCATION:
            raise BadRow(f"the {'url' if url else 'path'} has more than {_LONGEST_LOCATION} characters")
        if url:
            if not _is_fetchable(url):
                raise BadRow(
                    f"the url is {url[:80]!r}: only http and https, with a host, without credentials"
                )
            return ImageSource(SourceKind.URL, url)
        if not self._is_below_a_root(path):
            raise BadRow(f"the path {path[:80]!r} is not below a folder of TAGDESK_IMAGE_ROOTS")
        return ImageSource(SourceKind.PATH, path)

    def _is_below_a_root(self, path: str) -> bool:
        """Whether a path leads below a root as it is written; whether it does really, the fetch decides."""
        if not Path(path).is_absolute() or "\0" in path:
            return False
        plain = Path(os.path.normpath(path))
        return any(plain.is_relative_to(root) for root in self.roots)


def _tag(line: int, values: Values) -> TagRow:
    title = _raw_text(values, "title")
    if not title.strip() or len(title) > TITLE_LENGTH:
        raise BadRow(f"the title is {title[:40]!r}: a title has 1 to {TITLE_LENGTH} characters")
    return TagRow(
        line,
        _id(values, "external_id"),
        title,
        _one_of(TagType, "type", _text(values, "type")),
        _id_or_none(values, "alias_of") if "alias_of" in values else KEEP,
        _id_or_none(values, "parent") if "parent" in values else KEEP,
    )


def _user(line: int, values: Values) -> UserRow:
    name = _text(values, "name")
    if not name or len(name) > _LONGEST_NAME:
        raise BadRow(f"the name is {name[:40]!r}: a user's name has 1 to {_LONGEST_NAME} characters")
    role = _text(values, "role")
    return UserRow(line, _id(values, "external_id"), name, _one_of(Role, "role", role) if role else None)


def _link(line: int, values: Values) -> LinkRow:
    return LinkRow(line, _id(values, "image"), _id(values, "tag"), _id_or_none(values, "by"))


def _id(values: Values, name: str) -> int:
    found = _id_or_none(values, name)
    if found is None:
        raise BadRow(f"{name} is missing: write the board's id, a number")
    return found


def _id_or_none(values: Values, name: str) -> int | None:
    value: Value = values.get(name)
    if value is None or value == "":
        return None
    if type(value) is str and value.isascii() and value.isdigit():
        value = int(value) if len(value) < len("9223372036854775808") + 1 else _LARGEST_ID + 1
    if type(value) is not int or not 0 < value <= _LARGEST_ID:
        raise BadRow(f"{name} is {str(value)[:40]!r}: write the board's id, a number above 0")
    return value


def _raw_text(values: Values, name: str) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRow(f"{name} is {value!r}: write it as text, in quotes")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadRow(f"{name} has half a character (a lone surrogate): write it whole") from None
    return value


def _text(values: Values, name: str) -> str:
    return _raw_text(values, name).strip()


def _one_of(choices: type[_E], name: str, text: str) -> _E:
    try:
        return choices(text)
    except ValueError:
        raise BadRow(f"{name} is {text[:40]!r}: write one of {', '.join(choices)}") from None


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise BadRow(
            f"uploaded_at is {text[:40]!r}: write 2026-01-31T12:00:00, in UTC or with a zone"
        ) from None


def _is_fetchable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    web = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    return web and url.isprintable() and " " not in url
