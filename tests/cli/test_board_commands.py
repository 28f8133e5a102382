"""`tagdesk board import`, as an operator at a terminal meets it."""

import gzip
import json
from pathlib import Path

import pytest
from terminal import tagdesk

from orchestrator.settings import Settings

USERS = "external_id,name,role\n1,mira,uploader\n"
TAGS = "external_id,title,type,alias_of\n900001,lanterns at sea,theme,\n900002,sea lanterns,theme,900001\n"
IMAGES = "external_id,url,uploader\n1,https://board.example/1.jpg,1\n2,https://board.example/2.jpg,1\n"
LINKS = '{"image": 1, "tag": 900001, "by": 1}\n{"image": 2, "tag": 900002}\n'


@pytest.fixture
def export(installation: Settings, tmp_path: Path) -> Path:
    """A folder as a board would export it."""
    folder = tmp_path / "export"
    folder.mkdir()
    for name, text in (("users.csv", USERS), ("tags.csv", TAGS), ("images.csv", IMAGES)):
        (folder / name).write_text(text)
    (folder / "links.jsonl.gz").write_bytes(gzip.compress(LINKS.encode()))
    return folder


def test_a_folder_is_checked_imported_and_found_again(export: Path) -> None:
    # When somebody only asks
    looked = tagdesk("board", "import", str(export), "--check", "--json")
    assert looked.exit_code == 0, looked.output
    # Then nothing is stored
    assert "900001" not in tagdesk("mappings", "export").output
    # When it is imported
    first = tagdesk("board", "import", str(export))
    assert first.exit_code == 0, first.output
    again = tagdesk("board", "import", str(export), "--json")
    # Then a table says so, and the second time all was there
    assert "links" in first.stdout
    assert json.loads(again.stdout) == {
        kind: {"rows": rows, "bad": 0, "new": 0, "existing": rows, "changed": 0, "refused": 0}
        for kind, rows in (("tags", 2), ("users", 1), ("images", 2), ("links", 2))
    }
    # And what was imported can be analysed
    assert "2 images" in tagdesk("backfill", "start", "--where", "state=imported", "--dry-run").output


def test_bad_rows_are_named_and_end_with_a_status(export: Path) -> None:
    (export / "images.csv").write_text(IMAGES + "3,https://board.example/3.jpg,7\n")
    for arguments in (("--check",), ()):
        refused = tagdesk("board", "import", str(export), *arguments)
        assert refused.exit_code == 1
        assert "images.csv, line 4: uploader is 7: nobody has that external id" in refused.stderr
    left_out = tagdesk("board", "import", str(export), "--skip-bad", "--json")
    assert left_out.exit_code == 0, left_out.output
    assert json.loads(left_out.stdout)["images"]["refused"] == 1
    assert "images.csv.rejects.jsonl" in {path.name for path in export.iterdir()}


def test_what_to_import_must_be_said(export: Path) -> None:
    assert "say which files" in tagdesk("board", "import").output
    assert "has no tags" in str(tagdesk("board", "import", str(export.parent)).exception)
    (export / "tags.jsonl").write_text("")
    assert "tags.csv and tags.jsonl" in str(tagdesk("board", "import", str(export)).exception)
    named = tagdesk("board", "import", "--users", str(export / "users.csv"), "--as", "nobody")
    assert "no user is called 'nobody'" in str(named.exception)
