"""Looking on another host, from the command line: export, infer without any settings, ingest."""

import json
import os
import subprocess
import sys
from pathlib import Path

from terminal import tagdesk, with_store

from orchestrator.demo.people import load_people
from orchestrator.demo.portraits.files import write_portraits
from orchestrator.demo.setup import MODELS
from orchestrator.registry.register import register_folder
from orchestrator.settings import Settings
from orchestrator.store import images, suggestions


def test_a_list_goes_to_another_host_and_comes_back(installation: Settings, tmp_path: Path) -> None:
    # Given three portraits and a text that nobody has looked at, and the demonstration models
    folder = tmp_path / "mine"
    write_portraits(folder, 3)
    (folder / "text.png").write_text("no picture at all")
    with_store(installation, lambda store: load_people(store, tmp_path / "tokens.json"))
    for name, version in MODELS:
        with_store(
            installation,
            lambda store, name=name, version=version: register_folder(store, installation, name, version),
        )
    assert tagdesk("images", "add", str(folder), "--uploader", "uploader", "--backfill").exit_code == 0
    # When they are exported
    work, parts = tmp_path / "work.jsonl", tmp_path / "parts"
    exported = tagdesk("backfill", "export", "--where", "all", "--out", str(work))
    assert exported.exit_code == 0, exported.output
    assert "4 images" in exported.output
    # and looked at where nothing of the installation is in the environment
    blobs = {"TAGDESK_BLOB_DIR": str(installation.blob_dir), "PATH": os.environ["PATH"]}
    program = str(Path(sys.executable).with_name("tagdesk"))
    command = [program, "infer", str(work), "--out", str(parts)]
    command += ["--model-repository", str(installation.model_repository), "--format", "npz"]
    looked = subprocess.run(command, env=blobs, capture_output=True, text=True, check=False)
    assert looked.returncode == 0, looked.stderr
    assert "4 images were looked at" in looked.stdout
    assert "1 failed: not_an_image" in looked.stdout
    # and taken in, twice
    first = tagdesk("backfill", "ingest", str(parts), "--json")
    again = tagdesk("backfill", "ingest", str(parts))
    # Then they have their suggestions, and the summaries say what became of them
    summary = json.loads(first.output.splitlines()[-1])
    assert (summary["stored"], summary["failed"], summary["failures"]) == (3, 1, {"not_an_image": 1})
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "already there" in again.output
    for image in with_store(installation, lambda store: store.read(images.list_images)):
        found = with_store(
            installation,
            lambda store, image=image: store.read(lambda tx: suggestions.for_image(tx, image.id)),
        )
        assert bool(found) == (image.failure is None)


def test_what_is_said_wrongly_is_answered(installation: Settings, tmp_path: Path) -> None:
    # No images said, a shard that there is not, a folder without parts
    assert tagdesk("backfill", "export", "--out", str(tmp_path / "work.jsonl")).exit_code == 2
    work = tmp_path / "work.jsonl"
    work.write_text("{}")
    options = ("--out", str(tmp_path / "parts"), "--model-repository", str(tmp_path))
    shard = tagdesk("infer", str(work), *options, "--shard", "3/2")
    assert shard.exit_code == 2
    assert "no shard" in shard.output
    empty = tagdesk("backfill", "ingest", str(tmp_path))
    assert getattr(empty.exception, "code", "") == "no_parts"
