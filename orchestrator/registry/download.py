"""Downloading large files that may not come in one piece, and knowing them again.

A file grows as `<file>.partial` and is taken only whole: as long as the server said, of the hash that it had
the first time. What was fetched once is remembered in `known_hashes.json`: no hash is invented, and a file
that changed at its source is refused until somebody says that it may.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from orchestrator.errors import Conflict, InvalidInput, TransientError
from orchestrator.registry.manifest import file_sha256

TRIES = 6
SPACE_FACTOR = 3
"""The file, its copy in the staging area, and the prepared graph."""

_HASHES = "known_hashes.json"
_FIRST_PAUSE = 0.5
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})

Progress = Callable[[str, int, int | None], None]
"""Takes a file's name, the bytes that are there, and how many it will be, where that is known."""


class DownloadFailed(TransientError):
    """The file did not come; what came is kept, and the next try goes on from there."""

    code = "download_failed"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is there. `first`: its hash was not known before."""

    path: Path
    sha256: str
    first: bool


def ignore(name: str, there: int, total: int | None) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class Downloader:
    """Brings files into `folder`, one after the other. `timeout`: seconds of silence before another try."""

    folder: Path
    timeout: float = 30.0
    first_pause: float = _FIRST_PAUSE
    progress: Progress = ignore

    def download(self, url: str, file: str, *, key: str, accept_changed: bool = False) -> Fetched:
        """Fetch `url` as `file`, going on where an earlier attempt ended. Blocks.

        `key`: what the hash is remembered under. Raises DownloadFailed when the tries are used up,
        InvalidInput (`no_such_file`, `not_allowed`, `not_a_model`, `disk_full`), Conflict (`file_changed`).
        """
        target = self.folder / file
        known = self._known().get(key)
        if known is not None and target.is_file() and file_sha256(target) == known:
            size = target.stat().st_size
            self.progress(file, size, size)
            return Fetched(target, known, first=False)
        partial = target.with_name(f"{file}.partial")
        pause, last = self.first_pause, ""
        timeout = httpx.Timeout(self.timeout)
        with httpx.Client(timeout=timeout, follow_redirects=True) as http:
            for attempt in range(TRIES):
                try:
                    if self._attempt(http, url, partial):
                        return self._take(partial, target, key, accept_changed=accept_changed)
                    last = "the connection was cut"
                except httpx.TransportError as error:
                    last = f"{type(error).__name__} {error}".strip()
                except _Passing as error:
                    last = str(error)
                if attempt < TRIES - 1:
                    time.sleep(pause)
                    pause *= 2
        raise DownloadFailed(
            f"{url}: {last}, after {TRIES} tries; run it again to go on from where it stopped"
        )

    def copy(self, source: Path, file: str, *, key: str, accept_changed: bool = False) -> Fetched:
        """Take a file that was brought here by hand; the same checks as for a download."""
        if not source.is_file():
            raise InvalidInput(f"{source} does not exist", code="no_such_file")
        self._expect_space(source.stat().st_size)
        partial = self.folder / f"{file}.partial"
        _metadata(partial).unlink(missing_ok=True)
        shutil.copyfile(source, partial)
        return self._take(partial, self.folder / file, key, accept_changed=accept_changed)

    def _attempt(self, http: httpx.Client, url: str, partial: Path) -> bool:
        """Fetch what is missing; whether all of it is there then."""
        have = partial.stat().st_size if partial.is_file() else 0
        etag = _metadata(partial).read_text() if have and _metadata(partial).is_file() else ""
        # Without a tag nobody could tell whether the rest is of the same file.
        headers = {"Accept-Encoding": "identity"}
        if have and etag:
            headers |= {"Range": f"bytes={have}-", "If-Range": etag}
        with http.stream("GET", url, headers=headers) as answer:
            if answer.status_code == 416:
                _forget(partial)
                return False
            _check_status(url, answer)
            resumed = answer.status_code == 206
            if not resumed:
                have = 0
            total = _total(answer, have)
            if total is not None:
                self._expect_space(total - have)
            _metadata(partial).write_text(answer.headers.get("ETag", ""))
            with partial.open("ab" if resumed else "wb") as stream:
                for data in answer.iter_raw():
                    stream.write(data)
                    have += len(data)
                    self.progress(partial.stem, have, total)
        if total is not None and have > total:
            _forget(partial)
        return total is None or have == total

    def _take(self, partial: Path, target: Path, key: str, *, accept_changed: bool) -> Fetched:
        """Make a whole file the file, if it is the one that is known."""
        with partial.open("rb") as stream:
            beginning = stream.read(256).lstrip().lower()
            os.fsync(stream.fileno())
        if beginning.startswith((b"<!doctype", b"<html", b"version https://git-lfs")):
            _forget(partial)
            raise InvalidInput(
                f"{target.name} is a page or a pointer, not the file: look at the address in a browser",
                code="not_a_model",
            )
        found = file_sha256(partial)
        known = self._known().get(key)
        if known is not None and known != found and not accept_changed:
            _forget(partial)
            raise Conflict(
                f"{target.name} is not the file it was: its SHA-256 is {found}, and it was {known}."
                " If its author says that it changed, say --accept-changed",
                code="file_changed",
            )
        partial.replace(target)
        _metadata(partial).unlink(missing_ok=True)
        self._remember(key, found)
        return Fetched(target, found, first=known is None)

    def _expect_space(self, missing: int) -> None:
        free = shutil.disk_usage(self.folder).free
        needed = missing * SPACE_FACTOR
        if free < needed:
            raise InvalidInput(
                f"{self.folder} has {free / 1e6:,.0f} MB free, and this needs about {needed / 1e6:,.0f} MB:"
                " the file, a copy of it while it is published, and the prepared graph",
                code="disk_full",
            )

    @property
    def _hashes(self) -> Path:
        return self.folder.parent / _HASHES

    def _known(self) -> dict[str, str]:
        if not self._hashes.is_file():
            return {}
        try:
            return dict(json.loads(self._hashes.read_text(encoding="utf-8")))
        except ValueError as error:
            raise Conflict(
                f"{self._hashes} is damaged ({error}): mend or delete it; hashes are recorded anew then",
                code="file_changed",
            ) from error

    def _remember(self, key: str, sha256: str) -> None:
        partial = self._hashes.with_name(f".{_HASHES}.partial")
        partial.write_text(json.dumps(self._known() | {key: sha256}, indent=2, sort_keys=True) + "\n")
        partial.replace(self._hashes)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only one who downloads into `folder`. Raises Conflict (`download_busy`)."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"somebody else is downloading into {folder}; wait for them", code="download_busy"
            ) from error
        yield


class _Passing(Exception):
    """The server cannot answer now."""


def _check_status(url: str, answer: httpx.Response) -> None:
    status = answer.status_code
    if status in (401, 403):
        raise InvalidInput(
            f"{url} wants to know who asks ({status}): download it by hand, then use --from",
            code="not_allowed",
        )
    if status in (404, 410):
        raise InvalidInput(f"{url} is not there ({status})", code="no_such_file")
    if status in _PASSING:
        raise _Passing(f"the server answers {status}")
    if status not in (200, 206):
        raise InvalidInput(f"{url} answers {status}", code="not_a_model")


def _total(answer: httpx.Response, have: int) -> int | None:
    """Return how long the whole file is, where the server says so."""
    if answer.status_code == 206:
        whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
        return int(whole) if whole.isdecimal() else None
    length = answer.headers.get("Content-Length", "")
    return have + int(length) if length.isdecimal() else None


def _metadata(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.etag")


def _forget(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _metadata(partial).unlink(missing_ok=True)
