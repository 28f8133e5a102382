"""Mappings over HTTP: made all or none, seen, removed, remembered, and what helps to decide."""

from typing import Any

import pytest
from serving import Api, assert_problem
from small_board import SmallBoard

from orchestrator.records import Role, TagType
from orchestrator.store import tags

pytestmark = pytest.mark.anyio

E = Role.ENGINEER
MAPPINGS = "/api/v1/mappings"


async def shown(api: Api, path: str, **parameters: object) -> dict[str, Any]:
    response = await api.get(path, E, params=parameters)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def sent(api: Api, *rows: dict[str, object], **how: bool) -> dict[str, Any]:
    response = await api.post(MAPPINGS, E, json={"rows": rows, **how})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_mappings_are_looked_at_made_changed_and_removed(api: Api, board: SmallBoard) -> None:
    # Given a new name, one that is mapped so, and one that is mapped otherwise
    rows = (
        {"external_tag": "unheard_of", "action": "ignore"},
        {"external_tag": "smile", "action": "map", "title": "smile"},
        {"external_tag": "hair", "action": "map", "title": "long hair", "weight": 0.5},
    )
    # When they are looked at, Then the answer says so and nothing changes
    look = await sent(api, *rows)
    assert (look["new"], look["existing"], look["conflicting"]) == (["unheard_of"], ["smile"], ["hair"])
    assert look["written"] == 0
    # When they are applied, what is there stays; replacing changes it too; again, nothing is left to do
    assert (await sent(api, *rows, apply=True))["written"] == 1
    assert (await sent(api, *rows, apply=True, replace=True))["written"] == 1
    assert (await sent(api, *rows, apply=True, replace=True))["written"] == 0
    first = await shown(api, MAPPINGS, limit=5)
    rest = await shown(api, MAPPINGS, limit=5, cursor=first["next_cursor"])
    by_name = {one["external_tag"]: one for one in first["items"] + rest["items"]}
    assert (by_name["hair"]["tag"]["title"], by_name["hair"]["weight"]) == ("long hair", 0.5)
    assert by_name["unheard_of"]["tag"] is None
    # When one is removed, Then it is gone
    path = f"{MAPPINGS}/{by_name['hair']['id']}"
    removed = await api.http.delete(path, headers=api.as_role(E))
    assert (removed.status_code, removed.json()["external_tag"]) == (200, "hair")
    assert_problem(await api.http.delete(path, headers=api.as_role(E)), 404, "mapping_not_found")
    # And history has all of it, with who did it
    changes = await shown(api, "/api/v1/mapping-changes", external_tag="hair")
    told = [
        (one["actor"], one["before"] and one["before"]["title"], one["after"] and one["after"]["title"])
        for one in changes["items"]
    ]
    engineer = board.engineer.name
    assert told == [(engineer, "long hair", None), (engineer, "hair", "long hair"), (None, None, "hair")]
    newest = await shown(api, "/api/v1/mapping-changes", limit=1)
    older = await shown(api, "/api/v1/mapping-changes", limit=1, cursor=newest["next_cursor"])
    assert older["items"][0]["id"] < newest["items"][0]["id"]


async def test_an_unknown_title_stops_all_of_it(api: Api, board: SmallBoard) -> None:
    rows = [
        {"external_tag": "unheard_of", "action": "ignore"},
        {"external_tag": "smiling", "action": "map", "title": "simle"},
    ]
    before = await shown(api, MAPPINGS)
    # When a row names no tag, Then it is pointed at, with the nearest titles, and nothing is written
    problem = await api.post(MAPPINGS, E, json={"rows": rows, "apply": True})
    assert_problem(problem, 422, "bad_mapping_file")
    (error,) = problem.json()["errors"]
    assert (error["pointer"], "nearest: smile" in error["detail"]) == ("/rows/1/title", True)
    assert await shown(api, MAPPINGS) == before
    # A look says the same
    (unknown,) = (await sent(api, *rows))["unknown"]
    assert (unknown["row"], unknown["nearest"]) == (1, ["smile"])


@pytest.mark.parametrize(
    "row",
    [
        {"external_tag": "a", "action": "map"},
        {"external_tag": "a", "action": "ignore", "title": "smile"},
        {"external_tag": " a", "action": "ignore"},
        {"external_tag": "a", "action": "ignore", "weight": 0},
        {"external_tag": "a", "action": "ignore", "source": "Dan Booru"},
    ],
)
async def test_rows_that_make_no_sense_are_refused(api: Api, row: dict[str, object]) -> None:
    assert_problem(await api.post(MAPPINGS, E, json={"rows": [row]}), 422, "invalid_request")
    assert_problem(await api.post(MAPPINGS, E, json={"rows": []}), 422, "invalid_request")


async def test_what_helps_to_decide(api: Api, board: SmallBoard) -> None:
    # Given a name that a tag resembles, one that leads to an alias, and predictions
    await board.store.write(lambda tx: tags.create(tx, title="Hakurei Reimu", type=TagType.CHARACTER))
    alias = {"external_tag": "smile", "action": "map", "title": "grin"}
    await sent(api, alias, apply=True, replace=True)
    await board.suggested({"unheard_of": 9000, "hair": 9000, "long_hair": 1000})
    # When engineers ask what to do, Then each view says its part
    (finding,) = (await shown(api, "/api/v1/mapping-findings"))["items"]
    assert (finding["external_tag"], finding["fault"]) == ("smile", "tag_is_alias")
    found = await shown(api, "/api/v1/mapping-proposals")
    assert [one["external_tag"] for one in found["items"]] == ["hakurei_reimu"]
    assert found["items"][0]["proposals"][0]["tag"]["title"] == "Hakurei Reimu"
    assert found["unmapped"] == 2
    coverage = await shown(api, "/api/v1/mapping-coverage", limit=1)
    assert coverage["above"] == {"mapped": 1, "ignored": 0, "unmapped": 1}
    assert coverage["raw"] == {"mapped": 2, "ignored": 0, "unmapped": 1}
    assert [one["external_tag"] for one in coverage["unmapped"]] == ["unheard_of"]
