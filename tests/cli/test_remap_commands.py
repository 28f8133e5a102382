"""`tagdesk remap`, as an engineer at a terminal meets it."""

import json

from terminal import tagdesk, with_store

from orchestrator.remapper import Remapper
from orchestrator.settings import Settings


def test_a_re_map_is_looked_at_started_watched_and_ended(installation: Settings) -> None:
    # When somebody only looks, with or without saying `start`
    for command in (("start",), ("start", "--all"), ("--all",), ("--tags", "smile")):
        looked = tagdesk("remap", *command, "--dry-run")
        assert (looked.exit_code, "of 0 images 0 would change" in looked.output) == (0, True), looked.output
    assert "say what to re-map" in tagdesk("remap", "--dry-run").output
    assert "either --all" in tagdesk("remap", "--all", "--tags", "smile").output
    assert "there are no re-maps" in tagdesk("remap", "status").output
    # When one is started, it can be paused and resumed
    assert "re-map 1 has begun" in tagdesk("remap", "start", "--tag", "smile").output
    assert "paused" in tagdesk("remap", "pause", "1").output
    assert "running" in tagdesk("remap", "resume", "1").output
    # And when the keeper has worked on it, it is done and cannot be cancelled
    with_store(installation, lambda store: Remapper(installation, store).work())
    (line,) = tagdesk("remap", "status", "--json").output.splitlines()
    assert json.loads(line)["state"] == "done"
    assert "tags" in tagdesk("remap", "status").output
    assert tagdesk("remap", "cancel", "1").exit_code == 1


def test_what_there_is_not_is_named(installation: Settings) -> None:
    for option, unknown in (("--tags", "nobody"), ("--images", "4711")):
        answer = tagdesk("remap", option, unknown)
        assert answer.exit_code == 1
        assert unknown in str(answer.exception)
