"""Tags over HTTP: what people put on images, those of the board, and what the board says of an image."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from serving import Api, assert_problem
from small_board import SmallBoard

from orchestrator.records import Role

pytestmark = pytest.mark.anyio

U, T, M, E = Role.UPLOADER, Role.TAGGER, Role.MODERATOR, Role.ENGINEER


async def send(
    api: Api,
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
    *,
    role: Role = M,
    key: str | None = None,
) -> httpx.Response:
    headers = api.as_role(role) | ({} if key is None else {"Idempotency-Key": key})
    return await api.http.request(method, f"/api/v1{path}", headers=headers, json=body)


def titles(tags: list[dict[str, Any]]) -> list[str]:
    return sorted(tag["title"] for tag in tags)


async def test_what_people_tag_answers_suggestions_and_can_be_undone(api: Api, board: SmallBoard) -> None:
    # Given an uploader's image, when they give it a tag by the board's own id of an alias
    image_id = await board.suggested({"smile": 9000, "hair": 8000, "long_hair": 7000})
    grin, hair = board.tags["grin"], board.tags["long hair"]
    body = {"tag_ids": [hair.id], "external_ids": [grin.external_id]}
    response = await send(api, "POST", f"/images/{image_id}/tags", body, role=U)
    # Then the answer says what came of it
    assert response.status_code == 200, response.text
    answer = response.json()
    assert titles(answer["tags"]) == titles(answer["added"]) == ["long hair", "smile"]
    (resolved,) = answer["aliases"]
    assert (resolved["named"]["title"], resolved["canonical"]["title"]) == ("grin", "smile")
    assert (len(answer["approved"]), len(answer["cleared"])) == (2, 1)
    assert answer["counts"] == {"pending": 0, "approved": 2, "rejected": 0}
    shown = (await api.get(f"/api/v1/images/{image_id}", U)).json()
    assert titles(shown["tags"]) == ["long hair", "smile"]
    # And it can be taken back as a batch
    undone = await send(api, "POST", f"/review-batches/{answer['batch_id']}/undo", {}, role=U)
    assert undone.status_code == 200, undone.text
    assert (await board.statuses(image_id))["smile"] == "pending"
    assert await board.linked(image_id) == set()


async def test_exactly_these_and_not_these(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested({"blue_eyes": 9000})
    path = f"/images/{image_id}/tags"
    smile, hair, eyes = (board.tags[title].id for title in ("smile", "hair", "blue eyes"))
    await send(api, "PUT", path, {"tag_ids": [smile, hair, eyes]})
    answer = (await send(api, "PUT", path, {"tag_ids": [smile, eyes]})).json()
    assert (titles(answer["tags"]), titles(answer["removed"])) == (["blue eyes", "smile"], ["hair"])
    answer = (await send(api, "DELETE", path, {"tag_ids": [eyes, hair]})).json()
    assert (titles(answer["removed"]), len(answer["unlinked"])) == (["blue eyes"], 1)
    answer = (await send(api, "DELETE", f"{path}/{smile}")).json()
    assert (titles(answer["removed"]), answer["tags"]) == (["smile"], [])
    again = await send(api, "DELETE", f"{path}/{smile}")
    assert (again.status_code, again.json()["removed"]) == (200, [])


async def test_a_repeat_under_the_same_key_gets_the_same_answer(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    body = {"tag_ids": [board.tags["smile"].id]}
    first = await send(api, "POST", f"/images/{image_id}/tags", body, key="k")
    again = await send(api, "POST", f"/images/{image_id}/tags", body, key="k")
    assert (again.status_code, again.json()) == (200, first.json())
    other = await send(api, "PUT", f"/images/{image_id}/tags", body, key="k")
    assert_problem(other, 409, "idempotency_key_reused")


async def test_tags_and_images_that_there_are_not(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000}, board.tagger)
    path, smile = f"/images/{image_id}/tags", board.tags["smile"].id
    assert_problem(await send(api, "PUT", path, {"external_ids": [999_999]}), 422, "unknown_tag")
    assert_problem(await send(api, "DELETE", f"{path}/999999"), 404, "tag_not_found")
    assert_problem(await send(api, "DELETE", f"{path}/nonsense"), 404, "tag_not_found")
    unknown = await send(api, "PUT", "/images/999999/tags", {"tag_ids": [smile]})
    assert_problem(unknown, 404, "image_not_found")
    assert_problem(await send(api, "PUT", path, {"tag_ids": [smile]}, role=U), 403, "not_your_image")
    many = {"tag_ids": list(range(1, 300)), "external_ids": list(range(1, 300))}
    assert_problem(await send(api, "PUT", path, many), 422, "invalid_request")


async def test_a_hidden_image_asks_nobody_until_it_is_shown_again(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 8000})
    hidden = await send(api, "PATCH", f"/images/{image_id}", {"eligibility": "deleted"})
    assert hidden.status_code == 200, hidden.text
    assert (hidden.json()["before"], hidden.json()["removed"]) == ("active", 2)
    shown = (await send(api, "PATCH", f"/images/{image_id}", {"eligibility": "active"})).json()
    assert (shown["restored"], shown["queued"], shown["counts"]["pending"]) == (2, False, 2)
    for role in (U, T, E):
        response = await send(api, "PATCH", f"/images/{image_id}", {"eligibility": "repost"}, role=role)
        assert_problem(response, 403, "role_forbids")
    nonsense = await send(api, "PATCH", f"/images/{image_id}", {"eligibility": "gone"})
    assert_problem(nonsense, 422, "invalid_request")


async def test_tags_are_searched_whatever_the_case_and_page_by_page(api: Api, board: SmallBoard) -> None:
    first = (await api.get("/api/v1/tags", E, params={"title": "HAIR", "limit": 2})).json()
    assert titles(first["items"]) == ["hair", "long hair"]
    rest = (
        await api.get("/api/v1/tags", E, params={"title": "HAIR", "limit": 2, "cursor": first["next_cursor"]})
    ).json()
    assert (titles(rest["items"]), rest["next_cursor"]) == (["very long hair"], None)
    for part in ("%", "_", "!", "no such"):
        assert (await api.get("/api/v1/tags", E, params={"title": part})).json()["items"] == []
    artists = await api.get("/api/v1/tags", E, params={"type": "artist"})
    assert artists.json()["items"] == []
    assert_problem(await api.get("/api/v1/tags", E, params={"cursor": "x"}), 422, "bad_cursor")


async def test_a_tag_says_what_it_is_related_to_and_how_much_it_is_used(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested({"long_hair": 9000})
    await send(
        api, "POST", f"/images/{await board.register()}/tags", {"tag_ids": [board.tags["long hair"].id]}
    )
    found = (await api.get(f"/api/v1/tags/{board.tags['long hair'].id}", U)).json()
    assert (found["parent_id"], found["alias_of"]) == (board.tags["hair"].id, None)
    assert (found["links"], found["pending"]) == (1, 1), image_id
    assert_problem(await api.get("/api/v1/tags/999999", U), 404, "tag_not_found")


async def test_a_tag_is_made_and_changed_by_moderators(api: Api, board: SmallBoard) -> None:
    # Given a new tag, made once however often it is asked for under one key
    body = {"title": "Grinning", "type": "theme", "external_id": 900}
    made = await send(api, "POST", "/tags", body, key="once")
    assert made.status_code == 201, made.text
    assert (await send(api, "POST", "/tags", body, key="once")).json() == made.json()
    assert_problem(await send(api, "POST", "/tags", body), 422, "tag_exists")
    assert_problem(await send(api, "POST", "/tags", body, role=T), 403, "role_forbids")
    # When it becomes an alias and gets another title
    tag_id, smile = made.json()["id"], board.tags["smile"].id
    changed = await send(api, "PATCH", f"/tags/{tag_id}", {"title": "grinning", "alias_of": smile})
    assert changed.status_code == 200, changed.text
    answer = changed.json()
    assert (answer["tag"]["title"], answer["tag"]["alias_of"], answer["left"]) == ("grinning", smile, 0)
    # Then what is left out stays, and null takes away
    same = (await send(api, "PATCH", f"/tags/{tag_id}", {"title": "grinning"})).json()
    assert same["tag"]["alias_of"] == smile
    free = (await send(api, "PATCH", f"/tags/{tag_id}", {"alias_of": None})).json()
    assert free["tag"]["alias_of"] is None


async def test_changes_of_tags_move_the_suggestions_that_speak_of_them(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested({"blue_eyes": 9000})
    eyes, smile = board.tags["blue eyes"].id, board.tags["smile"].id
    answer = (await send(api, "PATCH", f"/tags/{eyes}", {"alias_of": smile})).json()
    assert (answer["moved"], answer["removed"], answer["tag"]["pending"]) == (1, 0, 0)
    assert await board.statuses(image_id) == {"smile": "pending"}


@pytest.mark.parametrize(
    ("title", "change", "code"),
    [
        ("hair", {"parent_id": "very long hair"}, "hierarchy_cycle"),
        ("smile", {"alias_of": "smile"}, "alias_chain"),
        ("blue eyes", {"alias_of": "grin"}, "alias_chain"),
        ("hair", {"alias_of": "smile"}, "alias_in_hierarchy"),
        ("grin", {"parent_id": "smile"}, "alias_in_hierarchy"),
        ("smile", {}, "invalid_request"),
    ],
)
async def test_changes_that_make_no_sense_are_refused(
    api: Api, board: SmallBoard, title: str, change: dict[str, str], code: str
) -> None:
    body = {field: board.tags[other].id for field, other in change.items()}
    response = await send(api, "PATCH", f"/tags/{board.tags[title].id}", body)
    assert_problem(response, 422, code)


async def test_relations_to_tags_that_there_are_not(api: Api, board: SmallBoard) -> None:
    smile = board.tags["smile"].id
    for field in ("alias_of", "parent_id"):
        assert_problem(await send(api, "PATCH", f"/tags/{smile}", {field: 999_999}), 404, "tag_not_found")
        body = {"title": "new", "type": "theme", field: 999_999}
        assert_problem(await send(api, "POST", "/tags", body), 404, "tag_not_found")
    assert_problem(await send(api, "PATCH", "/tags/999999", {"title": "x"}), 404, "tag_not_found")
