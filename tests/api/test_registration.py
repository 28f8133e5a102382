"""Registering pictures: three ways in, once per external id or key, and never waiting for the pipeline."""

import io
from pathlib import Path

import pytest
from PIL import Image
from pydantic import SecretStr
from serving import Api, assert_problem, serving

from orchestrator.actors import WorkQueue
from orchestrator.records import Priority, Role, SourceKind, User
from orchestrator.settings import Settings
from orchestrator.store import images
from orchestrator.store.unit_of_work import Store

pytestmark = pytest.mark.anyio

IMAGES = "/api/v1/images"
URL = "https://pictures.example/4711.jpg"


def png(colour: str = "teal", size: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "PNG")
    return buffer.getvalue()


async def waiting(api: Api) -> int:
    """How many messages wait in the live queue."""
    queue: WorkQueue = api.app.state.resources.queue
    depth = await queue.depth(Priority.LIVE)
    assert depth is not None
    return depth.ready


async def test_a_url_is_registered_and_queued(api: Api, store: Store) -> None:
    response = await api.post(IMAGES, Role.UPLOADER, json={"url": URL, "external_id": 4711})
    assert response.status_code == 202
    body = response.json()
    assert (body["external_id"], body["status"], body["created"]) == (4711, "queued", True)
    assert response.headers["Location"] == body["links"]["self"] == f"{IMAGES}/{body['id']}"
    row = await store.read(lambda tx: images.get(tx, body["id"]))
    assert (row.source.kind, row.source.location) == (SourceKind.URL, URL)
    assert row.uploader_id == api.people[Role.UPLOADER].id
    assert await waiting(api) == 1


async def test_an_upload_is_kept_as_a_blob_and_sent_back(api: Api, api_settings: Settings) -> None:
    response = await api.post(
        IMAGES,
        Role.UPLOADER,
        files={"file": ("any name.png", png(), "image/png")},
        data={"external_id": "12"},
    )
    assert response.status_code == 202, response.text
    body = response.json()
    assert body["external_id"] == 12
    assert len([path for path in api_settings.blob_dir.rglob("*") if path.is_file()]) == 1
    picture = await api.get(body["links"]["file"], Role.UPLOADER)
    assert picture.content == png()
    assert picture.headers["Content-Type"] == "image/png"
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    again = await api.http.get(
        body["links"]["file"],
        headers=api.as_role(Role.UPLOADER) | {"If-None-Match": picture.headers["ETag"]},
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.ADMIN])
async def test_a_path_below_a_root_is_for_engineer_and_admin(api: Api, pictures: Path, role: Role) -> None:
    (pictures / "one.png").write_bytes(png())
    response = await api.post(IMAGES, role, json={"path": str(pictures / "one.png")})
    assert response.status_code == 202
    picture = await api.get(response.json()["links"]["file"], role)
    assert picture.content == png()


@pytest.mark.parametrize("role", [Role.UPLOADER, Role.TAGGER, Role.MODERATOR])
async def test_a_path_is_for_nobody_else(api: Api, pictures: Path, role: Role) -> None:
    assert_problem(await api.post(IMAGES, role, json={"path": f"{pictures}/one.png"}), 403, "role_forbids")


async def test_a_path_that_leads_elsewhere_is_refused(api: Api, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    (pictures / "link.png").symlink_to(tmp_path / "secret.png")
    for path in (
        tmp_path / "secret.png",
        pictures / "../secret.png",
        pictures / "link.png",
        Path("one.png"),
        Path("/etc/passwd"),
    ):
        response = await api.post(IMAGES, Role.ADMIN, json={"path": str(path)})
        assert_problem(response, 422, "path_refused")


async def test_a_path_that_is_not_there_yet_is_registered_and_left_to_the_analysis(
    api: Api, pictures: Path
) -> None:
    response = await api.post(IMAGES, Role.ENGINEER, json={"path": str(pictures / "later.png")})
    assert response.status_code == 202


@pytest.mark.parametrize(
    "url",
    [
        "ftp://pictures.example/1.png",
        "file:///etc/passwd",
        "//pictures.example/1.png",
        "pictures.example/1.png",
        "https:///1.png",
        "https://user:secret@pictures.example/1.png",
        "https://pictures.example:port/1.png",
        "https://[::1/1.png",
        "https://pictures.example/\n1.png",
        "javascript:alert(1)",
    ],
)
async def test_a_url_that_no_fetch_will_accept_is_refused(api: Api, url: str) -> None:
    assert_problem(await api.post(IMAGES, json={"url": url}), 422, "url_refused")


async def test_a_text_file_named_png_is_taken_for_the_decoder_to_judge(api: Api) -> None:
    """Given a text file under a picture's name, when uploaded, then the decoder judges it later."""
    response = await api.post(IMAGES, files={"file": ("picture.png", b"hello\n" * 20, "image/png")})
    assert response.status_code == 202
    shown = await api.get(response.json()["links"]["file"])
    assert_problem(shown, 422, "not_an_image")


async def test_what_is_wrong_with_an_upload(api: Api) -> None:
    none = await api.post(IMAGES, files={"picture": ("a.png", png(), "image/png")})
    assert_problem(none, 422, "file_missing")
    empty = await api.post(IMAGES, files={"file": ("a.png", b"", "image/png")})
    assert_problem(empty, 422, "file_empty")
    surprise = await api.post(IMAGES, files={"file": ("a.png", png(), "image/png")}, data={"url": URL})
    assert_problem(surprise, 422, "invalid_request")
    large = await api.post(IMAGES, files={"file": ("a.png", b"\0" * 200_001, "image/png")})
    assert_problem(large, 413, "body_too_large")


async def test_registering_an_external_id_again_changes_nothing(api: Api) -> None:
    first = await api.post(IMAGES, json={"url": URL, "external_id": 9})
    second = await api.post(IMAGES, json={"url": f"{URL}?other", "external_id": 9})
    assert second.status_code == 202
    assert second.json() == first.json() | {"created": False}
    assert await waiting(api) == 1


async def test_repeating_a_key_names_the_same_image(api: Api) -> None:
    """Given an answer that got lost, when the upload is repeated under its key, then there is one image."""
    files = {"file": ("a.png", png(), "image/png")}
    first = await api.post(IMAGES, key="upload-1", files=files)
    again = await api.post(IMAGES, key="upload-1", files=files)
    assert again.json() == first.json() | {"created": False}
    other_user = await api.post(IMAGES, Role.MODERATOR, key="upload-1", files=files)
    assert other_user.json()["id"] != first.json()["id"]
    reused = await api.post(IMAGES, key="upload-1", files={"file": ("b.png", png("red"), "image/png")})
    assert_problem(reused, 409, "idempotency_key_reused")
    assert await waiting(api) == 2


async def test_without_id_or_key_equal_bytes_are_two_images(api: Api) -> None:
    files = {"file": ("a.png", png(), "image/png")}
    ids = {(await api.post(IMAGES, files=files)).json()["id"] for _ in range(2)}
    assert len(ids) == 2


async def test_uploads_are_accepted_while_redis_and_triton_are_away(
    api_settings: Settings, people: dict[Role, User], store: Store
) -> None:
    settings = api_settings.model_copy(
        update={"redis_url": SecretStr("redis://127.0.0.1:9/0"), "triton_url": "127.0.0.1:9"}
    )
    async with serving(settings, people, store) as api:
        response = await api.post(IMAGES, files={"file": ("a.png", png(), "image/png")})
        assert response.status_code == 202
        ready = await api.get("/health/ready")
    assert ready.status_code == 503
    found = ready.json()
    assert (found["ready"], found["database"]["ready"], found["redis"]["ready"]) == (False, True, False)
    assert [model["ready"] for model in found["inference"]["models"]] == [False]
