"""Raw predictions over HTTP: how many, and how long they are kept."""

import pytest
from serving import Api, assert_problem
from small_board import SmallBoard

from orchestrator.records import Role

pytestmark = pytest.mark.anyio

E = Role.ENGINEER
PATH = "/api/v1/models/wd14/versions/1/raw-retention"


async def test_sizes_are_shown_and_policies_said(api: Api, board: SmallBoard) -> None:
    for _ in range(2):
        await board.suggested({"smile": 9000, "hair": 8000, "unheard_of": 600})
    # When sizes are asked for
    listed = (await api.get("/api/v1/raw-predictions", E)).json()
    (one,) = listed["items"]
    assert (one["name"], one["version"], one["state"]) == ("wd14", 1, "active")
    assert (one["images"], one["rows"], one["bytes"], one["policy"]) == (2, 6, 180, "keep")
    assert listed["bytes_on_disk"] > 0
    # When those of a version in use are to go, Then somebody has to insist
    asked: dict[str, object] = {"policy": "newest", "newest": 1}
    refused = await api.http.put(PATH, json=asked, headers=api.as_role(E))
    assert_problem(refused, 409, "raw_in_use")
    done = await api.http.put(PATH, json={**asked, "force": True}, headers=api.as_role(E))
    assert (done.status_code, done.json()["forced"], done.json()["newest"]) == (200, True, 1)
    shown = (await api.get("/api/v1/raw-predictions", E)).json()["items"]
    assert shown == [done.json()]


@pytest.mark.parametrize(
    "body", [{}, {"policy": "newest"}, {"policy": "drop", "newest": 3}, {"policy": "newest", "newest": 0}]
)
async def test_what_makes_no_sense_is_refused(api: Api, body: dict[str, object]) -> None:
    answer = await api.http.put(PATH, json=body, headers=api.as_role(E))
    assert_problem(answer, 422, "invalid_request")
