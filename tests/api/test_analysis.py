"""Analysing pictures over HTTP with the shipped models on a real Triton, and what health says of it."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from PIL import Image
from serving import Api, assert_problem, serving

from orchestrator import accounts
from orchestrator.demo.portraits import draw_portrait
from orchestrator.inference.client import TritonClient
from orchestrator.records import MappingAction, Priority, Role, TagType, User
from orchestrator.registry.labels import read_labels
from orchestrator.registry.manifest import read_manifest
from orchestrator.registry.register import register_folder
from orchestrator.settings import Settings
from orchestrator.store import mappings, tags
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

pytestmark = pytest.mark.anyio

ANALYZE = "/api/v1/tag-suggestions/analyze"


@dataclass(frozen=True)
class Portrait:
    """A drawn picture as a file, and what is in it."""

    data: bytes
    labels: frozenset[str]


@pytest.fixture
def portrait() -> Portrait:
    drawn = draw_portrait(20_260_105, clean=True, aspect=1.0)
    buffer = io.BytesIO()
    drawn.image.save(buffer, "PNG")
    return Portrait(buffer.getvalue(), drawn.labels)


@pytest.fixture
async def looking(settings: Settings, store: Store) -> AsyncIterator[Api]:
    """The application with the shipped wd14 active, every label of it mapped to a tag of the same name."""
    folder = settings.model_repository / "wd14" / "1"
    names = [label.name for label in read_labels(folder, read_manifest(folder))]

    async def load(tx: Transaction) -> None:
        made = await tags.upsert_many(
            tx, [tags.NewTag(name.replace("_", " "), TagType.THEME) for name in names]
        )
        rows = [
            mappings.NewMapping("danbooru", name, MappingAction.MAP, tag.id)
            for name, tag in zip(names, made, strict=True)
        ]
        await mappings.upsert_many(tx, rows, actor_id=None)

    await store.write(load)
    await register_folder(store, settings, "wd14", 1)
    async with TritonClient.from_settings(settings) as triton:
        await triton.load("wd14", [1], repository=settings.model_repository)
    people: dict[Role, User] = {
        role: await accounts.create_user(store, name=f"the {role}", role=role) for role in Role
    }
    async with serving(settings, people, store) as api:
        yield api


@pytest.mark.parametrize("role", list(Role))
async def test_bytes_in_tags_out_and_nothing_stored(
    looking: Api, portrait: Portrait, store: Store, role: Role
) -> None:
    """Given a drawn portrait, when anybody has it analysed, then its hair and eyes are named."""
    response = await looking.post(ANALYZE, role, files={"file": ("portrait.png", portrait.data, "image/png")})
    assert response.status_code == 200, response.text
    found = response.json()
    titles = {one["tag"]["title"].replace(" ", "_") for one in found["suggestions"]}
    expected = {label for label in portrait.labels if label.endswith(("_hair", "_eyes"))}
    assert expected
    assert expected <= titles
    assert found["models"] == [{"name": "wd14", "version": 1, "source": "danbooru"}]
    assert all(0 <= one["score"] <= 1 and 0 <= one["confidence"] <= 1 for one in found["suggestions"])
    stored = await store.read(
        lambda tx: tx.fetch_one(
            "SELECT (SELECT COUNT(*) FROM images) + (SELECT COUNT(*) FROM raw_predictions) AS amount"
        )
    )
    assert stored is not None
    assert stored["amount"] == 0


async def test_the_body_itself_may_be_the_picture(looking: Api, portrait: Portrait) -> None:
    as_form = await looking.post(ANALYZE, files={"file": ("a.png", portrait.data, "image/png")})
    headers = looking.as_role(Role.TAGGER) | {"Content-Type": "image/png"}
    as_body = await looking.http.post(ANALYZE, content=portrait.data, headers=headers)
    assert as_body.status_code == 200
    assert as_body.json() == as_form.json()


async def test_what_is_no_picture_is_told_by_its_code(looking: Api, portrait: Portrait) -> None:
    async def ask(data: bytes) -> str:
        response = await looking.post(ANALYZE, files={"file": ("picture.png", data, "image/png")})
        assert response.status_code == 422, response.text
        code: str = response.json()["code"]
        assert_problem(response, 422, code)
        return code

    tiny = io.BytesIO()
    Image.new("RGB", (4, 4)).save(tiny, "PNG")
    assert await ask(b"I am a text file, whatever my name says.") == "not_an_image"
    assert await ask(portrait.data[: len(portrait.data) // 2]) == "truncated"
    assert await ask(tiny.getvalue()) == "too_small"
    assert await ask(b"") == "file_empty"


async def test_without_triton_the_answer_is_to_come_back(
    settings: Settings, looking: Api, portrait: Portrait, store: Store
) -> None:
    away = settings.model_copy(update={"triton_url": "127.0.0.1:9", "inference_timeout": 1.0})
    async with serving(away, looking.people, store) as api:
        response = await api.post(ANALYZE, files={"file": ("a.png", portrait.data, "image/png")})
    assert response.status_code == 503
    assert response.headers["Content-Type"] == "application/problem+json"
    assert int(response.headers["Retry-After"]) > 0


async def test_ready_says_every_part_and_version(looking: Api) -> None:
    response = await looking.http.get("/health/ready")
    assert response.status_code == 200, response.text
    found = response.json()
    assert found["ready"] is True
    (model,) = found["inference"]["models"]
    assert (model["name"], model["version"], model["ready"]) == ("wd14", 1, True)
    live = await looking.http.get("/health/live")
    assert live.json()["status"] == "ok"


async def test_an_upload_ends_with_the_right_suggestions(looking: Api, portrait: Portrait) -> None:
    """Given an upload, when the pipeline has run, then approving what it found links the tag."""
    files = {"file": ("portrait.png", portrait.data, "image/png")}
    image = (await looking.post("/api/v1/images", Role.UPLOADER, files=files)).json()
    await looking.app.state.resources.pipeline.analyse_images([image["id"]], Priority.LIVE)
    found = (await looking.get(image["links"]["suggestions"], Role.UPLOADER)).json()
    assert (await looking.get(image["links"]["status"], Role.UPLOADER)).json()["status"] == "done"
    eyes = next(one for one in found["items"] if one["tag"]["title"].endswith(" eyes"))
    assert eyes["tag"]["title"].replace(" ", "_") in portrait.labels
    answer = await looking.post(
        f"{image['links']['suggestions']}/review",
        Role.UPLOADER,
        json={
            "decisions": [{"suggestion_id": eyes["id"], "version": eyes["version"], "decision": "approve"}]
        },
    )
    assert answer.json()["results"][0]["linked"] is True


async def test_a_text_file_named_png_ends_failed_with_its_reason(looking: Api) -> None:
    files = {"file": ("picture.png", b"no picture at all " * 9, "image/png")}
    image = (await looking.post("/api/v1/images", files=files)).json()
    await looking.app.state.resources.pipeline.analyse_images([image["id"]], Priority.LIVE)
    status = (await looking.get(image["links"]["status"])).json()
    assert (status["status"], status["failure"]["code"]) == ("failed", "not_an_image")


async def test_metrics_tell_of_requests_queues_and_images(looking: Api) -> None:
    await looking.get("/api/v1/images")
    response = await looking.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")
    assert (
        'tagdesk_http_request_seconds_count{method="GET",route="/api/v1/images",status="200"}'
        in response.text
    )
    assert 'tagdesk_queue_messages{queue="live",state="ready"}' in response.text
    assert 'tagdesk_images{state="queued"}' in response.text
