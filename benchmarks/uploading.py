"""`live_latency` and `burst`: what an uploader waits for."""

import asyncio
import time
from dataclasses import dataclass

import httpx

from benchmarks.figures import Figures, percentile
from benchmarks.installation import Installation, installation, say
from benchmarks.pictures import uploads

_POLL = 0.01
_PATIENCE = 120.0
_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload: seconds from the start of the POST until GET shows the suggestions, or a failure."""

    seconds: float
    answered: float
    failed: bool


async def live_latency(count: int = 120, interval: float = 1.0) -> Figures:
    """Upload pictures of 1 to 4 megapixels, one every `interval` seconds, and wait for their suggestions."""
    async with installation() as place:
        pictures = uploads(place.stack.instance.pictures, count + 3)
        async with client_of(place) as client:
            for warm_up in pictures[count:]:
                await upload(client, warm_up)
            say(f"uploading {count} pictures, one every {interval:g} s")
            start = time.perf_counter()
            tasks: list[asyncio.Task[Upload]] = []
            for number, picture in enumerate(pictures[:count]):
                await asyncio.sleep(max(0.0, start + number * interval - time.perf_counter()))
                tasks.append(asyncio.create_task(upload(client, picture)))
            done = await asyncio.gather(*tasks)
    seconds = [upload.seconds for upload in done if not upload.failed]
    return Figures(
        "live_latency",
        f"{count} uploads of 1–4 MP, one every {interval:g} s: from the POST until GET shows suggestions",
        {
            "p50_ms": round(percentile(seconds, 50) * 1000, 1),
            "p95_ms": round(percentile(seconds, 95) * 1000, 1),
            "max_ms": round(max(seconds) * 1000, 1),
            "accepted_p95_ms": round(percentile([u.answered for u in done], 95) * 1000, 1),
            "uploads": count,
            "failed": sum(upload.failed for upload in done),
        },
    )


async def burst(count: int = 200) -> Figures:
    """Upload `count` pictures at once and wait until all have their suggestions."""
    async with installation() as place:
        pictures = uploads(place.stack.instance.pictures, count + 3)
        async with client_of(place) as client:
            for warm_up in pictures[count:]:
                await upload(client, warm_up)
            say(f"uploading {count} pictures at once")
            start = time.perf_counter()
            done = await asyncio.gather(*(upload(client, picture) for picture in pictures[:count]))
            seconds = time.perf_counter() - start
    return Figures(
        "burst",
        f"{count} uploads of 1–4 MP at once, until the last one has its suggestions",
        {
            "images_per_s": round(count / seconds, 1),
            "failed": sum(upload.failed for upload in done),
            "seconds": round(seconds, 2),
            "p50_ms": round(percentile([u.seconds for u in done], 50) * 1000, 1),
            "p95_ms": round(percentile([u.seconds for u in done], 95) * 1000, 1),
        },
    )


def client_of(place: Installation) -> httpx.AsyncClient:
    """Return a client of an installation, as its moderator."""
    return httpx.AsyncClient(
        base_url=place.url,
        headers={"Authorization": f"Bearer {place.token}"},
        timeout=_PATIENCE,
        limits=httpx.Limits(max_connections=_CONNECTIONS),
    )


async def upload(client: httpx.AsyncClient, picture: bytes) -> Upload:
    """Upload a picture and wait until its suggestions can be seen, or it has failed."""
    start = time.perf_counter()
    answer = await client.post("/api/v1/images", files={"file": ("upload.jpg", picture, "image/jpeg")})
    answered = time.perf_counter() - start
    answer.raise_for_status()
    address = f"/api/v1/images/{answer.json()['id']}/tag-suggestions"
    async with asyncio.timeout(_PATIENCE):
        while True:
            found = (await client.get(address)).raise_for_status().json()
            if sum(found["counts"].values()):
                return Upload(time.perf_counter() - start, answered, failed=False)
            status = (await client.get(f"{address}/status")).raise_for_status().json()["status"]
            if status in ("done", "failed"):
                # A picture may end with nothing to suggest, but between the two questions only.
                found = (await client.get(address)).raise_for_status().json()
                failed = status == "failed" or not sum(found["counts"].values())
                return Upload(time.perf_counter() - start, answered, failed)
            await asyncio.sleep(_POLL)
