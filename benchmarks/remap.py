# ruff: noqa: S608  (the names in statements are this module's own)
"""`remap`: the rules of the day for a corpus's stored scores, beside the plain design: an image at a time."""

import asyncio
import os
import time
from collections.abc import Sequence

from rich.progress import track

from benchmarks.figures import Figures
from benchmarks.installation import INSTANCE, say
from benchmarks.large_board import LINKS_EACH, RAW_EACH, LargeBoard, fill
from benchmarks.own_board import OwnBoard, found
from benchmarks.plain_remap import remap_one
from benchmarks.queue_scale import new_version
from orchestrator import accounts
from orchestrator.local.instance import Instance
from orchestrator.local.mariadb import BUFFER_POOL
from orchestrator.local.parts import SERVICES
from orchestrator.local.stack import Stack
from orchestrator.records import MappingAction, Role, VersionState
from orchestrator.remap import runs
from orchestrator.remapper import Remapper
from orchestrator.store import mappings, models, remaps
from orchestrator.store.mappings import NewMapping
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

DATABASE, PLAIN = "remap", "plain_remap"
MAPPED = 300
"""Of 10,861 names, as on the board."""
CHANGED = 5
"""Mappings that change before the measured re-map."""
SAMPLE = 5_000
_POOL = "1024M"
_COPIED = ("rules_version", "users", "tags", "tag_closure", "model_versions", "labels", "tag_mappings")
_OF_IMAGES = (("images", "id"), ("analyses", "image_id"), ("raw_predictions", "image_id"))
_MORE_OF_IMAGES = (("tag_links", "image_id"), ("suggestions", "image_id"))
_ROWS = (
    "SELECT s.image_id, s.tag_id, s.status, s.score, s.confidence, s.inferred, s.exploration,"
    " s.model_version_id, e.label, e.mapping_id, e.score FROM suggestions s"
    " LEFT JOIN suggestion_evidence e ON e.suggestion_id = s.id"
    " WHERE s.image_id BETWEEN :first AND :last ORDER BY 1, 2, 9"
)


async def remap(images: int) -> Figures:
    """Re-map `images` after a few mappings have changed, and SAMPLE of them by the plain design."""
    os.environ.setdefault(BUFFER_POOL, _POOL)
    stack = Stack(Instance.named(INSTANCE), report=say)
    stack.up(SERVICES)
    try:
        own, plain = await found(stack, DATABASE), await found(stack, PLAIN)
        try:
            return await _measure(own, plain, images)
        finally:
            await own.drop()
            await plain.drop()
    finally:
        stack.down()


async def _measure(own: OwnBoard, plain: OwnBoard, images: int) -> Figures:
    store, other = await Store.connect(own.settings), await Store.connect(plain.settings)
    try:
        await _fill(own, store, images)
        say("the first re-map: nothing there stands on the scores")
        first = await _remap(own, store)
        await _map(store, range(MAPPED - CHANGED, MAPPED + CHANGED))
        sample = min(SAMPLE, images)
        await _copy(store, sample)
        say(f"{2 * CHANGED} mappings have changed; the measured re-map")
        seconds = await _remap(own, store)
        (done,) = await store.read(lambda tx: remaps.newest(tx, limit=1))
        say("the plain design")
        start = time.perf_counter()
        for image_id in track(range(1, sample + 1), "  an image at a time", transient=True):
            await other.write(lambda tx, i=image_id: remap_one(tx, plain.settings, i))  # type: ignore[misc]
        plain_seconds = time.perf_counter() - start
        ours = await store.read(lambda tx: tx.fetch_rows(_ROWS, first=1, last=sample))
        theirs = await other.read(lambda tx: tx.fetch_rows(_ROWS, first=1, last=sample))
    finally:
        await store.close()
        await other.close()
    rate, plain_rate = images / seconds, sample / plain_seconds
    return Figures(
        "remap",
        f"{images:,} images, {RAW_EACH} raw scores and {LINKS_EACH} links each, {MAPPED} of 10,861 names"
        f" mapped, {2 * CHANGED} mappings changed",
        {
            "images_per_s": round(rate),
            "ratio": round(rate / plain_rate, 1),
            "identical": int(ours == theirs),
            "plain_images_per_s": round(plain_rate, 1),
            "compared_rows": len(ours),
            "changed_images": done.changes.images,
            "first_images_per_s": round(images / first),
        },
    )


async def _fill(own: OwnBoard, store: Store, images: int) -> None:
    board = LargeBoard.of(images / 1_000_000)
    say(f"{images:,} images, {board.tags:,} tags")
    uploader = await accounts.create_user(store, name="uploader", role=Role.UPLOADER)

    async def versions(tx: Transaction) -> tuple[int, int]:
        first = await models.insert_version(tx, new_version("wd14"), state=VersionState.ACTIVE)
        return first, await models.insert_version(tx, new_version("other"), state=VersionState.ACTIVE)

    both = await store.write(versions)
    await asyncio.to_thread(fill, own.url, board, uploader.id, both)

    async def seen(tx: Transaction) -> None:
        for version_id in both:
            await tx.execute(
                "INSERT INTO analyses (image_id, model_version_id) SELECT id, :version FROM images",
                version=version_id,
            )

    await store.write(seen)
    await _map(store, range(MAPPED))


async def _map(store: Store, numbers: Sequence[int]) -> None:
    """Map names, spread over the vocabulary, to the tags of these numbers, or once more to others."""
    rows = [
        NewMapping("danbooru", f"label_{36 * (number % MAPPED)}", MappingAction.MAP, 1 + number)
        for number in numbers
    ]
    wanted = {row.external_tag: row for row in rows}
    await store.write(lambda tx: mappings.upsert_many(tx, list(wanted.values()), actor_id=None))


async def _remap(own: OwnBoard, store: Store) -> float:
    """Re-map everything; returns the seconds."""
    remapper = Remapper(own.settings, store, budget=3600)
    start = time.perf_counter()
    await runs.start(store, runs.Scope())
    await remapper.work()
    return time.perf_counter() - start


async def _copy(store: Store, sample: int) -> None:
    """Give the plain design the same rules and the same first images."""

    async def work(tx: Transaction) -> None:
        await tx.execute("SET foreign_key_checks = 0")
        tables = [(table, "") for table in _COPIED]
        tables += [(table, f"WHERE {key} <= {sample}") for table, key in (*_OF_IMAGES, *_MORE_OF_IMAGES)]
        tables += [
            (
                "suggestion_evidence",
                f"WHERE suggestion_id IN (SELECT id FROM suggestions WHERE image_id <= {sample})",
            )
        ]
        for table, where in tables:
            own = await tx.fetch_rows(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = :database"
                " AND table_name = :table AND generation_expression IS NULL",
                database=DATABASE,
                table=table,
            )
            columns = ", ".join(name for (name,) in own)
            await tx.execute(
                f"REPLACE INTO {PLAIN}.{table} ({columns}) SELECT {columns} FROM {table} {where}"
            )
        await tx.execute("SET foreign_key_checks = 1")

    await store.write(work)
