"""How a version's files enter the repository: made ready beside it, moved in at once, and out again.

Everything of one attempt lies in `<repository>/.staging/<token>/`, on the same file system, with a journal
that is written before anything is moved. Whoever holds the model's lock can therefore bring back what was
there before an attempt that died, at any point of it.

    .staging/<token>/journal.json       what is being done, and the config.pbtxt of before
    .staging/<token>/<name>/<N>/        the version while it is made ready
    .staging/<token>/dropped/           a dropped folder as it was, while its prepared self is in its place
"""

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.errors import InvalidInput
from orchestrator.registry.config import CONFIG_NAME
from orchestrator.registry.manifest import MANIFEST_NAME, Manifest, file_inside

STAGING = ".staging"
READY, REFUSED = "READY", "REFUSED.txt"

_JOURNAL = "journal.json"
_DROPPED = "dropped"
_COMPANIONS = ("*.md", "LICENSE*", "NOTICE*")
# The server may run as another user, in a container: what it serves must be readable for it.
_FOLDER_MODE, _FILE_MODE = 0o755, 0o644


class _Journal(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    version: int
    dropped: bool
    config_before: str | None


@dataclass(frozen=True, slots=True)
class Staging:
    """One attempt to bring a version into a repository. Its methods may be repeated after a crash."""

    repository: Path
    token: str
    journal: _Journal

    @classmethod
    def begin(cls, repository: Path, manifest: Manifest, source: Path, *, dropped: bool) -> Self:
        """Copy what the manifest vouches for from `source` beside the repository.

        `dropped`: `source` is the version's own folder in the repository. Raises ManifestError when a file
        is missing, OSError.
        """
        config = repository / manifest.name / CONFIG_NAME
        journal = _Journal(
            name=manifest.name,
            version=manifest.version,
            dropped=dropped,
            config_before=config.read_text(encoding="utf-8") if config.is_file() else None,
        )
        staging = cls(repository, secrets.token_hex(8), journal)
        staging._root.mkdir(parents=True, mode=_FOLDER_MODE)
        _write(staging._root / _JOURNAL, journal.model_dump_json())
        try:
            staging._fill(manifest, source)
        except BaseException:
            staging.undo()
            raise
        return staging

    @classmethod
    def left_behind(cls, repository: Path) -> list[Self]:
        """Return the attempts that lie there, under way or dead: only their lock tells which."""
        found = []
        for path in sorted((repository / STAGING).glob(f"*/{_JOURNAL}")):
            try:
                journal = _Journal.model_validate_json(path.read_text(encoding="utf-8"))
            except (OSError, ValidationError):
                continue  # the journal itself was cut off: nothing had been moved by then
            found.append(cls(repository, path.parent.name, journal))
        return found

    @property
    def _root(self) -> Path:
        return self.repository / STAGING / self.token

    @property
    def folder(self) -> Path:
        """The version while it is made ready."""
        return self._root / self.journal.name / str(self.journal.version)

    @property
    def place(self) -> Path:
        """The version's place in the repository."""
        return self.repository / self.journal.name / str(self.journal.version)

    def enter(self, config: str) -> None:
        """Move the version into its place, with the model's config.pbtxt. Raises OSError."""
        _synchronise(self.folder)
        if self.journal.dropped:
            self.place.rename(self._root / _DROPPED)
        self.place.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        self.folder.rename(self.place)
        if config != self.journal.config_before:
            _write(self.place.parent / CONFIG_NAME, config)

    def keep(self) -> None:
        """The version is in use: forget how it came."""
        shutil.rmtree(self._root, ignore_errors=True)

    def undo(self) -> None:
        """Bring the repository back to what it was before `begin`."""
        model = self.place.parent
        if self.place.exists() and not self.folder.exists() and not self._untouched():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.place.rename(self.folder)
        dropped = self._root / _DROPPED
        if dropped.exists() and not self.place.exists():
            dropped.rename(self.place)
        config = model / CONFIG_NAME
        if self.journal.config_before is not None:
            if not config.exists() or config.read_text(encoding="utf-8") != self.journal.config_before:
                _write(config, self.journal.config_before)
        else:
            config.unlink(missing_ok=True)
        if model.is_dir() and not any(model.iterdir()):
            model.rmdir()
        shutil.rmtree(self._root, ignore_errors=True)

    def _untouched(self) -> bool:
        """Whether what is in place was there before: an attempt that was cut off while copying."""
        return self.journal.dropped and not (self._root / _DROPPED).exists()

    def _fill(self, manifest: Manifest, source: Path) -> None:
        self.folder.mkdir(parents=True, mode=_FOLDER_MODE)
        companions = [path.name for pattern in _COMPANIONS for path in source.glob(pattern)]
        wanted = {part.file for part in manifest.files()} | set(companions)
        for name in sorted(wanted):
            original, copy = file_inside(source, name), self.folder / name
            copy.parent.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
            shutil.copyfile(original, copy)
            copy.chmod(_FILE_MODE)
        _write(self.folder / MANIFEST_NAME, manifest.to_json())


def remove_folder(repository: Path, name: str, version: int) -> None:
    """Take a version's folder out of the repository, in one step for whoever looks at it. Raises OSError."""
    place = repository / name / str(version)
    if place.exists():
        grave = repository / STAGING / f"removed-{secrets.token_hex(8)}"
        grave.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        place.rename(grave)
        shutil.rmtree(grave)


def newest_folder(repository: Path, name: str) -> int:
    """Return the highest version number among a model's folders; 0 for none."""
    numbers = [int(path.name) for path in (repository / name).glob("*") if path.name.isdecimal()]
    return max(numbers, default=0)


def source_folder(source: Path) -> Path:
    """Return the folder that `source`, a folder or a file in it, speaks of. Raises InvalidInput."""
    folder = source if source.is_dir() else source.parent
    if not source.exists():
        raise InvalidInput(f"{source} does not exist", code="no_such_file")
    if not (folder / MANIFEST_NAME).is_file():
        raise InvalidInput(
            f"{folder} has no {MANIFEST_NAME}: `tagdesk models init {source}` writes one", code="no_manifest"
        )
    return folder


def _write(path: Path, text: str) -> None:
    """Write a file in one step and for good."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.chmod(_FILE_MODE)
    partial.replace(path)


def _synchronise(folder: Path) -> None:
    """Bring a folder's files to the disk: a half-written model must not outlive a power cut as a whole."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
