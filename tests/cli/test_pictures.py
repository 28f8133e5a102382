"""Pictures from the command line: analysed, registered, tried again."""

import json
from pathlib import Path

import pytest
from PIL import Image
from terminal import tagdesk, with_store

from orchestrator.demo.people import load_people
from orchestrator.demo.portraits.files import write_portraits
from orchestrator.records import ImageFailure, ImageState
from orchestrator.settings import Settings
from orchestrator.store import images
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three portraits and a text file that calls itself a picture."""
    folder = tmp_path / "mine"
    write_portraits(folder, 3)
    (folder / "text.png").write_text("no picture at all")
    return folder


@pytest.fixture
def uploader(installation: Settings, tmp_path: Path) -> str:
    """The name of somebody whose images they can be."""
    with_store(installation, lambda store: load_people(store, tmp_path / "tokens.json"))
    return "uploader"


def test_a_folder_is_analysed_and_nothing_is_stored(looking: Settings, folder: Path) -> None:
    # When a folder is analysed as JSON
    answer = tagdesk("analyze", str(folder), "--json")
    # Then every picture has its line: three with suggestions, the text file with its reason
    found = [json.loads(line) for line in answer.output.splitlines() if line.startswith("{")]
    assert [Path(one["picture"]).name for one in found] == sorted(file.name for file in folder.iterdir())
    assert all(one["suggestions"] for one in found[:3])
    assert found[3]["error"]["code"] == "not_an_image"
    assert answer.exit_code == 1
    # And no image came to be
    assert with_store(looking, lambda store: store.read(images.list_images)) == []


def test_what_was_drawn_is_among_the_tags(looking: Settings, tmp_path: Path) -> None:
    # Given a portrait with blue eyes and one with green hair, as the drawing script says
    portraits = write_portraits(tmp_path / "drawn", 12)
    for label, title in (("blue_eyes", "blue eyes"), ("green_hair", "green hair")):
        portrait = next(one for one in portraits if label in one.labels)
        # When it is analysed
        found = json.loads(tagdesk("analyze", str(portrait.path), "--json").output)
        # Then the board's tag for it is suggested
        assert title in [one["tag"] for one in found["suggestions"]]


def test_a_contact_sheet_shows_the_pictures(looking: Settings, folder: Path, tmp_path: Path) -> None:
    # When a sheet is asked for
    sheet = tmp_path / "sheet.png"
    table = tagdesk("analyze", str(folder), "--show", str(sheet)).output
    # Then the table names the pictures, and the sheet has a tile for each that is one
    assert "portrait-000.jpg" in table
    assert "not a picture" in table
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"
        assert picture.width > 2.5 * picture.height


def test_what_is_neither_file_nor_url_is_named(installation: Settings) -> None:
    answer = tagdesk("analyze", "no-such-picture.png")
    assert answer.exit_code == 2
    assert "no-such-picture.png" in answer.output


def test_pictures_are_registered_for_a_user(installation: Settings, folder: Path, uploader: str) -> None:
    # When a folder is registered behind everything else
    answer = tagdesk("images", "add", str(folder), "--uploader", uploader, "--backfill")
    assert answer.exit_code == 0, answer.output
    # Then its pictures wait for their analysis, copied
    stored = with_store(installation, lambda store: store.read(images.list_images))
    assert [image.state for image in stored] == [ImageState.QUEUED] * 4
    assert {image.uploader_name for image in stored} == {uploader}
    assert all((installation.blob_dir / image.source.location[:2]).exists() for image in stored)
    # And one can be looked at
    assert "queued" in tagdesk("images", "show", str(stored[0].id)).output


def test_failures_are_counted_by_reason_and_tried_again(
    installation: Settings, folder: Path, uploader: str
) -> None:
    # Given two images that failed for one reason, and one for another
    tagdesk("images", "add", str(folder), "--uploader", uploader)
    ids = sorted(image.id for image in with_store(installation, lambda store: store.read(images.list_images)))

    async def fail(store: Store) -> None:
        async def work(tx: Transaction) -> None:
            for image, code in zip(
                await images.claim(tx, ids[:3], lease=60),
                ("not_found", "not_found", "truncated"),
                strict=True,
            ):
                await images.finish_failed(tx, image.id, image.token, ImageFailure(code, "why"))

        await store.write(work)

    with_store(installation, fail)
    # When an operator asks why
    reasons = tagdesk("images", "failures").output
    # Then each reason is counted
    assert [("not_found" in line, " 2 " in line) for line in reasons.splitlines() if "not_found" in line] == [
        (True, True)
    ]
    assert "truncated" in reasons
    # When one reason is tried again
    assert "asked for 2 images" in tagdesk("images", "retry", "--reason", "not_found").output
    # Then those images wait again, with attempts afresh, and the other one stays failed
    stored = {
        image.id: image for image in with_store(installation, lambda store: store.read(images.list_images))
    }
    assert [stored[i].state for i in ids[:3]] == [ImageState.QUEUED, ImageState.QUEUED, ImageState.FAILED]
    assert stored[ids[0]].attempts == 0


def test_unknown_uploaders_are_refused_before_anything_is_stored(
    installation: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tagdesk("images", "add", str(folder), "--uploader", "nobody").exit_code != 0
    assert with_store(installation, lambda store: store.read(images.list_images)) == []


def test_the_doctor_finds_a_healthy_installation(looking: Settings) -> None:
    # When everything is there
    answer = tagdesk("doctor")
    # Then the doctor says so, part by part
    assert answer.exit_code == 0, answer.output
    for subject in ("schema", "clock", "redis", "model wd14 1", "model custom_theme 1", "mappings", "disk"):
        assert f"{subject} " in answer.output
    assert "fail" not in answer.output.replace("failed", "")


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("TAGDESK_DATABASE_URL", "mysql+asyncmy://nobody:x@127.0.0.1:1/none", "cannot be reached"),
        ("TAGDESK_TRITON_URL", "127.0.0.1:1", "does not answer"),
        ("TAGDESK_REDIS_URL", "redis://127.0.0.1:1/0", "does not answer"),
        ("TAGDESK_BLOB_DIR", "no/such/folder", "is no folder"),
    ],
)
def test_the_doctor_names_what_is_wrong(
    looking: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    # Given an installation with one thing wrong
    monkeypatch.setenv(variable, value)
    # When the doctor looks
    answer = tagdesk("doctor")
    # Then it fails, says what is wrong and names what to mend
    assert answer.exit_code == 1
    assert complaint in answer.output
    assert variable in answer.output


def test_the_doctor_misses_models(installation: Settings) -> None:
    answer = tagdesk("doctor")
    assert answer.exit_code == 1
    assert "tagdesk models register" in answer.output
