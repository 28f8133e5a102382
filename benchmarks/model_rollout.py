"""`model_rollout`: sixteen clients while versions come and go. Nobody should notice.

A version is published, shadows all images now and then, is promoted, a broken one is refused, the new one is
taken back and removed. An answer by a version that was not in use between its request and itself is
unintended.
"""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
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
from orchestrator.rollout.shadowing import end_shadow, find_shadow, shadow
from orchestrator.rollout.switching import Place, promote, roll_back
from orchestrator.store import models

NAME = "custom_theme"
ANALYSING, UPLOADING = 12, 4

_QUIET = 3.0
_WINDOW = 8.0
"""Seconds of one measurement without the shadow, or with it; both take turns."""
_SETTLE = 2.5
"""Seconds until every worker has heard that there is a shadow, or that there is none any more."""
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
    spans: list[tuple[float, float]] = field(default_factory=list)
    versions: set[int] = field(default_factory=set)

    def p95_ms(self, windows: Sequence[tuple[float, float]] = ((0.0, float("inf")),)) -> float:
        """Return the 95th percentile of the requests that lie within one of the windows, in milliseconds."""
        inside = [
            end - start
            for start, end in self.spans
            if any(since <= start and end <= until for since, until in windows)
        ]
        return round(percentile(inside, 95) * 1000, 1)


@dataclass(frozen=True, slots=True)
class Rollout:
    """The new version's number, when it shadowed and when it did not, and how many images it saw so."""

    version: int
    on: list[tuple[float, float]]
    off: list[tuple[float, float]]
    shadowed: int


async def model_rollout(pairs: int = 3) -> Figures:
    """Run the clients through publish, `pairs` of times with and without a shadow, promote, a refused
    publish, roll back, and remove."""
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
            rollout = await _roll(place, triton, timeline, first, pairs)
            await asyncio.sleep(_QUIET)
    on, off = tally.p95_ms(rollout.on), tally.p95_ms(rollout.off)
    return Figures(
        "model_rollout",
        f"{ANALYSING + UPLOADING} clients during publish, shadow, promote, roll back and remove",
        {
            "failed": tally.failed,
            "unintended": tally.unintended,
            "shadow_p95_ratio": round(on / off, 3),
            "shadow_p95_ms": on,
            "p95_without_shadow_ms": off,
            "shadowed_images": rollout.shadowed,
            "requests": tally.requests,
            "p95_ms": tally.p95_ms(),
            "versions_seen": ", ".join(map(str, sorted(tally.versions))),
            "both_were_used": int(tally.versions >= {first, rollout.version}),
        },
    )


async def _in_use(place: Installation) -> int:
    rows = await place.store.read(models.list_versions)
    return next(row.version for row in rows if row.name == NAME and row.state is VersionState.ACTIVE)


async def _roll(
    place: Installation, triton: TritonClient, timeline: Timeline, first: int, pairs: int
) -> Rollout:
    """Do what an engineer does in a bad week."""
    ours = Place(place.store, place.settings, triton, "benchmark", say)
    publisher = Publisher(place.store, place.settings, triton, "benchmark", say=say)
    with TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        shutil.copytree(checkout() / "model_repository" / NAME / "1", source)
        say("publish")
        second = (await publisher.publish(source)).model.version
        on, off, shadowed = await _shadow(ours, second, pairs)
        say("promote")
        timeline.now(first, second)
        await promote(ours, NAME, second, force=True, reason="nobody judges a benchmark")
        timeline.now(second)
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
        say("roll back")
        timeline.now(first, second)
        await roll_back(ours, NAME)
        timeline.now(first)
        say("remove the second")
        await lifecycle.remove(place.store, place.settings, triton, NAME, second, actor="benchmark", say=say)
    return Rollout(second, on, off, shadowed)


async def _shadow(
    ours: Place, version: int, pairs: int
) -> tuple[list[tuple[float, float]], list[tuple[float, float]], int]:
    """Let the version look at all images, and at none, in turns; returns when it did, when it did not, and
    how many it saw."""
    on: list[tuple[float, float]] = []
    off: list[tuple[float, float]] = []
    for number in range(pairs):
        say(f"without and with a shadow, {number + 1} of {pairs}")
        off.append(await _window())
        found = await shadow(ours, NAME, version, 1.0)
        on.append(await _window())
        found = await find_shadow(ours.store, found.version_id) or found
        await end_shadow(ours, NAME, version)
    return on, off, found.images


async def _window() -> tuple[float, float]:
    await asyncio.sleep(_SETTLE)
    start = time.perf_counter()
    await asyncio.sleep(_WINDOW)
    return start, time.perf_counter()


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
        tally.spans.append((start, end))
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
