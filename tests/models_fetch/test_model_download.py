"""Downloads that are cut, corrupted, redirected and stalled end with the file that was meant, or a reason."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from unreliable_server import (
    Server,
    corrupt,
    cut,
    ignore_ranges,
    page,
    redirect,
    serving,
    stall,
    status,
    too_long,
)

from orchestrator.errors import Conflict, InvalidInput
from orchestrator.registry.download import TRIES, Downloader, DownloadFailed, alone_in

DATA = random.Random(7).randbytes(300_000)
KEY = "somebody/tagger/model.onnx"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        state.files["/model.onnx"] = DATA
        yield state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads" / "tagger"
    folder.mkdir(parents=True)
    return folder


def download(server: Server, folder: Path, *, accept_changed: bool = False) -> Path:
    downloader = Downloader(folder, timeout=0.5, first_pause=0.001)
    fetched = downloader.download(
        f"{server.url}/model.onnx", "model.onnx", key=KEY, accept_changed=accept_changed
    )
    assert not list(folder.glob("*.partial*"))
    return fetched.path


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [cut(100_000)],
        [cut(100_000), cut(50_000), cut(1)],
        [status(503), status(429)],
        [stall],
        [cut(100_000), stall],
        [cut(100_000), ignore_ranges],
        [cut(0)],
        [too_long],
    ],
    ids=[
        "well served",
        "cut",
        "cut again and again",
        "busy",
        "stalled",
        "cut, then stalled",
        "cut, then without ranges",
        "cut before the first byte",
        "longer than it said",
    ],
)
def test_the_whole_file_comes_in_the_end(server: Server, folder: Path, faults: list) -> None:
    server.faults.extend(faults)
    assert download(server, folder).read_bytes() == DATA


def test_a_cut_download_goes_on_where_it_stopped(server: Server, folder: Path) -> None:
    server.faults.extend([cut(100_000), cut(50_000)])
    download(server, folder)
    assert [wanted for _, wanted in server.asked] == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server: Server, folder: Path) -> None:
    server.faults.extend([cut(100_000), *[status(503)] * (TRIES - 1)])
    with pytest.raises(DownloadFailed, match="run it again"):
        download(server, folder)
    assert download(server, folder).read_bytes() == DATA
    assert server.asked[-1] == ("/model.onnx", "bytes=100000-")


def test_a_file_that_changed_in_between_is_begun_anew(server: Server, folder: Path) -> None:
    # Given half of one file, and another one in its place now
    other = DATA[::-1]

    def change(handler: object, data: bytes) -> None:
        cut(100_000)(handler, data)  # type: ignore[arg-type]
        server.files["/model.onnx"], server.etag = other, '"two"'

    server.faults.append(change)
    # When the download goes on, then nothing of the first is in it
    assert download(server, folder).read_bytes() == other


def test_redirects_to_another_address_are_followed_with_the_range(server: Server, folder: Path) -> None:
    with serving() as elsewhere:
        elsewhere.files["/blob"] = DATA
        elsewhere.faults.append(cut(100_000))
        server.faults.extend([redirect(f"{elsewhere.url}/blob?signed=1")] * 2)
        assert download(server, folder).read_bytes() == DATA
        assert [wanted for _, wanted in elsewhere.asked] == [None, "bytes=100000-"]


def test_the_hash_is_noted_first_and_enforced_after(server: Server, folder: Path) -> None:
    path = download(server, folder)
    assert KEY in json.loads((folder.parent / "known_hashes.json").read_text())
    # And what is there and right is not fetched again
    asked = len(server.asked)
    download(server, folder)
    assert len(server.asked) == asked
    # But what comes otherwise is refused, and the right one stays away until it comes
    path.unlink()
    server.faults.append(corrupt)
    with pytest.raises(Conflict, match="is not the file it was") as caught:
        download(server, folder)
    assert caught.value.code == "file_changed"
    assert not path.exists()
    assert download(server, folder).read_bytes() == DATA


def test_a_changed_file_is_taken_when_somebody_says_so(server: Server, folder: Path) -> None:
    download(server, folder).unlink()
    server.files["/model.onnx"] = DATA[::-1]
    assert download(server, folder, accept_changed=True).read_bytes() == DATA[::-1]
    server.asked.clear()
    assert download(server, folder).read_bytes() == DATA[::-1]
    assert server.asked == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [(status(404), "no_such_file"), (status(401), "not_allowed"), (page, "not_a_model")],
    ids=["not there", "not for everybody", "a page"],
)
def test_what_cannot_succeed_is_not_tried_again(
    server: Server, folder: Path, fault: object, code: str
) -> None:
    server.faults.append(fault)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput) as caught:
        download(server, folder)
    assert (caught.value.code, len(server.asked)) == (code, 1)
    assert not (folder / "model.onnx").exists()


def test_a_full_disk_is_noticed_before_it_is_full(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=500_000))
    with pytest.raises(InvalidInput, match="MB free") as caught:
        download(server, folder)
    assert caught.value.code == "disk_full"


def test_files_brought_by_hand_pass_the_same_checks(server: Server, folder: Path, tmp_path: Path) -> None:
    download(server, folder)
    brought = tmp_path / "stick"
    brought.mkdir()
    (brought / "model.onnx").write_bytes(DATA)
    downloader = Downloader(folder)
    assert not downloader.copy(brought / "model.onnx", "model.onnx", key=KEY).first
    (brought / "model.onnx").write_bytes(DATA[::-1])
    with pytest.raises(Conflict):
        downloader.copy(brought / "model.onnx", "model.onnx", key=KEY)
    assert (folder / "model.onnx").read_bytes() == DATA
    with pytest.raises(InvalidInput):
        downloader.copy(brought / "nothing", "model.onnx", key=KEY)


def test_two_downloads_into_one_folder_do_not_mix(folder: Path) -> None:
    with alone_in(folder):
        with pytest.raises(Conflict) as caught, alone_in(folder):
            pytest.fail("nobody should get here")
        assert caught.value.code == "download_busy"
    with alone_in(folder):
        pass
