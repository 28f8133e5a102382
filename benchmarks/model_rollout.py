"""`model_rollout`: sixteen clients while versions come and go. Nobody should notice.

A version is published, put in use, a broken one is refused, the first one is put in use again, and the new
one is removed. An answer by a version that was not in use between its request and itself is unintended.
"""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.figures import Figures, percentile
from benchmarks.installation import Installation, installation, say
from benchmarks.pictures import uploads
from orchestrator.inference.client import TritonClient
from orchestrator.local.instance import checkout
from orchestrator.records import VersionState
from orchestrator.registry import lifecycle
from orchestrator.registry.manifest import MANIFEST_NAME
from orchestrator.registry.publish import ModelRefused, Publisher
from orchestrator.store import models

NAME = "custom_theme"
ANALYSING, UPLOADING = 12, 4

_QUIET = 3.0
_PATIENCE = 60.0
_POLL = 0.05


@dataclass
class Timeline:
    """Since when which version may answer; during a switch both may."""

    allowed: list[tuple[float, frozenset[int]]] = field(default_factory=list)

    def now(self, *versions: int) -> None:
        """From now on these may answer."""
        self.allowed.append((time.perf_counter(), frozenset(versions)))

    def between(self, start: float, end: float) -> frozenset[int]:
        """Return every version that might answer at some time of this span."""
        found: set[int] = set()
        for (since, versions), (until, _) in zip(
            self.allowed, [*self.allowed[1:], (float("inf"), frozenset())], strict=True
        ):
            if since <= end and start <= until:
                found |= versions
        return frozenset(found)


@dataclass
class Tally:
    """What the clients saw."""

    requests: int = 0
    failed: int = 0
    unintended: int = 0
    seconds: list[float] = field(default_factory=list)
    versions: set[int] = field(default_factory=set)


async def model_rollout() -> Figures:
    """Run the clients through publish, activate, a failed publish, back, and remove."""
    async with installation() as place:
        tally, timeline = Tally(), Timeline()
        pictures = uploads(place.stack.instance.pictures, 24)
        first = await _in_use(place)
        timeline.now(first)
        async with (
            _clients(place, pictures, tally, timeline),
            TritonClient.from_settings(place.settings) as triton,
        ):
            await asyncio.sleep(_QUIET)
            second = await _roll(place, triton, timeline, first)
            await asyncio.sleep(_QUIET)
    return Figures(
        "model_rollout",
        f"{ANALYSING + UPLOADING} clients during publish, activate, failed publish, reactivate and remove",
        {
            "requests": tally.requests,
            "failed_requests": tally.failed,
            "unintended_version_images": tally.unintended,
            "p50_ms": round(percentile(tally.seconds, 50) * 1000, 1),
            "p95_ms": round(percentile(tally.seconds, 95) * 1000, 1),
            "versions_seen": ", ".join(map(str, sorted(tally.versions))),
            "both_were_used": int(tally.versions >= {first, second}),
        },
    )


async def _in_use(place: Installation) -> int:
    rows = await place.store.read(models.list_versions)
    return next(row.version for row in rows if row.name == NAME and row.state is VersionState.ACTIVE)


async def _roll(place: Installation, triton: TritonClient, timeline: Timeline, first: int) -> int:
    """Do what an engineer does in a bad week; returns the new version's number."""
    publisher = Publisher(place.store, place.settings, triton, "benchmark", say=say)
    with TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        shutil.copytree(checkout() / "model_repository" / NAME / "1", source)
        say("publish")
        second = (await publisher.publish(source)).model.version
        say("activate")
        await _switch(place, triton, timeline, first, second)
        await asyncio.sleep(_QUIET)
        say("publish one that lies about its channels")
        manifest = json.loads((source / MANIFEST_NAME).read_text())
        order = manifest["input"]["channel_order"]
        manifest["input"]["channel_order"] = "RGB" if order == "BGR" else "BGR"
        (source / MANIFEST_NAME).write_text(json.dumps(manifest))
        try:
            await publisher.publish(source)
        except ModelRefused as refusal:
            say(f"refused: {refusal}")
        else:
            raise RuntimeError("a broken version was published")
        say("back to the first")
        await _switch(place, triton, timeline, second, first)
        say("remove the second")
        await lifecycle.remove(place.store, place.settings, triton, NAME, second, actor="benchmark", say=say)
    return second


async def _switch(
    place: Installation, triton: TritonClient, timeline: Timeline, before: int, after: int
) -> None:
    timeline.now(before, after)
    await lifecycle.activate(place.store, place.settings, triton, NAME, after, actor="benchmark", say=say)
    timeline.now(after)


@asynccontextmanager
async def _clients(
    place: Installation, pictures: list[bytes], tally: Tally, timeline: Timeline
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with (
        httpx.AsyncClient(
            base_url=place.url,
            headers={"Authorization": f"Bearer {place.token}"},
            timeout=_PATIENCE,
            limits=httpx.Limits(max_connections=2 * (ANALYSING + UPLOADING)),
        ) as http,
        asyncio.TaskGroup() as group,
    ):
        for number in range(ANALYSING + UPLOADING):
            ask = _analyse if number < ANALYSING else _upload
            group.create_task(_client(ask, http, pictures[number:], tally, timeline=timeline, stop=stop))
        yield
        stop.set()


async def _client(
    ask: Callable[[httpx.AsyncClient, bytes], Awaitable[set[int] | None]],
    http: httpx.AsyncClient,
    pictures: list[bytes],
    tally: Tally,
    *,
    timeline: Timeline,
    stop: asyncio.Event,
) -> None:
    number = 0
    while not stop.is_set():
        picture = pictures[number % len(pictures)]
        number += 1
        start = time.perf_counter()
        versions = await ask(http, picture)
        end = time.perf_counter()
        tally.requests += 1
        tally.seconds.append(end - start)
        if versions is None:
            tally.failed += 1
            continue
        tally.versions |= versions
        tally.unintended += not versions <= timeline.between(start, end)


async def _analyse(http: httpx.AsyncClient, picture: bytes) -> set[int] | None:
    """Return which versions of the model looked; None when the request failed."""
    headers = {"Content-Type": "image/jpeg"}
    answer = await http.post("/api/v1/tag-suggestions/analyze", content=picture, headers=headers)
    if not answer.is_success:
        say(f"analyze: {answer.status_code} {answer.text[:200]}")
        return None
    return {one["version"] for one in answer.json()["models"] if one["name"] == NAME}


async def _upload(http: httpx.AsyncClient, picture: bytes) -> set[int] | None:
    """Return by which versions an uploaded picture's suggestions came; None when it failed."""
    registered = await http.post("/api/v1/images", files={"file": ("upload.jpg", picture, "image/jpeg")})
    if not registered.is_success:
        return None
    address = f"/api/v1/images/{registered.json()['id']}/tag-suggestions"
    async with asyncio.timeout(_PATIENCE):
        while True:
            status = (await http.get(f"{address}/status")).raise_for_status().json()["status"]
            if status == "failed":
                return None
            if status == "done":
                found = (await http.get(address)).raise_for_status().json()["items"]
                return {
                    proof["model_version"]
                    for one in found
                    for proof in one["evidence"]
                    if proof["model_name"] == NAME
                }
            await asyncio.sleep(_POLL)
