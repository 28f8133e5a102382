"""`backfill_live`: uploads beside a backfill, and the backfill beside uploads."""

import asyncio
import time
from collections.abc import Sequence

import httpx

from benchmarks.figures import Figures, percentile
from benchmarks.installation import Installation, installation, say
from benchmarks.pictures import uploads
from benchmarks.uploading import Upload, client_of, upload
from orchestrator.backfill import runs
from orchestrator.images.blobs import store_blob
from orchestrator.records import ImageSource, Priority, Role, RunState, SourceKind
from orchestrator.store import backfills, images, users
from orchestrator.store.images import NewImage
from orchestrator.store.transaction import Transaction

INTERVAL = 1.0
"""Seconds between two uploads."""
_POLL = 0.1
_PATIENCE = 900.0


async def backfill_live(count: int, live: int) -> Figures:
    """Measure `live` uploads alone, a backfill of `count` images alone, then both beside each other."""
    async with installation() as place, client_of(place) as client:
        pictures = uploads(place.stack.instance.pictures, count + live + 3)
        first, last = await register(place, pictures[:count])
        where = [f"ids={first}-{last}"]
        say(f"{count} images for the first time")
        await _backfill(place, where)
        for warm_up in pictures[-3:]:
            await upload(client, warm_up)
        say(f"{live} uploads alone, one every {INTERVAL:g} s")
        idle = await _uploads(client, pictures[count : count + live], asyncio.Event())
        say("the backfill alone")
        alone = await _backfill(place, where)
        say("both")
        over = asyncio.Event()
        beside = asyncio.create_task(_uploads(client, pictures[count : count + live], over, again=True))
        together = await _backfill(place, where)
        over.set()
        busy = await beside
    return Figures(
        "backfill_live",
        f"a backfill of {count} images of 1–4 MP, and an upload every {INTERVAL:g} s beside it",
        {
            "live_p95_ms": _p95(busy),
            "idle_p95_ms": _p95(idle),
            "backfill_share": round(alone / together, 3),
            "live_p50_ms": round(percentile([one.seconds for one in busy], 50) * 1000, 1),
            "backfill_images_per_s": round(count / alone, 1),
            "beside_uploads_images_per_s": round(count / together, 1),
            "uploads_beside": len(busy),
            "failed": sum(one.failed for one in [*idle, *busy]),
        },
    )


async def register(place: Installation, pictures: Sequence[bytes]) -> tuple[int, int]:
    """Register pictures as images of a backfill; returns their first and last id."""
    keys = [store_blob(place.settings.blob_dir, picture) for picture in pictures]

    async def work(tx: Transaction) -> list[int]:
        uploader = await users.by_name(tx, Role.UPLOADER)
        if uploader is None:
            raise RuntimeError("the demo board has no uploader")
        rows = [
            NewImage(ImageSource(SourceKind.BLOB, key), uploader.id, None, Priority.BACKFILL) for key in keys
        ]
        return [one.id for one in await images.register_many(tx, rows)]

    ids = await place.store.write(work)
    return min(ids), max(ids)


async def _backfill(place: Installation, where: Sequence[str]) -> float:
    """Run a backfill; returns how many seconds it took. Raises RuntimeError when an image fails."""
    start = time.perf_counter()
    begun = await runs.start(place.store, where)
    async with asyncio.timeout(_PATIENCE):
        while True:
            found = await place.store.read(lambda tx: backfills.get(tx, begun.id))
            if found.state is RunState.DONE:
                break
            await asyncio.sleep(_POLL)
    if found.failed:
        raise RuntimeError(f"{found.failed} images failed")
    return time.perf_counter() - start


async def _uploads(
    client: httpx.AsyncClient, pictures: Sequence[bytes], over: asyncio.Event, *, again: bool = False
) -> list[Upload]:
    """Upload one picture after the other, `again` from the first, until `over` or there are no more."""
    tasks: list[asyncio.Task[Upload]] = []
    start = time.perf_counter()
    while not over.is_set() and (again or len(tasks) < len(pictures)):
        picture = pictures[len(tasks) % len(pictures)]
        tasks.append(asyncio.create_task(upload(client, picture)))
        await asyncio.sleep(max(0.0, start + len(tasks) * INTERVAL - time.perf_counter()))
    return list(await asyncio.gather(*tasks))


def _p95(done: Sequence[Upload]) -> float:
    return round(percentile([one.seconds for one in done if not one.failed], 95) * 1000, 1)
