"""`backfill_killed`: a large backfill while worker, Triton, Redis and MariaDB are each killed once."""

import asyncio
import signal
import time
from collections import defaultdict
from collections.abc import Mapping

import psutil
import redis

from benchmarks.backfill_live import register
from benchmarks.figures import Figures
from benchmarks.installation import Installation, installation, say
from benchmarks.pictures import DRAWN, posts
from orchestrator.backfill import runs
from orchestrator.errors import StoreUnavailable
from orchestrator.local.parts import PartName
from orchestrator.records import RunState
from orchestrator.store import backfills
from orchestrator.store.backfills import Backfill
from orchestrator.store.consistency import violations
from orchestrator.store.transaction import Transaction

VICTIMS = (PartName.WORKER_BACKFILL, PartName.TRITON, PartName.REDIS, PartName.MARIADB)
_POLL = 0.5
_PATIENCE = 3600.0

Seen = Mapping[int, tuple[frozenset[tuple[int, ...]], ...]]


async def backfill_killed(count: int) -> Figures:
    """Run DRAWN pictures undisturbed, then `count` images of the same pictures with everything killed."""
    async with installation() as place:
        pictures = posts(place.stack.instance.pictures, count + DRAWN)
        quiet = await register(place, pictures[:DRAWN])
        await _undisturbed(place, *quiet)
        first, last = await register(place, pictures[DRAWN:])
        begun = await runs.start(place.store, [f"ids={first}-{last}"])
        start = time.perf_counter()
        for number, victim in enumerate(VICTIMS, start=1):
            await _until(place, begun.id, number * count // (len(VICTIMS) + 1))
            _kill(place, victim)
        done = await _until(place, begun.id, count)
        seconds = time.perf_counter() - start
        expected, found = await _seen(place, *quiet), await _seen(place, first, last)
        picture_of = {image_id: quiet[0] + (image_id - first) % DRAWN for image_id in range(first, last + 1)}
        same = sum(found.get(one) == expected[picture] for one, picture in picture_of.items())
        findings = await place.store.read(violations)
    return Figures(
        "backfill_killed",
        f"{count:,} images; worker, Triton, Redis and MariaDB killed once each",
        {
            "images": count,
            "done": done.done,
            "failed": done.failed,
            "as_undisturbed": same,
            "broken_invariants": len(findings),
            "images_per_s": round(count / seconds, 1),
        },
    )


async def _undisturbed(place: Installation, first: int, last: int) -> None:
    begun = await runs.start(place.store, [f"ids={first}-{last}"])
    await _until(place, begun.id, last - first + 1)


async def _until(place: Installation, backfill_id: int, ended: int) -> Backfill:
    """Wait until so many images have ended, and with all of them the backfill."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                found = await place.store.read(lambda tx: backfills.get(tx, backfill_id))
            except StoreUnavailable:
                await asyncio.sleep(_POLL)
                continue
            if found.done + found.failed >= ended and (ended < found.total or found.state is RunState.DONE):
                say(f"{found.done + found.failed:,} have ended")
                return found
            await asyncio.sleep(_POLL)


def _kill(place: Installation, part: PartName) -> None:
    run = place.stack.run()
    if run is None or (pid := run.parts[part].pid) is None:
        raise RuntimeError(f"{part} does not run")
    say(f"kill -9 {part}")
    victim = psutil.Process(pid)
    if part is PartName.WORKER_BACKFILL:
        # The process that works, not its master.
        victim = max(victim.children(), key=lambda process: process.cpu_times().user)
    if part is PartName.REDIS:
        # And what it knew with it.
        with redis.Redis.from_url(place.stack.environment()["TAGDESK_REDIS_URL"]) as client:
            client.flushall()
    victim.send_signal(signal.SIGKILL)


async def _seen(place: Installation, first: int, last: int) -> Seen:
    """Return raw scores and suggestions by image. Explorations are left out: a picture's hash draws them."""

    async def work(tx: Transaction) -> Seen:
        found: dict[int, list[set[tuple[int, ...]]]] = defaultdict(lambda: [set(), set()])
        for place_, statement in enumerate(
            (
                "SELECT image_id, model_version_id, label, score FROM raw_predictions"
                " WHERE image_id BETWEEN :first AND :last",
                "SELECT image_id, tag_id, score, confidence, model_version_id FROM suggestions"
                " WHERE image_id BETWEEN :first AND :last AND NOT exploration",
            )
        ):
            for image_id, *row in await tx.fetch_rows(statement, first=first, last=last):
                found[image_id][place_].add(tuple(row))
        return {image_id: tuple(map(frozenset, rows)) for image_id, rows in found.items()}

    return await place.store.read(work)
