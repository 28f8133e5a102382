# ruff: noqa: S608  (the names in statements are this module's own)
"""`pipeline`: from registered rows to stored suggestions, beside the plan's design and bare ONNX Runtime.

Two models, one after the other. One that computes next to nothing shows what everything else costs; one as
large as the real tagger shows how much of the machine is left to it.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import null_model, own_board, wd14_shape
from benchmarks.corpus import Place, empty_installation
from benchmarks.figures import Figures
from benchmarks.installation import say
from benchmarks.own_board import OwnBoard
from benchmarks.pictures import posts
from benchmarks.process_times import ProcessTimes, Watch
from orchestrator.records import MappingAction, TagType
from orchestrator.registry import lifecycle
from orchestrator.store import mappings, tags
from orchestrator.store.mappings import NewMapping
from orchestrator.store.tags import NewTag
from orchestrator.store.transaction import Transaction

INSTANCE, PLAIN = "bench-pipeline", "bench_plain_pipeline"
PLAIN_PROCESSES = 4
"""As many as ours has: a worker and three that decode."""
ROUNDS, PAIRS = 3, 5
MAPPED_SEEN = (3, 11, 19, 23)
"""Which of the tags that the null model sees are mapped, weakest first: three of these are above 0.35."""
_COPIED = ("users", "tags", "tag_closure", "model_versions", "labels", "tag_mappings", "images")


@dataclass(frozen=True, slots=True)
class NullFigures:
    """Images a second of the machine, and what ours cost."""

    ours: float
    plain: float
    peak_mb: float
    times: ProcessTimes


async def pipeline(count: int, vit_images: int) -> Figures:
    """Measure ROUNDS × `count` posts with the null model, and PAIRS × `vit_images` with the large one."""
    cores = os.cpu_count() or 1
    async with empty_installation(INSTANCE) as place:
        pictures = posts(place.stack.instance.pictures, ROUNDS * count + 64)
        golden = place.stack.instance.pictures / "golden.jpg"
        golden.write_bytes(pictures[0])
        null = await _null(place, pictures, golden, count)
        values: dict[str, float | int | str] = {
            "vit_ratio_to_raw": 0.0,
            "null_images_per_s_per_core": round(null.ours / cores, 1),
            "null_ratio_to_plan": round(null.ours / null.plain, 2),
            "worker_peak_mb": round(null.peak_mb),
            "null_images_per_s": round(null.ours, 1),
            "plan_images_per_s": round(null.plain, 1),
        }
        values |= {f"cpu_ms_{name}": round(ms, 2) for name, ms in null.times.milliseconds_each().items()}
        if vit_images:
            await lifecycle.deactivate(
                place.store, place.settings, place.triton, "null", 1, actor="benchmark"
            )
            values |= await _vit(place, pictures, golden, vit_images)
    return Figures(
        "pipeline",
        f"{ROUNDS} times {count} posts of 500 pixels by a model that computes nothing;"
        f" {PAIRS} times {vit_images} by one of WD14's shape",
        values,
    )


async def _null(place: Place, pictures: Sequence[bytes], golden: Path, count: int) -> NullFigures:
    source = await place.publish("null", null_model.write_source, golden)
    await _map(place)
    warm = await place.register(pictures[-64:])
    spans = [await place.register(pictures[n * count : (n + 1) * count]) for n in range(ROUNDS)]
    board = await own_board.found(place.stack, PLAIN)
    await _copy(place)
    await place.backfill(*warm)
    ours: list[float] = []
    plain: list[float] = []
    with Watch(place.stack) as watch:
        for number, (first, last) in enumerate(spans, start=1):
            with watch.counting(last - first + 1):
                ours.append(count / await place.backfill(first, last))
            plain.append(count / await _plain(place, board, source, first, last))
            say(f"round {number}: ours {ours[-1]:.1f} images/s, the plan's design {plain[-1]:.1f}")
    return NullFigures(median(ours), median(plain), watch.peak_mb, watch.times)


async def _map(place: Place) -> None:
    """Map what is mapped of the names that the null model sees."""
    names = null_model.seen_names()
    wanted = [names[index] for index in MAPPED_SEEN]

    async def work(tx: Transaction) -> None:
        found = await tags.upsert_many(tx, [NewTag(name, TagType.THEME) for name in wanted])
        rows = [
            NewMapping("danbooru", name, MappingAction.MAP, tag.id)
            for name, tag in zip(wanted, found, strict=True)
        ]
        await mappings.upsert_many(tx, rows, actor_id=None)

    await place.store.write(work)


async def _copy(place: Place) -> None:
    """Give the plan's design the same rows in a database of its own."""

    async def work(tx: Transaction) -> None:
        await tx.execute("SET foreign_key_checks = 0")
        for table in _COPIED:
            own = await tx.fetch_rows(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = 'tagdesk'"
                " AND table_name = :table AND generation_expression IS NULL",
                table=table,
            )
            columns = ", ".join(name for (name,) in own)
            await tx.execute(f"REPLACE INTO {PLAIN}.{table} ({columns}) SELECT {columns} FROM {table}")
        await tx.execute("SET foreign_key_checks = 1")

    await place.store.write(work)


async def _plain(place: Place, board: OwnBoard, source: Path, first: int, last: int) -> float:
    """Run the plan's design on these images; returns the seconds."""
    url = board.settings.database_url.get_secret_value()
    command = [sys.executable, "-m", "benchmarks.plain_pipeline", url, str(place.settings.blob_dir)]
    command += [str(source / wd14_shape.MODEL_FILE)]
    processes = [
        await asyncio.create_subprocess_exec(
            *command, str(first + offset), str(last), str(PLAIN_PROCESSES),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for offset in range(PLAIN_PROCESSES)
    ]  # fmt: skip
    spans = []
    for process in processes:
        if process.stdout is None or await process.stdout.readline() != b"ready\n":
            raise RuntimeError("the plan's design does not start")
    for process in processes:
        if process.stdin is not None:
            process.stdin.write(b"go\n")
    for process in processes:
        out, _ = await process.communicate()
        spans.append([float(part) for part in out.split()])
    return max(end for _, end in spans) - min(begin for begin, _ in spans)


async def _vit(
    place: Place, pictures: Sequence[bytes], golden: Path, count: int
) -> dict[str, float | int | str]:
    source = await place.publish(
        "vit", lambda folder: wd14_shape.write_source(folder, wd14_shape.FULL), golden
    )
    first, last = await place.register(pictures[:count])
    ratios: list[float] = []
    raws: list[float] = []
    with _runtime(source / wd14_shape.MODEL_FILE, count) as (batch, raw):
        await place.backfill(first, first)
        for number in range(1, PAIRS + 1):
            raws.append(raw())
            ours = await place.backfill(first, last)
            ratios.append(raws[-1] / ours)
            say(f"pair {number}: ours {ours:.1f} s, ONNX Runtime alone {raws[-1]:.1f} s ({ratios[-1]:.3f})")
    return {
        "vit_ratio_to_raw": round(median(ratios), 3),
        "vit_raw_seconds_each": round(median(raws) / count, 3),
        "vit_raw_best_batch": batch,
    }


@contextmanager
def _runtime(model: Path, count: int) -> Iterator[tuple[int, Callable[[], float]]]:
    """Yield ONNX Runtime's best batch, and what says how long it takes alone for `count` pictures."""
    command = [sys.executable, "-m", "benchmarks.plain_runtime", str(model), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("no pipes")

        def raw() -> float:
            stdin.write("once more\n")
            stdin.flush()
            return float(stdout.readline())

        yield int(stdout.readline()), raw
        stdin.close()
