"""The command line, as a person at a terminal meets it."""

import csv
from pathlib import Path

import pytest
from terminal import tagdesk, with_store

from orchestrator import accounts
from orchestrator.cli import app as command_line
from orchestrator.demo.board import FOLDER
from orchestrator.records import Role
from orchestrator.settings import Settings
from orchestrator.store import mappings


def test_every_command_teaches() -> None:
    # When help is asked for, of the whole and of each group
    for arguments in (
        (),
        ("mappings",),
        ("models",),
        ("backfill",),
        ("remap",),
        ("review",),
        ("users",),
        ("tokens",),
        ("mappings", "import"),
        ("demo",),
    ):
        answer = tagdesk(*arguments, "--help")
        # Then there is some
        assert answer.exit_code == 0
        assert "Usage" in answer.output


def test_an_import_shows_first_and_writes_when_told(installation: Settings, tmp_path: Path) -> None:
    # Given a file with a new mapping
    file = tmp_path / "new.csv"
    file.write_text("danbooru_tag,internal_tag_title,action\nholding,outdoors,map\n")
    before = with_store(installation, lambda store: store.read(mappings.load_all))
    # When it is imported without --apply
    shown = tagdesk("mappings", "import", str(file))
    # Then it is shown and nothing is written
    assert shown.exit_code == 0, shown.output
    assert "holding" in shown.output
    assert "--apply" in shown.output
    assert with_store(installation, lambda store: store.read(mappings.load_all)) == before
    # When it is imported with --apply
    assert "1 mappings written" in tagdesk("mappings", "import", str(file), "--apply").output
    # Then it is there
    after = with_store(installation, lambda store: store.read(mappings.load_all))
    assert {m.external_tag for m in after} - {m.external_tag for m in before} == {"holding"}


def test_an_unknown_title_stops_all_of_a_file(installation: Settings, tmp_path: Path) -> None:
    # Given a file with a good line and one whose title is misspelt
    file = tmp_path / "new.csv"
    file.write_text("danbooru_tag,internal_tag_title,action\nholding,outdoors,map\ncup,outdors,map\n")
    before = with_store(installation, lambda store: store.read(mappings.load_all))
    # When it is to be applied
    answer = tagdesk("mappings", "import", str(file), "--apply")
    # Then the line is named and nothing was written; the dry run names the nearest title
    assert answer.exit_code == 1
    assert "line 3" in answer.output
    assert with_store(installation, lambda store: store.read(mappings.load_all)) == before
    assert "nearest: outdoors" in tagdesk("mappings", "import", str(file)).output


def test_existing_mappings_are_kept_unless_replacing_is_asked_for(
    installation: Settings, tmp_path: Path
) -> None:
    def smile() -> int | None:
        stored = with_store(installation, lambda store: store.read(mappings.load_all))
        return next(m.tag_id for m in stored if m.external_tag == "smile")

    # Given a file that maps a mapped tag otherwise
    file = tmp_path / "new.csv"
    file.write_text("danbooru_tag,internal_tag_title,action\nsmile,frown,map\n")
    was = smile()
    # When it is applied, it is kept; with --replace it is changed
    tagdesk("mappings", "import", str(file), "--apply")
    assert smile() == was
    tagdesk("mappings", "import", str(file), "--apply", "--replace")
    assert smile() != was


def test_what_is_exported_is_what_was_imported(installation: Settings, tmp_path: Path) -> None:
    # When the mappings are exported
    file = tmp_path / "out.csv"
    assert tagdesk("mappings", "export", str(file)).exit_code == 0
    # Then they are those of the demo board's file
    with file.open() as exported, (FOLDER / "mappings.csv").open() as original:
        columns = ("danbooru_tag", "internal_tag_title", "action")
        wanted = {tuple(row[name] for name in columns) for row in csv.DictReader(original)}
        assert {tuple(row[name] for name in columns) for row in csv.DictReader(exported)} == wanted
    # And importing them again would change nothing
    again = tagdesk("mappings", "import", str(file)).output
    assert f"0 new, {len(wanted)} there already, 0 that differ" in again


def test_an_export_to_nowhere_is_one_message(installation: Settings, tmp_path: Path) -> None:
    # When mappings are exported into a folder that is not there
    answer = tagdesk("mappings", "export", str(tmp_path / "missing" / "out.csv"))
    # Then the command says so and leaves with the status of a wrong argument, not with a traceback
    assert answer.exit_code == 2
    assert "No such file or directory" in answer.output


def test_a_user_is_created_and_signs_in(installation: Settings) -> None:
    # When an operator creates a user and issues a token
    assert tagdesk("users", "create", "mira", "--role", "moderator").exit_code == 0
    token = tagdesk("tokens", "issue", "mira").output.strip()
    # Then the token is good for that role
    user = with_store(installation, lambda store: accounts.authenticate(store, token))
    assert (user.name, user.role) == ("mira", Role.MODERATOR)
    # And worthless once it is revoked
    assert tagdesk("tokens", "revoke", token).exit_code == 0
    assert tagdesk("tokens", "revoke", token).exit_code != 0


def test_models_are_registered_once_and_listed(installation: Settings) -> None:
    for _ in range(2):
        assert "wd14 1 is active" in tagdesk("models", "register", "wd14", "1").output
    listed = tagdesk("models", "list").output
    assert listed.count("wd14") == 1


def test_what_goes_wrong_is_said_in_a_line(
    installation: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # When somebody asks for what is not there
    monkeypatch.setattr("sys.argv", ["tagdesk", "models", "register", "wd14", "99"])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    # Then the command says so and fails, without a traceback
    assert end.value.code == 1
    assert "Traceback" not in capsys.readouterr().err


def test_missing_settings_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given an environment that names a database and nothing else
    monkeypatch.setenv("TAGDESK_DATABASE_URL", "mysql+asyncmy://nobody@127.0.0.1:1/none")
    monkeypatch.setattr("sys.argv", ["tagdesk", "models", "list"])
    # When a command is run
    with pytest.raises(SystemExit):
        command_line.main()
    # Then each missing variable is named
    said = capsys.readouterr().err
    assert "TAGDESK_REDIS_URL" in said
    assert "TAGDESK_TRITON_URL" in said
