"""A worse version is caught before it does harm and a better one gets through, told on the demo board."""

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from orchestrator.demo.rollout import MIN_IMAGES, MODEL, REASON, Rollout
from orchestrator.demo.run import Demo
from orchestrator.local.stack import Stack
from orchestrator.records import VersionState
from orchestrator.settings import load_settings
from orchestrator.store import audit, consistency, models
from orchestrator.store.unit_of_work import Store

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("whole-path")]


async def promotions(store: Store, version: int) -> list[dict[str, Any]]:
    """What the audit log says of a version's promotions."""
    acts = await store.read(lambda tx: audit.of(tx, f"{MODEL}/{version}"))
    return [json.loads(act.detail) for act in acts if act.action == "model.promoted"]


async def test_two_labels_mixed_up_are_refused_and_the_right_head_passes(installation: Stack) -> None:
    # Given a demo board with its pictures
    settings, told = load_settings(), StringIO()
    console = Console(file=told, width=200)
    await Demo(installation, settings, console).run(MIN_IMAGES + 4)
    store = await Store.connect(settings)
    try:
        before = {row.version for row in await store.read(models.list_versions) if row.name == MODEL}
        # When a head that was fitted with two labels swapped is tried, and then the right one
        await Rollout(installation, settings, store, console).tell()
        # Then the one was refused on what people decided, and came into use by force alone; the other passed
        rows = {row.version: row for row in await store.read(models.list_versions) if row.name == MODEL}
        worse, better = sorted(rows.keys() - before)
        (forced,) = await promotions(store, worse)
        (passed,) = await promotions(store, better)
        assert forced["reason"] == REASON
        assert "F1 against people's verdicts" in forced["forced"][0]
        assert "forced" not in passed
        assert rows[better].state is VersionState.ACTIVE
        assert (rows[worse].state, rows[worse].loaded) == (VersionState.RETIRED, True)
        # And the story says so, and no invariant of the reviews is broken
        assert all(word in told.getvalue() for word in ("refused", "forced", "promoted"))
        assert await store.read(consistency.violations) == ()
    finally:
        await store.close()
