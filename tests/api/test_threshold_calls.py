"""Thresholds over HTTP: shown, said, looked at first, taken back, remembered."""

from typing import Any

import pytest
from serving import Api, assert_problem
from small_board import SmallBoard

from orchestrator.records import Role

pytestmark = pytest.mark.anyio

E = Role.ENGINEER
MODEL = "/api/v1/models/wd14/versions/1/thresholds"
CHANGES = "/api/v1/threshold-changes"


async def shown(api: Api, path: str, **parameters: object) -> dict[str, Any]:
    response = await api.get(path, E, params=parameters)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def sent(api: Api, path: str, body: dict[str, object]) -> dict[str, Any]:
    response = await api.post(path, E, json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_thresholds_are_shown_said_and_taken_back(api: Api, board: SmallBoard) -> None:
    # Given a version of which nobody has spoken
    first = await shown(api, MODEL)
    assert first["items"] == []
    assert first["categories"] == [
        {"category": "general", "floor": 0.35, "said": "default", "default": 0.35},
        {"category": "character", "floor": "off", "said": "default", "default": "off"},
    ]
    # When an engineer says something of a category, a label and a tag
    floors = [
        {"category": "general", "floor": 0.4},
        {"external_tag": "hair", "floor": "off"},
        {"tag_id": board.tags["smile"].id, "floor": 0.6},
    ]
    change = (await sent(api, MODEL, {"floors": floors}))["change"]
    # Then it counts, and the change says from what to what, and by whom
    now = await shown(api, MODEL)
    assert now["categories"][0] == {"category": "general", "floor": 0.4, "said": 0.4, "default": 0.35}
    assert {one["external_tag"]: one["floor"] for one in now["items"]} == {"hair": "off", "smile": 0.6}
    assert (change["actor"], change["back_to"]) == (board.engineer.name, None)
    assert change["floors"][0] == {
        "category": "general",
        "external_tag": None,
        "before": "default",
        "after": 0.4,
    }
    assert (await sent(api, MODEL, {"floors": floors}))["change"] is None
    # When all labels are asked for, they come by pages
    page = await shown(api, MODEL, every=True, limit=5)
    rest = await shown(api, MODEL, every=True, limit=5, cursor=page["next_cursor"])
    every = {one["external_tag"]: one["floor"] for one in page["items"] + rest["items"]}
    assert (len(every), every["blue_eyes"], every["hakurei_reimu"]) == (7, 0.4, "off")
    # When it is taken back, Then it is as before, and history has both
    undone = await sent(api, f"{MODEL}/rollback", {"back_to": 0})
    assert len(undone["change"]["floors"]) == 3
    assert await shown(api, MODEL) == first
    newest = await shown(api, CHANGES, limit=1)
    older = await shown(
        api, CHANGES, limit=1, cursor=newest["next_cursor"], model_name="wd14", model_version=1
    )
    assert [newest["items"][0]["back_to"], older["items"][0]] == [0, change]


async def test_a_preview_changes_nothing(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 5000, "hair": 9000})
    asked: dict[str, object] = {"floors": [{"tag_id": board.tags["smile"].id, "floor": 0.7}]}
    found = await sent(api, f"{MODEL}/preview", asked)
    assert (found["looked"], found["estimated"], found["proposes"]) == (1, False, True)
    (tag,) = found["tags"]
    assert (tag["tag"]["title"], tag["pending"], tag["removed"]) == ("smile", 1, 1)
    assert (tag["goes"], tag["comes"]) == ([image_id], [])
    assert (await shown(api, MODEL))["items"] == []
    await sent(api, MODEL, asked)
    back = await sent(api, f"{MODEL}/preview", {"back_to": 0})
    assert (back["floors"], back["added"]) == (1, 1)


@pytest.mark.parametrize(
    "body",
    [
        {"floors": []},
        {"floors": [{"floor": 0.5}]},
        {"floors": [{"category": "general", "external_tag": "hair", "floor": 0.5}]},
        {"floors": [{"category": "rating", "floor": 0.5}]},
        {"floors": [{"external_tag": "hair", "floor": 1.5}]},
        {"floors": [{"external_tag": "hair", "floor": "never"}]},
    ],
)
async def test_what_makes_no_sense_is_refused(api: Api, body: dict[str, object]) -> None:
    assert_problem(await api.post(MODEL, E, json=body), 422, "invalid_request")
    assert_problem(await api.post(f"{MODEL}/preview", E, json=body), 422, "invalid_request")


async def test_what_is_not_there_is_named(api: Api) -> None:
    unknown = {"floors": [{"external_tag": "simle", "floor": 0.5}]}
    assert_problem(await api.post(MODEL, E, json=unknown), 422, "unknown_label")
    both = {**unknown, "back_to": 0}
    assert_problem(await api.post(f"{MODEL}/preview", E, json=both), 422, "invalid_request")
    gone = await api.post(f"{MODEL}/rollback", E, json={"back_to": 404})
    assert_problem(gone, 404, "threshold_change_not_found")
    assert_problem(await api.get(CHANGES, E, params={"model_name": "wd14"}), 422, "invalid_request")
    other = await api.get(CHANGES, E, params={"model_name": "nobody", "model_version": 1})
    assert_problem(other, 404, "version_not_found")
