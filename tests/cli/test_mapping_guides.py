"""`tagdesk mappings` suggest, validate and coverage at a terminal."""

import json
from pathlib import Path

import pytest
from terminal import tagdesk, with_store

from orchestrator.records import MappingAction
from orchestrator.registry.register import register_folder
from orchestrator.settings import Settings
from orchestrator.store import mappings
from orchestrator.store.mappings import NewMapping


@pytest.fixture
def registered(installation: Settings) -> Settings:
    """The demo board with its general tagger registered."""
    with_store(installation, lambda store: register_folder(store, installation, "wd14", 1))
    return installation


def _store(settings: Settings, *rows: NewMapping) -> None:
    async def write(store):  # type: ignore[no-untyped-def]
        await store.write(lambda tx: mappings.upsert_many(tx, rows, actor_id=None))

    with_store(settings, write)


def test_what_is_suggested_can_be_imported(registered: Settings, tmp_path: Path) -> None:
    # Given a board where a name has lost its mapping
    with_store(
        registered, lambda store: store.write(lambda tx: mappings.delete_many(tx, [("danbooru", "smile")]))
    )
    # When tags are suggested into a file and the file is imported
    file = tmp_path / "new.csv"
    assert tagdesk("mappings", "suggest", str(file)).exit_code == 0
    assert "smile,smile,map,theme,1,danbooru,1.00,exact," in file.read_text()
    answer = tagdesk("mappings", "import", str(file), "--apply")
    # Then it is mapped again
    assert answer.exit_code == 0, answer.output
    names = {m.external_tag for m in with_store(registered, lambda s: s.read(mappings.load_all))}
    assert "smile" in names


def test_names_of_a_model_to_come_are_suggested_for(installation: Settings, tmp_path: Path) -> None:
    # Given the labels of a model that is not registered
    labels = tmp_path / "selected_tags.csv"
    labels.write_text("tag_id,name,category,count\n1,general,9,5\n2,eyes_closed,0,5\n3,zzz,0,5\n")
    # When tags are suggested for them
    answer = tagdesk("mappings", "suggest", "--labels", str(labels))
    # Then word order is seen through, and the rest left out
    assert "eyes_closed,closed eyes,map,theme,1,danbooru,0.90" in answer.output
    assert "zzz" not in answer.output
    assert "2 external tags have no mapping; 1 are proposed one" in answer.output


def test_validation_ends_with_a_status_for_programs(registered: Settings, tmp_path: Path) -> None:
    # Given the demo board's mappings, two of which lead to aliases
    aliased = tagdesk("mappings", "validate")
    assert (aliased.exit_code, aliased.output.count("tag_is_alias")) == (1, 2), aliased.output
    # When they are made to lead to what is meant, Then nothing is wrong
    file = tmp_path / "mended.csv"
    file.write_text(
        "danbooru_tag,internal_tag_title,action\nglasses,glasses,map\nwhite_hair,white hair,map\n"
    )
    tagdesk("mappings", "import", str(file), "--apply", "--replace")
    clean = tagdesk("mappings", "validate")
    assert (clean.exit_code, "nothing is wrong" in clean.output) == (0, True), clean.output
    # Given a mapping that no model speaks of
    _store(registered, NewMapping("danbooru", "gone_for_good", MappingAction.IGNORE, None))
    # When they are validated, Then it is named, and the status says so
    answer = tagdesk("mappings", "validate", "--json")
    assert answer.exit_code == 1
    assert [(one["external_tag"], one["fault"]) for one in json.loads(answer.output)] == [
        ("gone_for_good", "unknown_name")
    ]
    assert "gone_for_good" in tagdesk("mappings", "validate").output


def test_coverage_is_a_table_and_json(registered: Settings) -> None:
    # When coverage is asked for before anything was analysed
    shown = tagdesk("mappings", "coverage", "--limit", "1")
    told = json.loads(tagdesk("mappings", "coverage", "--json", "--limit", "1").stdout)
    # Then the names are shared out, and there are no predictions yet
    assert shown.exit_code == 0, shown.output
    assert "raw predictions" in shown.output
    assert told["names"]["mapped"] > 0
    assert told["raw"] == {"mapped": 0, "ignored": 0, "unmapped": 0}
    assert len(told["unmapped"]) <= 1


def test_history_says_what_was_before(registered: Settings, tmp_path: Path) -> None:
    # Given a mapping that is changed, then removed
    file = tmp_path / "new.csv"
    file.write_text("danbooru_tag,internal_tag_title,action,weight\nsmile,frown,map,0.5\n")
    tagdesk("mappings", "import", str(file), "--apply", "--replace")
    with_store(
        registered, lambda store: store.write(lambda tx: mappings.delete_many(tx, [("danbooru", "smile")]))
    )
    # When its history is asked for
    told = json.loads(tagdesk("mappings", "history", "smile", "--json").stdout)
    # Then each change is there, the newest first, and what it was made from
    assert [
        (one["before"] and one["before"]["title"], one["after"] and one["after"]["title"]) for one in told
    ] == [
        ("frown", None),
        ("smile", "frown"),
        (None, "smile"),
    ]
    assert "frown × 0.5" in tagdesk("mappings", "history", "smile").output
