"""The queues and leases over HTTP."""

from typing import Any

import pytest
from serving import Api, assert_problem
from small_board import SmallBoard

from orchestrator.records import Role

pytestmark = pytest.mark.anyio

QUEUE, WORKLIST, LEASES = "/api/v1/tag-suggestions", "/api/v1/tag-suggestions/worklist", "/api/v1/leases"
IMAGES = "/api/v1/images"


async def got(api: Api, path: str, role: Role = Role.TAGGER, **parameters: object) -> dict[str, Any]:
    response = await api.get(path, role, params=parameters)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def claimed(api: Api, role: Role = Role.TAGGER, **body: object) -> dict[str, Any]:
    response = await api.post(LEASES, role, json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_a_tag_is_found_in_the_worklist_and_walked_page_by_page(api: Api, board: SmallBoard) -> None:
    """Given pending rows, when a reviewer takes the worklist's first tag and walks its queue, then each
    row comes once with its picture, the picture's tags and the version to decide on."""
    images = [await board.suggested({"smile": 9000 - n, "blue_eyes": 6000}) for n in range(3)]
    await board.suggested({"smile": 8000})

    first = await got(api, WORKLIST, limit=1)
    (tag,) = first["items"]
    assert (tag["tag"]["title"], tag["pending"], tag["held"], tag["holders"]) == ("smile", 4, 0, [])
    second = await got(api, WORKLIST, limit=1, cursor=first["next_cursor"])
    assert [(one["tag"]["title"], one["pending"]) for one in second["items"]] == [("blue eyes", 3)]
    assert (await got(api, WORKLIST, min_confidence=0.7))["items"][0]["tag"]["title"] == "smile"
    assert (await got(api, WORKLIST, search="BLUE", type="theme", model="wd14"))["items"] == second["items"]

    page = await got(api, QUEUE, tag_id=tag["tag"]["id"], limit=3)
    assert (page["tag"]["title"], page["pending"], page["held"]) == ("smile", 4, [])
    assert [one["image"]["id"] for one in page["items"]] == images
    row = page["items"][0]
    assert row["image"]["file"] == f"{IMAGES}/{images[0]}/file"
    assert (row["image"]["width"], row["image"]["tags"], row["lease"]) == (640, [], None)
    rest = await got(api, QUEUE, tag_id=tag["tag"]["id"], limit=3, cursor=page["next_cursor"])
    assert (len(rest["items"]), rest["next_cursor"]) == (1, None)

    decision = {"suggestion_id": row["id"], "version": row["version"], "decision": "approve"}
    response = await api.post(f"{QUEUE}/review", json={"decisions": [decision]})
    assert response.json()["results"][0]["outcome"] == "applied"
    blue = await got(api, QUEUE, tag_id=board.tags["blue eyes"].id, order="newest")
    assert [[tag["title"] for tag in one["image"]["tags"]] for one in blue["items"]] == [[], [], ["smile"]]
    assert (await got(api, WORKLIST))["items"][0]["pending"] == 3


async def test_a_cursor_goes_with_its_tag_and_order(api: Api, board: SmallBoard) -> None:
    for n in range(3):
        await board.suggested({"smile": 9000 - n, "blue_eyes": 6000})
    smile, blue = board.tags["smile"].id, board.tags["blue eyes"].id
    page = await got(api, QUEUE, tag_id=smile, limit=1, order="uncertainty")
    cursor = page["next_cursor"]
    for other in ({"tag_id": blue, "order": "uncertainty"}, {"tag_id": smile}):
        assert_problem(await api.get(QUEUE, params={**other, "cursor": cursor}), 422, "bad_cursor")
    assert_problem(await api.get(WORKLIST, params={"cursor": cursor}), 422, "bad_cursor")


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        (QUEUE, {}),
        (QUEUE, {"tag_id": 0}),
        (QUEUE, {"tag_id": 1, "order": "random"}),
        (QUEUE, {"tag_id": 1, "held": "yours"}),
        (QUEUE, {"tag_id": 1, "min_confidence": 1.5}),
        (QUEUE, {"tag_id": 1, "model": "No Model"}),
        (WORKLIST, {"type": "colour"}),
        (WORKLIST, {"search": ""}),
        (IMAGES, {"pending": "true", "uploaded_after": "yesterday"}),
        (IMAGES, {"uploaded_after": "2026-01-05T10:00:00"}),
        (IMAGES, {"uploaded_before": "9999-12-31T23:59:59-12:00"}),
        (IMAGES, {"type": "theme"}),
        (IMAGES, {"model": "wd14"}),
    ],
)
async def test_questions_that_make_no_sense(
    api: Api, board: SmallBoard, path: str, parameters: dict[str, object]
) -> None:
    assert_problem(await api.get(path, params=parameters), 422, "invalid_request")


async def test_what_there_is_not(api: Api, board: SmallBoard) -> None:
    assert_problem(await api.get(QUEUE, params={"tag_id": 404}), 404, "tag_not_found")
    assert_problem(await api.post(LEASES, json={"tag_id": 404}), 404, "tag_not_found")
    tag_id = board.tags["smile"].id
    for path, parameters in ((QUEUE, {"tag_id": tag_id}), (WORKLIST, {}), (IMAGES, {"pending": "true"})):
        response = await api.get(path, params={**parameters, "model": "nobody"})
        assert_problem(response, 422, "unknown_model")
    for path in (f"{LEASES}/404/renew", f"{LEASES}/none/renew"):
        assert_problem(await api.post(path), 404, "lease_not_found")


async def test_two_reviewers_share_a_tag_by_leases(api: Api, board: SmallBoard) -> None:
    """Given two who claim pages of one tag, then each has other rows; who asks for more hears who holds them;
    and what is given back can be claimed."""
    for n in range(3):
        await board.suggested({"smile": 9000 - n})
    tag_id = board.tags["smile"].id

    mine = await claimed(api, tag_id=tag_id, limit=2)
    theirs = await claimed(api, Role.MODERATOR, tag_id=tag_id, limit=2)
    assert (len(mine["items"]), len(theirs["items"])) == (2, 1)
    assert not {one["id"] for one in mine["items"]} & {one["id"] for one in theirs["items"]}
    assert mine["lease"]["holder"] == board.tagger.name
    assert (mine["lease"]["rows"], mine["lease"]["mine"], mine["lease"]["whole_tag"]) == (2, True, False)
    assert {one["lease"]["mine"] for one in mine["items"]} == {True}

    nothing = await claimed(api, Role.ADMIN, tag_id=tag_id)
    assert (nothing["lease"], nothing["items"]) == (None, [])
    assert {(one["holder"], one["rows"]) for one in nothing["held"]} == {
        (board.tagger.name, 2),
        (board.moderator.name, 1),
    }
    free = await got(api, QUEUE, Role.ADMIN, tag_id=tag_id, held="free")
    assert (free["items"], free["pending"], len(free["held"])) == ([], 3, 2)
    own = await got(api, QUEUE, tag_id=tag_id, held="mine")
    assert {one["id"] for one in own["items"]} == {one["id"] for one in mine["items"]}
    (listed,) = (await got(api, WORKLIST))["items"]
    assert (listed["pending"], listed["held"]) == (3, 1)
    assert [one["holder"] for one in listed["holders"]] == [board.moderator.name]

    address = f"{LEASES}/{mine['lease']['id']}"
    renewed = (await api.post(f"{address}/renew")).json()
    assert renewed["expires_at"] > mine["lease"]["expires_at"]
    assert_problem(await api.post(f"{address}/renew", Role.ADMIN), 403, "not_your_lease")
    released = await api.http.delete(address, headers=api.as_role(Role.TAGGER))
    assert released.json() == {"id": mine["lease"]["id"], "rows": 2}
    assert len((await claimed(api, Role.ADMIN, tag_id=tag_id))["items"]) == 2


async def test_leases_are_listed_with_holder_and_end(api: Api, board: SmallBoard) -> None:
    for n in range(3):
        await board.suggested({"smile": 9000 - n, "hair": 8000})
    smile, hair = board.tags["smile"].id, board.tags["hair"].id
    first = (await claimed(api, tag_id=smile, limit=1))["lease"]
    second = (await claimed(api, Role.MODERATOR, tag_id=hair, whole_tag=True))["lease"]
    third = (await claimed(api, tag_id=smile, limit=1))["lease"]
    assert (second["whole_tag"], second["rows"]) == (True, 3)

    page = await got(api, LEASES, Role.ADMIN, limit=2)
    rest = await got(api, LEASES, Role.ADMIN, limit=2, cursor=page["next_cursor"])
    assert [one["id"] for one in page["items"] + rest["items"]] == [third["id"], second["id"], first["id"]]
    assert {one["mine"] for one in page["items"]} == {False}
    assert [one["id"] for one in (await got(api, LEASES, tag_id=hair))["items"]] == [second["id"]]
    assert [one["id"] for one in (await got(api, LEASES, Role.MODERATOR, mine=True))["items"]] == [
        second["id"]
    ]
    assert [one["expires_at"] for one in (await got(api, LEASES, tag_id=hair))["items"]] == [
        second["expires_at"]
    ]


async def test_how_long_a_lease_runs_is_a_setting(api: Api, board: SmallBoard) -> None:
    await board.suggested({"smile": 9000})
    lease = (await claimed(api, tag_id=board.tags["smile"].id))["lease"]
    ((seconds,),) = await board.store.read(
        lambda tx: tx.fetch_rows("SELECT TIMESTAMPDIFF(SECOND, created_at, expires_at) FROM leases")
    )
    assert seconds == 300
    assert lease["expires_at"] > lease["created_at"]


async def test_a_lost_claim_is_answered_again(api: Api, board: SmallBoard) -> None:
    for n in range(4):
        await board.suggested({"smile": 9000 - n})
    body = {"tag_id": board.tags["smile"].id, "limit": 2}
    first = await api.post(LEASES, key="c-1", json=body)
    again = await api.post(LEASES, key="c-1", json=body)
    assert again.json() == first.json()
    assert_problem(
        await api.post(LEASES, key="c-1", json={**body, "limit": 3}), 409, "idempotency_key_reused"
    )


async def test_looking_ahead_notes_nothing_as_shown(api: Api, board: SmallBoard) -> None:
    await board.suggested({"smile": 9000})
    parameters = {"tag_id": board.tags["smile"].id}

    async def noted() -> list[tuple[str, int]]:
        return await board.store.read(
            lambda tx: tx.fetch_rows("SELECT place, position FROM exposures ORDER BY id")
        )

    response = await api.http.head(QUEUE, headers=api.as_role(Role.TAGGER), params=parameters)
    assert (response.status_code, await noted()) == (200, [])
    await got(api, QUEUE, **parameters)
    assert await noted() == [("queue", 0)]


async def test_the_queue_of_images_says_how_much_is_pending_on_each(api: Api, board: SmallBoard) -> None:
    first = await board.suggested({"smile": 9000, "hair": 8000}, board.tagger)
    second = await board.suggested({"smile": 9000})
    await board.register()

    page = await got(api, IMAGES, pending=True, limit=1)
    rest = await got(api, IMAGES, pending=True, limit=1, cursor=page["next_cursor"])
    assert [(one["id"], one["pending"]) for one in page["items"] + rest["items"]] == [(second, 1), (first, 2)]
    assert rest["next_cursor"] is None

    async def ids(role: Role = Role.TAGGER, **more: object) -> list[int]:
        return [one["id"] for one in (await got(api, IMAGES, role, pending=True, **more))["items"]]

    assert await ids(uploader=board.tagger.name) == [first]
    assert await ids(uploader="nobody at all") == []
    assert await ids(Role.UPLOADER, uploader=board.tagger.name) == []
    assert await ids(Role.UPLOADER, uploader=board.uploader.name) == [second]
    assert await ids(type="theme", model="wd14") == [second, first]
    assert await ids(type="character") == []
    assert await ids(uploaded_after="2000-01-01T00:00:00Z") == [second, first]
    assert await ids(uploaded_after="2000-01-01T00:00:00Z", uploaded_before="2001-01-01T00:00:00Z") == []
    dated = await got(api, IMAGES, pending=True, limit=1, uploaded_after="2000-01-01T00:00:00Z")
    onwards = await got(
        api, IMAGES, pending=True, uploaded_after="2000-01-01T00:00:00Z", cursor=dated["next_cursor"]
    )
    assert [one["id"] for one in onwards["items"]] == [first]
    assert_problem(await api.get(IMAGES, params={"cursor": dated["next_cursor"]}), 422, "bad_cursor")
