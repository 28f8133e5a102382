"""`python -m benchmarks NAME`."""

import asyncio
from typing import Annotated

import typer

from benchmarks.backfill_killed import backfill_killed
from benchmarks.backfill_live import backfill_live
from benchmarks.board_import import board_import
from benchmarks.guarded_promotion import guarded_promotion
from benchmarks.model_rollout import model_rollout
from benchmarks.pipeline import pipeline
from benchmarks.queue_scale import queue_scale
from benchmarks.remap import remap
from benchmarks.review_contention import review_contention
from benchmarks.uploading import burst, live_latency

app = typer.Typer(no_args_is_help=True, help="Measure. Each prints a table and ends with a line of JSON.")


@app.command("live_latency")
def live_latency_(
    count: Annotated[int, typer.Option(min=1, help="How many uploads.")] = 120,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two.")] = 1.0,
) -> None:
    """How long an uploader waits for suggestions."""
    asyncio.run(live_latency(count, interval)).show()


@app.command("burst")
def burst_(count: Annotated[int, typer.Option(min=1, help="How many uploads.")] = 200) -> None:
    """How many pictures a second come through when many come at once."""
    asyncio.run(burst(count)).show()


@app.command("review_contention")
def review_contention_(
    seconds: Annotated[float, typer.Option(min=1, help="How long each design is measured.")] = 20,
) -> None:
    """How many verdicts a second eight people give on one tag, beside the plain design."""
    asyncio.run(review_contention(seconds)).show()


@app.command("model_rollout")
def model_rollout_(
    pairs: Annotated[int, typer.Option(min=1, help="How often with and without a shadow.")] = 3,
) -> None:
    """Whether clients notice that versions are published, shadowed, promoted, taken back and removed."""
    asyncio.run(model_rollout(pairs)).show()


@app.command("guarded_promotion")
def guarded_promotion_() -> None:
    """Whether a deliberately worse version is refused and a better one passes, by a reviewer's verdicts."""
    asyncio.run(guarded_promotion()).show()


@app.command("backfill_live")
def backfill_live_(
    images: Annotated[int, typer.Option(min=10, help="How many images a backfill has.")] = 2400,
    uploads: Annotated[int, typer.Option(min=5, help="How many uploads while nothing else is done.")] = 60,
) -> None:
    """What a backfill costs those who wait, and what they cost the backfill."""
    asyncio.run(backfill_live(images, uploads)).show()


@app.command("pipeline")
def pipeline_(
    images: Annotated[int, typer.Option(min=64, help="How many images a round has, of three.")] = 5000,
    vit_images: Annotated[int, typer.Option(min=0, help="The same, of five, with the large model.")] = 8,
) -> None:
    """What a backfill costs: with a model that computes nothing, and with one as large as the real one."""
    asyncio.run(pipeline(images, vit_images)).show()


@app.command("remap")
def remap_(
    images: Annotated[int, typer.Option(min=1000, help="How many images.")] = 100_000,
) -> None:
    """How long a change of mappings takes to reach every pending suggestion."""
    asyncio.run(remap(images)).show()


@app.command("backfill_killed")
def backfill_killed_(
    images: Annotated[int, typer.Option(min=100, help="How many images the backfill has.")] = 20_000,
) -> None:
    """Whether a large backfill ends as if nothing had happened, with everything killed once meanwhile."""
    asyncio.run(backfill_killed(images)).show()


@app.command("board_import")
def board_import_(
    links: Annotated[int, typer.Option(min=1_000, help="How many links the board has, about.")] = 1_000_000,
) -> None:
    """How many rows a second a board's own files come in with."""
    asyncio.run(board_import(links)).show()


@app.command("queue_scale")
def queue_scale_(
    scale: Annotated[float, typer.Option(min=0.001, max=10, help="Times a million images.")] = 1,
) -> None:
    """How long worklist, queues and reviews take on a board of a million images."""
    asyncio.run(queue_scale(scale)).show()


app()
