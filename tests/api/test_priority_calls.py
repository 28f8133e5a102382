"""Priorities of models over HTTP: shown, said, looked at first, taken back, remembered."""

from typing import Any

import pytest
from queue_board import another_model
from serving import Api, assert_problem
from small_board import SmallBoard

from orchestrator.records import Role

pytestmark = pytest.mark.anyio

E = Role.ENGINEER
PRIORITIES = "/api/v1/model-priorities"


async def sent(api: Api, path: str, body: dict[str, object]) -> dict[str, Any]:
    response = await api.post(path, E, json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def shown(api: Api, path: str, **parameters: object) -> dict[str, Any]:
    response = await api.get(path, E, params=parameters)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_priorities_are_shown_said_and_taken_back(api: Api, board: SmallBoard) -> None:
    await another_model(board)
    first = await shown(api, PRIORITIES)
    assert (first["items"], sorted(first["order"])) == ([], ["other", "wd14"])
    smile = board.tags["smile"].id
    rules: list[dict[str, object]] = [
        {"type": "theme", "models": ["other", "wd14"]},
        {"tag_id": smile, "models": ["wd14"]},
    ]
    # When somebody looks first, nothing changes; then they are said, once
    look = await sent(api, f"{PRIORITIES}/preview", {"rules": rules})
    assert (look["looked"], look["updated"]) == (0, 0)
    assert await shown(api, PRIORITIES) == first
    change = (await sent(api, PRIORITIES, {"rules": rules}))["change"]
    assert (change["actor"], change["rules"][0]["after"]) == (board.engineer.name, ["other", "wd14"])
    assert (await sent(api, PRIORITIES, {"rules": rules}))["change"] is None
    found = (await shown(api, PRIORITIES))["items"]
    assert [(one["type"], one["tag"] and one["tag"]["id"], one["models"]) for one in found] == [
        ("theme", None, ["other", "wd14"]),
        (None, smile, ["wd14"]),
    ]
    # And back; history has both
    await sent(api, PRIORITIES, {"rules": [{"type": "theme", "models": []}]})
    back = await sent(api, f"{PRIORITIES}/rollback", {"back_to": change["id"]})
    assert back["change"]["rules"][0]["after"] == ["other", "wd14"]
    newest = await shown(api, "/api/v1/priority-changes", limit=1)
    older = await shown(api, "/api/v1/priority-changes", limit=5, cursor=newest["next_cursor"])
    assert newest["items"][0]["back_to"] == change["id"]
    assert older["items"][-1] == change


@pytest.mark.parametrize(
    "rule",
    [
        {"models": ["wd14"]},
        {"type": "theme", "tag_id": 1, "models": ["wd14"]},
        {"type": "theme", "models": ["wd14", "wd14"]},
        {"type": "theme", "models": ["Wd 14"]},
        {"type": "theme"},
    ],
)
async def test_what_makes_no_sense_is_refused(api: Api, rule: dict[str, object]) -> None:
    assert_problem(await api.post(PRIORITIES, E, json={"rules": [rule]}), 422, "invalid_request")


async def test_what_is_not_there_is_named(api: Api) -> None:
    unknown = {"rules": [{"type": "theme", "models": ["nobody"]}]}
    assert_problem(await api.post(PRIORITIES, E, json=unknown), 422, "unknown_model")
    assert_problem(await api.post(f"{PRIORITIES}/preview", E, json=unknown), 422, "unknown_model")
    gone = await api.post(f"{PRIORITIES}/rollback", E, json={"back_to": 404})
    assert_problem(gone, 404, "priority_change_not_found")
