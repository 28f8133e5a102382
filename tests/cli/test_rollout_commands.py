"""`tagdesk models shadow`, `promote`, `rollback` and `retire`, as an engineer at a terminal meets them."""

import json

from small_board import version
from terminal import tagdesk, with_store

from orchestrator.records import VersionState
from orchestrator.settings import Settings
from orchestrator.store import models, shadows
from orchestrator.store.transaction import Transaction


def test_the_only_version_is_neither_promoted_nor_taken_back_nor_retired(looking: Settings) -> None:
    assert "wd14 1 is active" in tagdesk("models", "promote", "wd14", "1").output
    assert json.loads(tagdesk("models", "promote", "wd14", "1", "--json").stdout)["before"] is None
    for command, says in (
        (("rollback", "wd14"), "no version to go back to"),
        (("retire", "wd14", "1"), "wd14 1 is active"),
        (("shadow", "wd14", "1", "--share", "10%"), "it looks at every image"),
        (("shadow", "wd14", "1", "--share", "a tenth"), "no share"),
        (("promote", "wd14", "2"), "no version 2"),
    ):
        answer = tagdesk("models", *command)
        assert answer.exit_code != 0
        assert says in f"{answer.output} {answer.exception}"


def test_a_list_says_what_a_shadow_has_seen_and_why_it_waits(looking: Settings) -> None:
    async def shadow(tx: Transaction) -> None:
        version_id = await models.insert_version(tx, version(number=7), state=VersionState.STAGED)
        await shadows.begin(tx, version_id, 1250)
        await shadows.hold_back(tx, version_id, "live images wait")

    with_store(looking, lambda store: store.write(shadow))
    shown = tagdesk("models", "list").output
    assert "12.5 %, 0 images, waits: live images wait" in " ".join(shown.split())
    (found,) = [one for one in json.loads(tagdesk("models", "list", "--json").stdout) if one["version"] == 7]
    assert (found["shadow"]["share"], found["shadow"]["held_back"]) == (1250, "live images wait")
    assert "looks no more" in tagdesk("models", "shadow", "wd14", "7", "--stop").output
