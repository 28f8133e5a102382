"""Statistics over HTTP."""

from typing import Any

import pytest
from queue_board import fill
from serving import Api, assert_problem
from small_board import SmallBoard

from orchestrator.records import Role
from orchestrator.review.statistics import Summer

pytestmark = pytest.mark.anyio

STATISTICS = "/api/v1/tag-suggestions/stats"


async def shown(api: Api, **parameters: object) -> dict[str, Any]:
    response = await api.get(STATISTICS, Role.MODERATOR, params=parameters)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_how_much_was_decided_and_how(api: Api, board: SmallBoard) -> None:
    """Given verdicts, when the keeper has summed them up, then each view tells them apart and says the
    approval rate without the explorations, and until then that it is behind."""
    smiles = await fill(board, [9500, 9100, 4000])
    explored = await fill(board, [3000], exploration=True)
    hair = await fill(board, [9500], "hair")
    for decision, ids in (("approve", [smiles[0], *explored]), ("reject", smiles[1:2]), ("approve", hair)):
        body = {"decisions": [{"suggestion_id": one, "version": 1, "decision": decision} for one in ids]}
        assert (await api.post("/api/v1/tag-suggestions/review", json=body)).status_code == 200

    behind = await shown(api)
    assert (behind["waiting"], behind["items"][0]["decided"], behind["items"][0]["approval_rate"]) == (
        3,
        0,
        None,
    )
    assert behind["behind_since"] is not None
    await Summer(board.store).sum_up()

    (line,) = (await shown(api))["items"]
    assert (line["decided"], line["approved"], line["rejected"]["wrong"], line["pending"]) == (4, 3, 1, 1)
    assert line["explored"] == {"approved": 1, "rejected": 0}
    assert line["approval_rate"] == pytest.approx(2 / 3, abs=1e-4)

    first = await shown(api, by="tag", limit=1)
    assert first["items"][0]["tag"]["title"] == "smile"
    second = await shown(api, by="tag", limit=1, cursor=first["next_cursor"])
    assert [one["tag"]["title"] for one in second["items"]] == ["hair"]
    assert second["next_cursor"] is None
    assert (await shown(api, by="model"))["items"][0]["model"] == {"name": "wd14", "version": 1}
    assert (await shown(api, by="reviewer"))["items"][0]["reviewer"] == board.tagger.name
    day = (await shown(api, by="day"))["items"][0]["day"]
    assert (await shown(api, by="type", since=day, until=day))["items"][0]["type"] == "theme"
    assert (await shown(api, by="total", until="2020-01-01"))["items"][0]["decided"] == 0
    steps = (await shown(api, by="bucket"))["items"]
    assert [one["bucket"]["low"] for one in steps] == pytest.approx([n * 0.05 for n in range(20)])
    assert steps[19]["approved"] == 2


async def test_what_makes_no_sense_is_refused(api: Api) -> None:
    for parameters, code in (
        ({"by": "weather"}, "invalid_request"),
        ({"since": "yesterday"}, "invalid_request"),
        ({"since": "0001-01-01"}, "invalid_request"),
        ({"since": "2026-01-05", "until": "2026-01-04"}, "bad_period"),
        ({"cursor": "nonsense"}, "bad_cursor"),
    ):
        assert_problem(await api.get(STATISTICS, Role.ADMIN, params=parameters), 422, code)
    assert_problem(await api.get(STATISTICS, Role.TAGGER), 403, "role_forbids")
