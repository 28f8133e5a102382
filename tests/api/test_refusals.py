"""What is wrong with a request is said as a problem document, and never as a traceback."""

import time
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from serving import Api, assert_problem, serving
from small_board import SmallBoard
from wire import wire_to

from orchestrator.records import Role, User
from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store

pytestmark = pytest.mark.anyio

IMAGES = "/api/v1/images"


async def test_an_address_that_is_not_served(api: Api) -> None:
    assert_problem(await api.get("/api/v1/nothing"), 404, "no_such_route")


@pytest.mark.parametrize("what", ["twelve", "0", "-1", "1.0", "٣", "9223372036854775808", "9" * 5000])
async def test_what_can_be_no_id_is_not_found(api: Api, what: str) -> None:
    assert_problem(await api.get(f"{IMAGES}/{what}"), 404, "image_not_found")


async def test_a_method_that_is_not_served(api: Api) -> None:
    response = await api.http.delete(IMAGES, headers=api.as_role(Role.ADMIN))
    assert_problem(response, 405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"url": "https://a.example/"', b"\xff\xfe", b'{"url": "\\ud800"}']
)
async def test_malformed_json(api: Api, body: bytes) -> None:
    response = await api.http.post(
        IMAGES, content=body, headers=api.as_role(Role.TAGGER) | {"Content-Type": "application/json"}
    )
    assert_problem(response, 400, "malformed_json")


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{}",
        '{"url": 5}',
        '{"url": "https://a.example/1.png", "path": "/pictures/1.png"}',
        '{"url": "https://a.example/1.png", "surprise": 1}',
        '{"url": "https://a.example/1.png", "external_id": 0}',
        '{"url": "https://a.example/1.png", "external_id": 9223372036854775808}',
        '{"url": "https://a.example/1.png", "external_id": true}',
    ],
)
async def test_json_that_breaks_its_schema_is_told_where(api: Api, body: str) -> None:
    response = await api.http.post(
        IMAGES, content=body, headers=api.as_role(Role.TAGGER) | {"Content-Type": "application/json"}
    )
    assert_problem(response, 422, "invalid_request")
    assert all(error["pointer"].startswith("/") for error in response.json()["errors"])


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "image/png", ""])
async def test_a_media_type_that_nobody_reads(api: Api, media_type: str) -> None:
    response = await api.http.post(
        IMAGES, content=b"x", headers=api.as_role(Role.TAGGER) | {"Content-Type": media_type}
    )
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=many", "limit=201", "surprise=1", "state=lost", "limit=1&limit=2"]
)
async def test_a_query_that_does_not_fit(api: Api, query: str) -> None:
    assert_problem(await api.get(f"{IMAGES}?{query}"), 422, "invalid_request")


@pytest.mark.parametrize("cursor", ["x", "!!!!", "W10", "WyJzdWdnZXN0aW9ucyIsMSwyXQ", "WyJpbWFnZXMiLC0xXQ"])
async def test_a_cursor_that_is_not_of_this_list(api: Api, cursor: str) -> None:
    assert_problem(await api.get(f"{IMAGES}?cursor={cursor}"), 422, "bad_cursor")


async def test_a_document_over_a_mebibyte_is_refused(api: Api, board: SmallBoard) -> None:
    image_id = await board.register()
    response = await api.post(
        f"{IMAGES}/{image_id}/tag-suggestions/review", json={"decisions": [], "x": "y" * 1_100_000}
    )
    assert_problem(response, 413, "body_too_large")


async def test_a_body_that_hides_its_length_is_refused_while_it_streams(api: Api) -> None:
    """Given an endless upload, when it passes the limit, then reading ends there."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        while sent < 50_000_000:
            sent += 65_536
            yield b"\0" * 65_536

    response = await api.http.post(
        IMAGES,
        content=endless(),
        headers=api.as_role(Role.TAGGER) | {"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert_problem(response, 413, "body_too_large")
    assert sent < 1_000_000


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary here"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
    ],
    ids=["no boundary", "another", "no name"],
)
async def test_a_malformed_form(api: Api, content_type: str, body: bytes) -> None:
    response = await api.http.post(
        IMAGES, content=body, headers=api.as_role(Role.TAGGER) | {"Content-Type": content_type}
    )
    assert_problem(response, 400, "malformed_multipart")


@pytest.mark.parametrize("key", ["", "x" * 201, "tab\there"])
async def test_an_idempotency_key_that_can_be_none(api: Api, key: str) -> None:
    response = await api.post(IMAGES, key=key, json={"url": "https://a.example/1.png"})
    assert_problem(response, 422, "bad_idempotency_key")


@pytest.mark.parametrize("fault", ["dies", "hangs"])
async def test_a_database_that_is_away_is_said_within_two_seconds(
    api_settings: Settings, people: dict[Role, User], store: Store, fault: str
) -> None:
    """Given a database that dies or hangs, when anybody asks, then 503 says to come back."""
    async with wire_to(api_settings.database_url.get_secret_value()) as (wire, url):
        settings = api_settings.model_copy(update={"database_url": SecretStr(url)})
        async with serving(settings, people, store) as api:
            assert (await api.get(IMAGES)).status_code == 200
            if fault == "dies":
                await wire.cut()
            else:
                wire.hang()
            start = time.monotonic()
            response = await api.get(IMAGES)
            assert time.monotonic() - start < 2
            assert_problem(response, 503, "store_unavailable")
            assert int(response.headers["Retry-After"]) > 0
            assert (await api.get("/health/live")).status_code == 200
            readiness = await api.get("/health/ready")
            assert readiness.status_code == 503
            assert readiness.json()["database"]["ready"] is False
            if fault == "dies":
                await wire.start()
            wire.flow()
            assert (await api.get(IMAGES)).status_code == 200


async def test_a_defect_of_ours_shows_an_id_and_nothing_else(api: Api) -> None:
    """Given an application that lost its resources, when it is called, then it answers 500 and an id."""
    del api.app.state.resources
    response = await api.get(IMAGES)
    assert_problem(response, 500, "internal_error")
    assert response.headers["X-Request-ID"]
