"""The desk without a browser: sessions that cannot be forged, forms of other sites, pages and pictures."""

import base64
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from PIL import Image
from serving import ADDRESS, Api
from small_board import SmallBoard
from starlette.requests import Request

from orchestrator.images.blobs import store_blob
from orchestrator.records import ImageSource, Priority, Role, SourceKind
from orchestrator.settings import Settings
from orchestrator.store import images
from orchestrator.web.sessions import COOKIE, LIFETIME, Sessions

pytestmark = pytest.mark.anyio

ORIGIN = {"Origin": ADDRESS}


@asynccontextmanager
async def signed_in(api: Api, role: Role = Role.TAGGER) -> AsyncIterator[httpx.AsyncClient]:
    """A browser's worth of cookies for somebody in this role."""
    transport = httpx.ASGITransport(api.app)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as visitor:
        response = await visitor.post("/desk/sign-in", data={"token": api.tokens[role]}, headers=ORIGIN)
        assert response.status_code == 303
        yield visitor


async def uploaded(board: SmallBoard, settings: Settings, data: bytes) -> int:
    source = ImageSource(SourceKind.BLOB, store_blob(settings.blob_dir, data))
    registered = await board.store.write(
        lambda tx: images.register(
            tx, source=source, uploader_id=board.uploader.id, external_id=None, priority=Priority.LIVE
        )
    )
    return registered.id


async def test_pages_ask_to_sign_in_and_remember_where_one_wanted_to_go(api: Api) -> None:
    response = await api.http.get("/desk/images/4")
    assert response.status_code == 303
    assert response.headers["Location"] == "/desk/sign-in?next=/desk/images/4"
    assert (await api.http.get("/")).headers["Location"] == "/desk"


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/desk\\evil", "/deskevil", "/desk/sign-in", "\n"]
)
async def test_signing_in_never_leads_to_another_site(api: Api, wanted: str) -> None:
    form = {"token": api.tokens[Role.TAGGER], "next": wanted}
    response = await api.http.post("/desk/sign-in", data=form, headers=ORIGIN)
    assert (response.status_code, response.headers["Location"]) == (303, "/desk")


async def test_a_cookie_outside_this_machine_travels_by_https_only(api: Api) -> None:
    form = {"token": api.tokens[Role.TAGGER]}
    near = await api.http.post("/desk/sign-in", data=form, headers=ORIGIN)
    far = await api.http.post(
        "https://desk.example/desk/sign-in", data=form, headers={"Origin": "https://desk.example"}
    )
    assert "secure" not in near.headers["Set-Cookie"].lower()
    assert "secure" in far.headers["Set-Cookie"].lower()
    for response in (near, far):
        assert {"httponly", "samesite=strict"} <= set(response.headers["Set-Cookie"].lower().split("; "))


async def test_sessions_that_were_tampered_with_or_have_ended_let_nobody_in(
    api: Api, api_settings: Settings
) -> None:
    sessions = Sessions.from_settings(api_settings)
    token = api.tokens[Role.TAGGER]
    good = sessions.seal(token)
    body, mark = good.split(".")
    digest, ends = json.loads(base64.urlsafe_b64decode(body))
    later = base64.urlsafe_b64encode(json.dumps([digest, ends + 1]).encode()).decode()
    other = Sessions(b"another key", secure=False, public_url=None)

    async def status(cookie: str) -> int:
        return (await api.http.get("/desk", headers={"Cookie": f"{COOKIE}={cookie}"})).status_code

    assert await status(good) == 200
    for bad in (
        sessions.seal(token, now=time.time() - LIFETIME - 1),
        f"{later}.{mark}",
        other.seal(token),
        f"{body}.",
        body,
        "",
        "....",
        sessions.seal("td_nobodys"),
    ):
        assert await status(bad) == 303


@pytest.mark.parametrize("origin", [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
async def test_a_form_of_another_site_decides_nothing(
    api: Api, board: SmallBoard, origin: dict[str, str]
) -> None:
    image_id = await board.suggested({"smile": 9000})
    row = (await board.rows(image_id))["smile"]
    form = {"decision": "approve", "suggestion": f"{row.id}:{row.version}"}
    async with signed_in(api) as visitor:
        response = await visitor.post(f"/desk/images/{image_id}/review", data=form, headers=origin)
    assert response.status_code == 403
    assert await board.statuses(image_id) == {"smile": "pending"}


async def test_a_public_address_is_the_only_origin(
    api: Api, board: SmallBoard, api_settings: Settings
) -> None:
    settings = api_settings.model_copy(update={"public_url": "https://tags.example/"})
    sessions = Sessions.from_settings(settings)

    def request(origin: str) -> bool:
        headers = [(b"origin", origin.encode()), (b"host", b"internal:8000")]
        return sessions.is_same_origin(Request({"type": "http", "headers": headers}))

    assert request("https://tags.example")
    assert not request("http://tags.example")
    assert not request("http://internal:8000")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"decision": "approve"},
        {"decision": "maybe", "suggestion": "1:1"},
        {"decision": "approve", "suggestion": "one:two"},
        {"decision": "approve", "suggestion": "1"},
        {"decision": "reject", "suggestion": "1:1", "reason": "because"},
    ],
)
async def test_a_form_that_makes_no_sense_is_refused(
    api: Api, board: SmallBoard, form: dict[str, str]
) -> None:
    image_id = await board.suggested({"smile": 9000})
    async with signed_in(api) as visitor:
        response = await visitor.post(f"/desk/images/{image_id}/review", data=form, headers=ORIGIN)
    assert response.status_code == 422
    assert "Traceback" not in response.text


async def test_a_decision_sent_twice_under_its_key_is_made_once(api: Api, board: SmallBoard) -> None:
    """Given an answer that got lost, when the script repeats the form, then it reads the first answer."""
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 8000})
    row = (await board.rows(image_id))["smile"]
    form = {"decision": "approve", "suggestion": f"{row.id}:{row.version}", "key": "desk-1"}
    headers = ORIGIN | {"Accept": "application/json"}
    async with signed_in(api) as visitor:
        first = await visitor.post(f"/desk/images/{image_id}/review", data=form, headers=headers)
        again = await visitor.post(f"/desk/images/{image_id}/review", data=form, headers=headers)
    assert first.status_code == again.status_code == 200
    assert again.json()["message"] == first.json()["message"] == "Approved “smile”."
    assert again.json()["failed"] is False


async def test_the_queue_goes_on_where_the_page_before_ended(api: Api, board: SmallBoard) -> None:
    ids = [await board.suggested({"smile": 9000}) for _ in range(25)]
    async with signed_in(api) as visitor:
        first = (await visitor.get("/desk")).text
        assert f'href="/desk?before={ids[1]}"' in first
        assert f'href="/desk/images/{ids[0]}"' not in first
        second = (await visitor.get(f"/desk?before={ids[1]}")).text
    assert f'href="/desk/images/{ids[0]}"' in second
    assert "before=" not in second


async def test_titles_and_names_are_text_and_never_markup(api: Api, board: SmallBoard) -> None:
    """Given a tag whose title is markup, when its image is shown, then it is shown as text."""
    image_id = await board.suggested({"smile": 9000})
    nasty = '<script>alert("1")</script>'
    await board.store.write(
        lambda tx: tx.execute("UPDATE tags SET title = :title WHERE title = 'smile'", title=nasty)
    )
    async with signed_in(api) as visitor:
        page = await visitor.get(f"/desk/images/{image_id}")
    assert nasty not in page.text
    assert "&lt;script&gt;" in page.text


async def test_a_preview_is_small_without_margins_and_inert(
    api: Api, board: SmallBoard, api_settings: Settings
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1200, 600), "teal").save(buffer, "PNG")
    image_id = await uploaded(board, api_settings, buffer.getvalue())
    async with signed_in(api) as visitor:
        response = await visitor.get(f"/desk/images/{image_id}/preview")
        again = await visitor.get(
            f"/desk/images/{image_id}/preview", headers={"If-None-Match": response.headers["ETag"]}
        )
    assert response.headers["Content-Type"] == "image/jpeg"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert again.status_code == 304
    shown = Image.open(io.BytesIO(response.content))
    assert shown.size == (448, 224)
    colour = shown.resize((1, 1)).getpixel((0, 0))
    assert isinstance(colour, tuple)
    assert all(abs(one - other) <= 4 for one, other in zip(colour, (0, 128, 128), strict=True))


async def test_html_that_calls_itself_a_picture_is_never_served(
    api: Api, board: SmallBoard, api_settings: Settings
) -> None:
    page = b"<!doctype html><script>alert(1)</script>"
    image_id = await uploaded(board, api_settings, page)
    async with signed_in(api) as visitor:
        for kind in ("picture", "preview"):
            response = await visitor.get(f"/desk/images/{image_id}/{kind}")
            assert response.status_code == 422
            assert b"alert(1)" not in response.content


async def test_an_image_can_be_analysed_again_from_the_desk(api: Api, board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    async with signed_in(api) as visitor:
        response = await visitor.post(f"/desk/images/{image_id}/generate", headers=ORIGIN)
        assert response.status_code == 303
        page = await visitor.get(response.headers["Location"])
    assert "is being analysed" in page.text


async def test_defects_and_unknown_addresses_have_pages(api: Api) -> None:
    async with signed_in(api) as visitor:
        missing = await visitor.get("/desk/nowhere")
        assert (missing.status_code, "There is no such page." in missing.text) == (404, True)
        method = await visitor.delete("/desk")
        assert method.status_code == 405
        del api.app.state.resources
        broken = await visitor.get("/desk")
    assert broken.status_code == 500
    assert "Traceback" not in broken.text
    assert broken.headers["Content-Security-Policy"]
