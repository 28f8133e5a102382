"""`tagdesk thresholds`, `tagdesk models priority` and `raw`, as an engineer at a terminal meets it."""

import json

from terminal import tagdesk, with_store

from orchestrator.demo.setup import MODELS
from orchestrator.registry.register import register_folder
from orchestrator.settings import Settings

WD14 = ("wd14", "1")


def said(*arguments: str) -> str:
    answer = tagdesk("thresholds", *arguments)
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return answer.output


def test_thresholds_are_looked_at_said_and_taken_back(installation: Settings) -> None:
    with_store(installation, lambda store: register_folder(store, installation, *("wd14", 1)))
    # When somebody looks first, Then nothing changes
    looked = said("preview", *WD14, "0.9", "--tag", "smile")
    assert "of 1 thresholds: 0 pending suggestions would come, 0 would go" in looked
    assert "smile" not in said("list", *WD14)
    # When a label, a category and a tag are said, Then the list shows it
    assert "smile: default → 0.9" in said("set", *WD14, "0.9", "--tag", "smile")
    assert "all character: default → off" in said("set", *WD14, "off", "--category", "character")
    assert "so already" in said("set", *WD14, "0.9", "--label", "smile")
    shown = said("list", *WD14)
    assert "by people: 0.9" in shown
    everything = json.loads(said("list", *WD14, "--all", "--json"))
    floors = {one["label"]["name"]: one["floor"] for one in everything["labels"]}
    assert floors["smile"] == 9000
    # And back, by number or at once
    (_, first) = json.loads(said("history", *WD14, "--json"))
    assert "smile: 0.9 → default" in said("clear", *WD14, "--label", "smile")
    assert "smile: default → 0.9" in said("rollback", *WD14)
    assert "all character: off → default" in said("rollback", *WD14, "--to", str(first["act"]["id"]))
    assert f"back to {first['act']['id']}" in said("history", *WD14)
    assert "would come" in said("preview", *WD14, "--back-to", "0", "--every-image")


def test_mistakes_are_explained(installation: Settings) -> None:
    for arguments, why in (
        (("set", *WD14, "0.5"), "say of what"),
        (("set", *WD14, "much", "--label", "smile"), "is no score"),
        (("set", *WD14, "1.5", "--label", "smile"), "is no score"),
    ):
        answer = tagdesk("thresholds", *arguments)
        assert (answer.exit_code, why in answer.output) == (2, True), answer.output
    for arguments, why in (
        (("set", *WD14, "0.5", "--tag", "nobody"), "no tag is called 'nobody'"),
        (("list", *WD14), "no version 1 of wd14"),
    ):
        assert why in str(tagdesk("thresholds", *arguments).exception)


def test_priorities_are_looked_at_said_and_taken_back(installation: Settings) -> None:
    for model in MODELS:
        with_store(installation, lambda store, model=model: register_folder(store, installation, *model))

    def priority(*arguments: str) -> str:
        answer = tagdesk("models", "priority", *arguments)
        assert answer.exit_code == 0, (answer.output, answer.exception)
        return answer.output

    assert "custom_theme, wd14" in priority("list")
    assert "0 get other scores" in priority("set", "wd14", "--tag", "smile", "--dry-run")
    said_so = priority("set", "wd14", "custom_theme", "--type", "character", "--tag", "smile")
    assert "all of type character: nothing → wd14, custom_theme" in said_so
    assert "so already" in priority("set", "wd14", "custom_theme", "--tag", "smile")
    assert "smile: wd14, custom_theme → nothing" in priority("clear", "--tag", "smile")
    assert "smile: nothing → wd14, custom_theme" in priority("rollback")
    assert len(json.loads(priority("list", "--json"))["rules"]) == 2
    priority("rollback", "--to", "0")
    assert "back to 0" in priority("history")
    assert json.loads(priority("list", "--json"))["rules"] == []
    assert tagdesk("models", "priority", "set", "wd14").exit_code == 2
    nobody = tagdesk("models", "priority", "set", "wd14", "--tag", "nobody")
    assert "no tag is called 'nobody'" in str(nobody.exception)


def test_raw_predictions_are_listed_and_their_policy_is_said(installation: Settings) -> None:
    with_store(installation, lambda store: register_folder(store, installation, *MODELS[0]))

    def raw(*arguments: str, expected: int = 0) -> str:
        answer = tagdesk("models", "raw", *arguments)
        assert answer.exit_code == expected, (answer.output, answer.exception)
        return answer.output

    assert "wd14" in raw()
    (shown,) = json.loads(raw("list", "--json"))["versions"]
    assert (shown["policy"], shown["bytes"]) == ("keep", 0)
    assert "is active" in str(tagdesk("models", "raw", "keep", *WD14, "--drop", "-y").exception)
    # When nobody says yes, nothing changes
    asked = raw("keep", *WD14, "--newest", "10", "--force", expected=1)
    assert "wd14 1 is active" in asked
    assert "by force" not in raw("list")
    forced = raw("keep", *WD14, "--newest", "10", "--force", "--yes")
    assert "of the newest 10 images, by force" in forced
    assert "all; there are" in raw("keep", *WD14)
    assert "either --newest or --drop" in raw("keep", *WD14, "--newest", "1", "--drop", expected=2)
