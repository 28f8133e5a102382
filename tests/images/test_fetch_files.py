"""Pictures by path and by blob: only what lies below a root; only what was stored, unchanged."""

import hashlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import FetchError, TransientError
from orchestrator.images.blobs import blob_path, read_blob, store_blob
from orchestrator.images.codes import FetchCode, UnavailableCode
from orchestrator.images.fetch import ImageFetcher, read_file
from orchestrator.records import FetchedImage, ImageSource, SourceKind
from orchestrator.settings import Settings

BODY = b"some bytes"


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(BODY)
    (tmp_path / "secret.png").write_bytes(b"secret")
    return folder


def refused(path: object, root: Path, *, limit: int = 1000) -> str:
    with pytest.raises(FetchError) as refusal:
        read_file(str(path), (root,), limit)
    return refusal.value.code


def test_a_file_below_a_root(root) -> None:
    assert read_file(str(root / "a.png"), (root,), 1000) == BODY
    assert read_file(str(root / "x" / ".." / "a.png"), (Path("/nowhere"), root), 1000) == BODY


def test_files_elsewhere_are_refused_whether_they_exist_or_not(root) -> None:
    assert refused(root / ".." / "secret.png", root) == FetchCode.PATH_REFUSED
    assert refused(root.parent / "secret.png", root) == FetchCode.PATH_REFUSED
    assert refused("/etc/passwd", root) == FetchCode.PATH_REFUSED
    assert refused("/no/such/file", root) == FetchCode.PATH_REFUSED
    assert refused("a.png", root) == FetchCode.PATH_REFUSED
    assert refused(f"{root}-neighbour/a.png", root) == FetchCode.PATH_REFUSED


def test_without_roots_no_path_is_read(root) -> None:
    with pytest.raises(FetchError) as refusal:
        read_file(str(root / "a.png"), (), 1000)
    assert refusal.value.code == FetchCode.PATH_REFUSED


def test_links_count_as_what_they_point_to(root) -> None:
    (root / "out.png").symlink_to(root.parent / "secret.png")
    (root / "in.png").symlink_to(root / "a.png")

    assert refused(root / "out.png", root) == FetchCode.PATH_REFUSED
    assert read_file(str(root / "in.png"), (root,), 1000) == BODY


def test_a_root_may_itself_be_a_link(root) -> None:
    linked = root.parent / "linked"
    linked.symlink_to(root)

    assert read_file(str(linked / "a.png"), (linked,), 1000) == BODY


def test_what_is_no_readable_file(root) -> None:
    os.mkfifo(root / "pipe")
    (root / "round").symlink_to(root / "round")

    assert refused(root / "missing.png", root) == FetchCode.NOT_FOUND
    assert refused(root, root) == FetchCode.PATH_REFUSED
    assert refused(root / "pipe", root) == FetchCode.PATH_REFUSED
    assert refused(root / "round", root) == FetchCode.PATH_UNREADABLE
    assert refused(f"{root}/a\0.png", root) == FetchCode.PATH_UNREADABLE
    assert refused(root / "a.png" / "b", root) == FetchCode.PATH_UNREADABLE
    assert refused(root / ("x" * 300), root) == FetchCode.PATH_UNREADABLE


def test_a_file_over_the_limit(root) -> None:
    assert refused(root / "a.png", root, limit=len(BODY) - 1) == FetchCode.TOO_LARGE
    assert read_file(str(root / "a.png"), (root,), len(BODY)) == BODY


def test_a_blob_is_kept_once_under_its_hash(tmp_path) -> None:
    key, again = store_blob(tmp_path / "blobs", BODY), store_blob(tmp_path / "blobs", BODY)

    assert key == again == hashlib.sha256(BODY).hexdigest()
    assert read_blob(tmp_path / "blobs", key) == BODY
    assert [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [key[2:]]


def test_a_blob_cut_short_by_a_crash_is_written_anew(tmp_path) -> None:
    key = store_blob(tmp_path, BODY)
    blob_path(tmp_path, key).write_bytes(BODY[:3])

    assert store_blob(tmp_path, BODY) == key
    assert read_blob(tmp_path, key) == BODY


def test_a_blob_that_changed_or_never_was(tmp_path) -> None:
    key = store_blob(tmp_path, BODY)
    blob_path(tmp_path, key).write_bytes(b"other bits")

    for wanted, code in [
        (key, FetchCode.BLOB_CORRUPT),
        ("0" * 64, FetchCode.BLOB_MISSING),
        ("../../etc/passwd", FetchCode.BLOB_MISSING),
        ("", FetchCode.BLOB_MISSING),
    ]:
        with pytest.raises(FetchError) as refusal:
            read_blob(tmp_path, wanted)
        assert refusal.value.code == code


@pytest.fixture
def full_disk() -> Iterator[None]:
    """The kernel refuses every file over a hundred bytes, as a full disk refuses the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_worth_another_try_and_leaves_nothing(tmp_path, full_disk) -> None:
    with pytest.raises(TransientError) as refusal:
        store_blob(tmp_path, bytes(1000))

    assert refusal.value.code == UnavailableCode.BLOB_UNAVAILABLE
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.anyio
async def test_the_fetcher_reads_paths_and_blobs(root, tmp_path) -> None:
    settings = Settings.model_validate(
        {
            "database_url": "mysql+asyncmy://unused/unused",
            "redis_url": "redis://unused",
            "triton_url": "unused:1",
            "model_repository": tmp_path,
            "blob_dir": tmp_path / "blobs",
            "image_roots": str(root),
        }
    )
    key = store_blob(tmp_path / "blobs", BODY)

    async with ImageFetcher(settings) as fetcher:
        by_path = await fetcher.fetch(ImageSource(SourceKind.PATH, str(root / "a.png")))
        by_blob = await fetcher.fetch(ImageSource(SourceKind.BLOB, key))

    assert by_path == by_blob == FetchedImage(BODY, key)
