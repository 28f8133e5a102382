"""Looking at suggestions and deciding on them over HTTP."""

from typing import Any

import pytest
from serving import Api, assert_problem
from small_board import SmallBoard

from orchestrator.records import Role

pytestmark = pytest.mark.anyio

SCORES = {"long_hair": 9100, "smile": 8000, "blue_eyes": 6500}


def address(image_id: int, rest: str = "") -> str:
    return f"/api/v1/images/{image_id}/tag-suggestions{rest}"


async def listed(api: Api, image_id: int, query: str = "") -> dict[str, Any]:
    response = await api.get(address(image_id, query))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def decision(item: dict[str, Any], decision: str = "approve", **more: object) -> dict[str, object]:
    return {"suggestion_id": item["id"], "version": item["version"], "decision": decision, **more}


async def test_suggestions_come_surest_first_with_counts_and_evidence(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    found = await listed(api, image_id)
    assert [item["tag"]["title"] for item in found["items"]] == ["long hair", "smile", "blue eyes"]
    assert found["counts"] == {"pending": 3, "approved": 0, "rejected": 0}
    assert found["next_cursor"] is None
    first = found["items"][0]
    assert (first["confidence"], first["score"], first["model_source"]) == (0.91, 0.91, "danbooru")
    assert (first["model_name"], first["model_version"], first["inferred"]) == ("wd14", 1, False)
    assert first["tag"]["external_id"] == board.tags["long hair"].external_id
    assert first["evidence"] == [
        {
            "model_name": "wd14",
            "model_version": 1,
            "external_tag": "long_hair",
            "score": 0.91,
            "decides": True,
        }
    ]


async def test_suggestions_are_paged_by_key(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    first = await listed(api, image_id, "?limit=2")
    second = await listed(api, image_id, f"?limit=2&cursor={first['next_cursor']}")
    assert [item["tag"]["title"] for item in first["items"] + second["items"]] == [
        "long hair",
        "smile",
        "blue eyes",
    ]
    assert second["next_cursor"] is None


async def test_what_is_shown_is_noted_with_its_place_and_position(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    found = await listed(api, image_id)
    rows = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT user_id, suggestion_id, suggestion_version, place, position"
            " FROM exposures ORDER BY position"
        )
    )
    tagger = api.people[Role.TAGGER].id
    assert rows == [(tagger, item["id"], 1, "api", n) for n, item in enumerate(found["items"])]


async def test_an_approval_links_the_tag_and_counts(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    items = (await listed(api, image_id))["items"]
    response = await api.post(
        address(image_id, "/review"),
        json={"decisions": [decision(items[0]), decision(items[1], "reject", reason="not_wanted")]},
    )
    assert response.status_code == 200
    answer = response.json()
    assert [(r["outcome"], r["status"], r["version"], r["linked"]) for r in answer["results"]] == [
        ("applied", "approved", 2, True),
        ("applied", "rejected", 2, False),
    ]
    assert answer["counts"] == {"pending": 1, "approved": 1, "rejected": 1}
    assert answer["batch_id"] > 0
    assert await board.linked(image_id) == {"long hair"}
    approved = await listed(api, image_id, "?status=approved")
    assert [(one["tag"]["title"], one["decided_by"]) for one in approved["items"]] == [
        ("long hair", board.tagger.name)
    ]
    assert approved["items"][0]["decided_at"].endswith("Z")


async def test_approving_again_is_the_same_decision(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    item = (await listed(api, image_id))["items"][0]
    body = {"decisions": [decision(item)]}
    await api.post(address(image_id, "/review"), json=body)
    again = await api.post(address(image_id, "/review"), json=body)
    assert again.status_code == 200
    assert again.json()["batch_id"] is None
    assert again.json()["results"][0]["outcome"] == "unchanged"
    assert again.json()["results"][0]["status"] == "approved"


async def test_a_stale_version_is_refused_with_who_decided_what(api: Api, board: SmallBoard) -> None:
    """Given two reviewers on one row, when the second decides, then the answer names the first's decision."""
    image_id = await board.suggested(SCORES)
    item = (await listed(api, image_id))["items"][0]
    await api.post(
        address(image_id, "/review"), Role.MODERATOR, json={"decisions": [decision(item, "reject")]}
    )
    late = await api.post(address(image_id, "/review"), json={"decisions": [decision(item)]})
    assert_problem(late, 409, "stale_version")
    (result,) = late.json()["results"]
    assert (result["outcome"], result["status"]) == ("conflict", "rejected")
    assert result["decided_by"] == board.moderator.name
    assert result["decided_at"]
    assert await board.linked(image_id) == set()


async def test_a_conflict_leaves_the_other_decisions_alone(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    items = (await listed(api, image_id))["items"]
    await api.post(address(image_id, "/review"), Role.MODERATOR, json={"decisions": [decision(items[0])]})
    response = await api.post(
        address(image_id, "/review"), json={"decisions": [decision(one, "reject") for one in items]}
    )
    assert response.status_code == 200
    assert [one["outcome"] for one in response.json()["results"]] == ["conflict", "applied", "applied"]


async def test_a_lost_answer_is_replayed_under_its_key(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    items = (await listed(api, image_id))["items"]
    body = {"decisions": [decision(items[0])]}
    first = await api.post(address(image_id, "/review"), key="r-1", json=body)
    again = await api.post(address(image_id, "/review"), key="r-1", json=body)
    assert again.json() == first.json()
    other = await api.post(address(image_id, "/review"), key="r-1", json={"decisions": [decision(items[1])]})
    assert_problem(other, 409, "idempotency_key_reused")


async def test_suggestions_that_the_image_does_not_have(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    elsewhere = (await listed(api, await board.suggested(SCORES)))["items"][0]
    response = await api.post(address(image_id, "/review"), json={"decisions": [decision(elsewhere)]})
    assert_problem(response, 404, "suggestion_not_found")


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "maybe"},
        {"version": 0},
        {"reason": "wrong"},
        {"decision": "reject", "reason": "because"},
        {"decision": "reject", "reason": "other"},
        {"decision": "reject", "note": "x" * 501},
        {"suggestion_id": "1"},
    ],
)
async def test_decisions_that_make_no_sense(api: Api, board: SmallBoard, change: dict[str, object]) -> None:
    image_id = await board.suggested(SCORES)
    one = {"suggestion_id": 1, "version": 1, "decision": "approve"} | change
    response = await api.post(address(image_id, "/review"), json={"decisions": [one]})
    assert_problem(response, 422, "invalid_request")


async def test_no_decisions_and_the_same_twice(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    assert_problem(
        await api.post(address(image_id, "/review"), json={"decisions": []}), 422, "invalid_request"
    )
    one = {"suggestion_id": 1, "version": 1, "decision": "approve"}
    twice = await api.post(address(image_id, "/review"), json={"decisions": [one, one]})
    assert_problem(twice, 422, "judged_twice")


async def test_generate_queues_the_image_again(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    before = (await api.get(address(image_id, "/status"))).json()
    assert before["status"] == "done"
    response = await api.post(address(image_id, "/generate"))
    assert response.status_code == 202
    assert response.json()["status"] == "queued"
    assert (await api.get(address(image_id, "/status"))).json()["status"] == "queued"


async def test_images_are_listed_newest_first_by_page_and_by_whose_they_are(
    api: Api, board: SmallBoard
) -> None:
    """Given images of two people, then each sees what the role may see, page by page."""
    theirs = [await board.suggested({"smile": 9000}, board.uploader) for _ in range(3)]
    mine = await board.suggested({"smile": 9000}, board.tagger)
    bare = await board.register(board.tagger)

    async def ids(query: str, role: Role) -> list[int]:
        found: list[int] = []
        cursor = ""
        while True:
            page = (await api.get(f"/api/v1/images?limit=2{query}{cursor}", role)).json()
            found += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    assert await ids("", Role.TAGGER) == [bare, mine, *reversed(theirs)]
    assert await ids("&pending=true", Role.TAGGER) == [mine, *reversed(theirs)]
    assert await ids("&mine=true", Role.TAGGER) == [bare, mine]
    assert await ids("&state=queued", Role.MODERATOR) == [bare]
    assert await ids("", Role.UPLOADER) == list(reversed(theirs))
    assert await ids("", Role.ENGINEER) == []


async def test_an_image_shows_its_facts_and_never_where_it_lies(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    found = (await api.get(f"/api/v1/images/{image_id}")).json()
    assert (found["width"], found["height"], found["media_type"]) == (640, 480, "image/png")
    assert (found["status"], found["source"], found["uploader"]) == ("done", "url", board.uploader.name)
    assert "board.example" not in str(found)
