"""Uploaded pictures as files, named by their SHA-256: written once, never changed.

Synchronous: call from a thread. `blob_dir/ab/cd…` where `abcd…` is the key.
"""

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path

from orchestrator.errors import FetchError, TransientError
from orchestrator.images.codes import FetchCode, UnavailableCode

_KEY = re.compile(r"[0-9a-f]{64}")


def store_blob(blob_dir: Path, data: bytes) -> str:
    """Keep `data` durably and return its key, its SHA-256 in hex. The same bytes are kept once.

    Raises TransientError `blob_unavailable` when the disk is full or refuses.
    """
    key = hashlib.sha256(data).hexdigest()
    path = blob_path(blob_dir, key)
    try:
        if path.is_file() and path.stat().st_size == len(data):
            return key
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(path, data)
    except OSError as error:
        detail = f"the picture could not be kept: {error.strerror or error}"
        raise TransientError(detail, code=UnavailableCode.BLOB_UNAVAILABLE.value) from error
    return key


def read_blob(blob_dir: Path, key: str) -> bytes:
    """Return a blob's bytes, checked against its key.

    Raises FetchError `blob_missing` or `blob_corrupt`, TransientError `blob_unavailable` on an I/O error.
    """
    try:
        data = blob_path(blob_dir, key).read_bytes()
    except FileNotFoundError as error:
        raise FetchError(f"there is no blob {key}", code=FetchCode.BLOB_MISSING.value) from error
    except OSError as error:
        detail = f"the blob could not be read: {error.strerror or error}"
        raise TransientError(detail, code=UnavailableCode.BLOB_UNAVAILABLE.value) from error
    if hashlib.sha256(data).hexdigest() != key:
        raise FetchError(f"the blob {key} has changed", code=FetchCode.BLOB_CORRUPT.value)
    return data


def blob_path(blob_dir: Path, key: str) -> Path:
    """Return where the blob `key` is or would be. Raises FetchError `blob_missing` for no valid key."""
    if not _KEY.fullmatch(key):
        raise FetchError("a blob's key is a SHA-256 in hex", code=FetchCode.BLOB_MISSING.value)
    return blob_dir / key[:2] / key[2:]


def _write_atomically(path: Path, data: bytes) -> None:
    """Write beside, flush to the disk, rename, flush the folder: a reader sees all of it or nothing."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
