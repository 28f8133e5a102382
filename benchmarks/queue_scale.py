"""`queue_scale`: worklist, queue of a tag, an image's list and a review, on a board of a million images."""

import asyncio
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from benchmarks.figures import Figures, percentile
from benchmarks.installation import INSTANCE, say
from benchmarks.large_board import LABELS, LINKS_EACH, RAW_EACH, LargeBoard, fill
from benchmarks.own_board import OURS, OwnBoard, apis, found
from orchestrator import accounts
from orchestrator.api import pagination
from orchestrator.local.instance import Instance
from orchestrator.local.mariadb import BUFFER_POOL
from orchestrator.local.parts import SERVICES
from orchestrator.local.stack import Stack
from orchestrator.records import Geometry, Label, LabelCategory, QueueOrder, Role, VersionState, Vocabulary
from orchestrator.store import models
from orchestrator.store.models import NewVersion
from orchestrator.store.queues import HALF
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

PLAIN = "benchmarks.plain_queues:create_plain_app"
DATABASE = "queue_scale"
SEED = 5

_POOL, _SMALLEST_POOL = 3_072, 256
"""MiB that the server may keep of a million images' tables, and at least."""

_ROUNDS = 8
_PLAIN_ROUNDS = 1
_IMAGES_LISTED = 300
_REVIEWS = 10
_VERDICTS = 200
_TIMEOUT = 120.0
_LATEST_OFFSET = 65_000
_QUEUE = "/api/v1/tag-suggestions"

_ORDER_BY = {
    QueueOrder.CONFIDENCE: "confidence DESC, id DESC",
    QueueOrder.UNCERTAINTY: f"ABS(CAST(confidence AS SIGNED) - {HALF}), confidence < {HALF}, id",
    QueueOrder.NEWEST: "id DESC",
}

Asked = tuple[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Large:
    """A filled board. `version_ids`: of wd14, which decided most rows, and of another model."""

    own: OwnBoard
    board: LargeBoard
    token: str
    pending: int
    seconds: float


async def queue_scale(scale: float) -> Figures:
    """Fill a database of `scale` times a million images and measure ours, then the plain design, on it."""
    pool = f"{max(_SMALLEST_POOL, round(_POOL * scale))}M"
    os.environ.setdefault(BUFFER_POOL, pool)
    stack = Stack(Instance.named(INSTANCE), report=say)
    stack.up(SERVICES)
    try:
        own = await found(stack, DATABASE)
        try:
            return await _measure(await _fill(own, scale), scale)
        finally:
            await own.drop()
    finally:
        stack.down()


async def _fill(own: OwnBoard, scale: float) -> Large:
    board = LargeBoard.of(scale)
    store = await Store.connect(own.settings)
    try:
        uploader = await accounts.create_user(store, name="uploader", role=Role.UPLOADER)
        moderator = await accounts.create_user(store, name="moderator", role=Role.MODERATOR)
        token = await accounts.issue_token(store, moderator)

        async def versions(tx: Transaction) -> tuple[int, int]:
            first = await models.insert_version(tx, new_version("wd14"), state=VersionState.ACTIVE)
            return first, await models.insert_version(tx, new_version("other"), state=VersionState.ACTIVE)

        both = await store.write(versions)
        say(
            f"{board.images:,} images, {LINKS_EACH} links and {RAW_EACH} raw scores each, {board.tags:,} tags"
        )
        start = time.perf_counter()
        await asyncio.to_thread(fill, own.url, board, uploader.id, both)
        seconds = time.perf_counter() - start
        rows = await store.read(lambda tx: tx.fetch_rows("SELECT SUM(pending) FROM tag_pending"))
    finally:
        await store.close()
    return Large(own, board, token, int(rows[0][0]), seconds)


def new_version(name: str) -> NewVersion:
    """Return a model of 10,861 labels whose files nobody needs."""
    return NewVersion(
        name=name,
        version=1,
        source="danbooru",
        vocabulary=Vocabulary.DANBOORU,
        priority=10,
        sha256="0" * 64,
        geometry=Geometry(448, (255, 255, 255), "bicubic"),
        labels=tuple(Label(n, f"label_{n}", LabelCategory.GENERAL) for n in range(LABELS)),
        general_floor=None,
        board_floor=None,
        label_floors={},
        manifest=json.dumps({}),
    )


async def _measure(large: Large, scale: float) -> Figures:
    dice = random.Random(SEED)
    worklist, queue = _worklist(), await _queue(large, dice)
    pictures: list[Asked] = [
        (f"/api/v1/images/{dice.randrange(1, large.board.images + 1)}/tag-suggestions", {})
        for _ in range(_IMAGES_LISTED)
    ]
    async with apis(OURS, large.own.environment, count=1) as (address,), _client(address, large) as client:
        await _each(client, [*worklist, *queue, *pictures[:30]])
        listed = await _each(client, worklist * _ROUNDS)
        shown = await _each(client, queue * _ROUNDS)
        looked = await _each(client, pictures)
        by_model = await _each(client, _by_model(queue) * _ROUNDS)
        pages = await _each(client, _pages(large) * _ROUNDS)
        reviewed = await _reviews(client, large)
    say("the plain design")
    async with apis(PLAIN, large.own.environment, count=1) as (address,), _client(address, large) as client:
        plain_listed = await _each(client, worklist * _PLAIN_ROUNDS)
        plain_shown = await _each(client, queue * _PLAIN_ROUNDS)
    return Figures(
        "queue_scale",
        f"{large.board.images:,} images, one caller, one API process: worklist, pages anywhere in the queue"
        f" of a tag, an image's list, {_VERDICTS} verdicts in one request",
        {
            "pending_rows": large.pending,
            "worklist_p95_ms": _milliseconds(listed),
            "grid_p95_ms": _milliseconds(shown),
            "image_list_p95_ms": _milliseconds(looked),
            "image_queue_p95_ms": _milliseconds(pages),
            "by_model_p95_ms": _milliseconds(by_model),
            "review200_ms": _milliseconds(reviewed),
            "worklist_ratio": round(_milliseconds(plain_listed) / _milliseconds(listed), 1),
            "grid_ratio": round(_milliseconds(plain_shown) / _milliseconds(shown), 1),
            "plain_worklist_p95_ms": _milliseconds(plain_listed),
            "plain_grid_p95_ms": _milliseconds(plain_shown),
            "worklist_p50_ms": _milliseconds(listed, 50),
            "grid_p50_ms": _milliseconds(shown, 50),
            "generated_s": round(large.seconds, 1),
            "scale": scale,
        },
    )


def _milliseconds(seconds: Sequence[float], share: float = 95) -> float:
    return round(percentile(seconds, share) * 1000, 2)


def _client(address: str, large: Large) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=address, headers={"Authorization": f"Bearer {large.token}"}, timeout=_TIMEOUT
    )


async def _each(client: httpx.AsyncClient, asked: Sequence[Asked]) -> list[float]:
    """Ask one after the other; returns how long each took."""
    seconds = []
    for path, parameters in asked:
        start = time.perf_counter()
        answer = await client.get(path, params=parameters)
        seconds.append(time.perf_counter() - start)
        answer.raise_for_status()
    return seconds


def _worklist() -> list[Asked]:
    """The worklist with each of its filters but the model."""
    path = f"{_QUEUE}/worklist"
    middle = pagination.encode("worklist", 50, 10)
    return [
        (path, {}),
        (path, {"limit": "200"}),
        (path, {"cursor": middle}),
        (path, {"type": "theme"}),
        (path, {"type": "character"}),
        (path, {"min_confidence": "0.5"}),
        (path, {"min_confidence": "0.9", "type": "character"}),
        (path, {"search": "12"}),
    ]


def _by_model(queue: Sequence[Asked]) -> list[Asked]:
    """Questions about one model, which the plain design is not asked."""
    path = f"{_QUEUE}/worklist"
    pages = [
        (path, parameters | {"model": "other"}) for path, parameters in queue if "cursor" not in parameters
    ]
    return [(path, {"model": "other"}), (path, {"model": "wd14", "min_confidence": "0.8"}), *pages]


async def _queue(large: Large, dice: random.Random) -> list[Asked]:
    """Pages at the start, the middle and the end of large and small queues, in every order."""
    asked: list[Asked] = []
    store = await Store.connect(large.own.settings)
    try:
        rows = await store.read(
            lambda tx: tx.fetch_rows(
                "SELECT tag_id, pending FROM tag_pending WHERE pending > 60 ORDER BY pending DESC, tag_id"
            )
        )
        middling = rows[3:]
        chosen = [*rows[:3], *dice.sample(middling, min(3, len(middling)))]
        for tag_id, pending in chosen:
            for order in QueueOrder:
                for share in (0.0, 0.4, 0.8):
                    skipped = min(round(pending * share), _LATEST_OFFSET)
                    cursor = await store.read(
                        lambda tx, t=tag_id, o=order, n=skipped: _cursor(tx, t, o, n)  # type: ignore[misc]
                    )
                    parameters = {"tag_id": str(tag_id), "order": str(order)}
                    asked.append((_QUEUE, parameters | ({} if cursor is None else {"cursor": cursor})))
            asked.append((_QUEUE, {"tag_id": str(tag_id), "min_confidence": "0.8"}))
    finally:
        await store.close()
    return asked


async def _cursor(tx: Transaction, tag_id: int, order: QueueOrder, skipped: int) -> str | None:
    """Return the cursor of the page behind so many rows."""
    if skipped == 0:
        return None
    rows = await tx.fetch_rows(
        "SELECT id, confidence FROM suggestions WHERE tag_id = :tag_id AND status = 'pending'"  # noqa: S608
        f" AND exploration = FALSE ORDER BY {_ORDER_BY[order]} LIMIT 1 OFFSET :last",
        tag_id=tag_id,
        last=max(0, round(skipped * 0.9) - 1),
    )
    ((suggestion_id, confidence),) = rows
    first = {
        QueueOrder.CONFIDENCE: confidence,
        QueueOrder.UNCERTAINTY: abs(confidence - HALF),
        QueueOrder.NEWEST: 0,
    }[order]
    second = int(order is QueueOrder.UNCERTAINTY and confidence < HALF)
    return pagination.encode(f"queue {tag_id} {order}", 1, first, second, suggestion_id, 0, skipped)


def _pages(large: Large) -> list[Asked]:
    """The queue of images, with each of its filters, at the start and in the middle."""
    middle = pagination.encode("images", 0, large.board.images // 2)
    pending = {"pending": "true"}
    return [
        ("/api/v1/images", pending),
        ("/api/v1/images", pending | {"cursor": middle}),
        ("/api/v1/images", pending | {"type": "character"}),
        ("/api/v1/images", pending | {"type": "artist"}),
        ("/api/v1/images", pending | {"model": "other"}),
        ("/api/v1/images", pending | {"uploader": "uploader"}),
        ("/api/v1/images", pending | {"uploaded_before": "2020-01-05T00:00:00Z"}),
    ]


async def _reviews(client: httpx.AsyncClient, large: Large) -> list[float]:
    """Approve page after page of the largest queue; returns how long each request took."""
    seconds = []
    tags = (await client.get(f"{_QUEUE}/worklist")).raise_for_status().json()["items"]
    tag_id = tags[0]["tag"]["id"]
    for _ in range(_REVIEWS):
        page = await client.get(_QUEUE, params={"tag_id": str(tag_id), "limit": str(_VERDICTS)})
        decisions = [
            {"suggestion_id": row["id"], "version": row["version"], "decision": "approve"}
            for row in page.raise_for_status().json()["items"]
        ]
        start = time.perf_counter()
        answer = await client.post(f"{_QUEUE}/review", json={"decisions": decisions})
        seconds.append(time.perf_counter() - start)
        results = answer.raise_for_status().json()["results"]
        if {one["outcome"] for one in results} != {"applied"}:
            raise RuntimeError("not every verdict went through")
    return seconds
