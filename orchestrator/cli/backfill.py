"""`tagdesk backfill`: analyse many images behind everything that people wait for."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from orchestrator.backfill import runs
from orchestrator.backfill.listing import read_ids
from orchestrator.backfill.selection import CONDITIONS
from orchestrator.cli.offline import export, ingest
from orchestrator.cli.session import with_store
from orchestrator.records import RunState
from orchestrator.store import backfills
from orchestrator.store.backfills import Backfill
from orchestrator.store.unit_of_work import Store

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Analyse many images, gently: what people wait for goes first. The keeper goes on with a backfill"
        " whatever dies meanwhile.\n\n"
        "Examples:\n\n"
        "  tagdesk backfill start --where unseen_by=wd14:2 --wait\n\n"
        "  tagdesk backfill start --where state=failed --where failure=fetch_timeout\n\n"
        "  tagdesk backfill status"
    ),
)
app.command()(export)
app.command()(ingest)
_POLL = 0.5
_HELP = "; ".join(f"{name}={meaning}" for name, meaning in CONDITIONS.items())

Id = Annotated[int, typer.Argument(min=1, help="A backfill, as `status` shows it.")]


@app.command()
def start(
    where: Annotated[
        list[str] | None, typer.Option(help=f"`all`, or conditions that must all fit: {_HELP}.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file with an id of ours a line.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many images; start nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show how far it is until it has ended.")] = False,
) -> None:
    """Start a backfill of the images that there are now; hidden ones (reposts, deleted) are left out.

    Examples: tagdesk backfill start --where all · tagdesk backfill start --manifest ids.txt --wait
    """
    if bool(where) == (manifest is not None):
        raise typer.BadParameter("say which images: by --where, or by a --manifest")
    if manifest is not None:
        ids = read_ids(manifest)
        if dry_run:
            typer.echo(f"{len(ids):,} ids in {manifest}")
            return
        found = _start_listed(ids, manifest)
    else:
        conditions = where or []
        if dry_run:
            typer.echo(f"{with_store(lambda store: _count(store, conditions)):,} images")
            return
        found = with_store(lambda store: runs.start(store, conditions))
    typer.echo(f"backfill {found.id} has begun; `tagdesk backfill status` shows how far it is")
    if wait:
        _finish(with_store(lambda store: _follow(store, found.id)))


@app.command()
def status(
    backfill: Annotated[int | None, typer.Argument(min=1, help="One backfill; all unless named.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show how far it is until it has ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Show backfills, the newest first: counts, rate, time left."""
    if watch:
        if backfill is None:
            raise typer.BadParameter("say which backfill to watch")
        _finish(with_store(lambda store: _follow(store, backfill)))
        return
    found = with_store(lambda store: _list(store, backfill))
    if as_json:
        for one in found:
            typer.echo(json.dumps(_values(one)))
        return
    if not found:
        typer.echo("there are no backfills; `tagdesk backfill start --help`")
        return
    headers = ("id", "of", "state", "images", "done", "failed", "queued", "waiting", "rate", "left")
    table = Table(*headers, box=SIMPLE_HEAD, pad_edge=False)
    for one in found:
        rate, left = _rate(one), _left(one)
        table.add_row(
            str(one.id),
            _asked(one),
            one.state,
            f"{one.total:,}{' and more' if one.selecting else ''}",
            f"{one.done:,}",
            f"{one.failed:,}",
            f"{one.sent:,}",
            f"{one.waiting:,}",
            "" if rate is None else f"{rate:,.1f}/s",
            "" if left is None else _duration(left),
        )
    Console().print(table)


@app.command()
def pause(backfill: Id) -> None:
    """Queue no more of its images; about a thousand may still be under way."""
    _say(with_store(lambda store: runs.pause(store, backfill)))


@app.command()
def resume(backfill: Id) -> None:
    """Go on with a paused backfill."""
    _say(with_store(lambda store: runs.resume(store, backfill)))


@app.command()
def cancel(backfill: Id) -> None:
    """End a backfill. What it has done stays, and what waits is left as it is."""
    _say(with_store(lambda store: runs.cancel(store, backfill)))


@app.command()
def failures(backfill: Id) -> None:
    """Show why images of a backfill failed: reasons, numbers, an example of each."""
    found = with_store(lambda store: store.read(lambda tx: backfills.failures(tx, backfill)))
    if not found:
        typer.echo(f"no image of backfill {backfill} has failed")
        return
    table = Table("reason", "images", "newest example")
    for code, images, example in found:
        table.add_row(code, f"{images:,}", f"image {example}")
    console = Console()
    console.print(table)
    console.print(
        f"`tagdesk backfill retry {backfill} --reason CODE` tries them again; docs/errors.md explains"
    )


@app.command()
def retry(
    backfill: Id,
    reason: Annotated[str | None, typer.Option(help="Only those that failed for this reason.")] = None,
) -> None:
    """Try the failures of a backfill again."""
    found, again = with_store(lambda store: runs.retry(store, backfill, reason))
    typer.echo(f"{again:,} images of backfill {found.id} wait again")


def _start_listed(ids: list[int], manifest: Path) -> Backfill:
    with Progress(TextColumn("  reading"), BarColumn(), MofNCompleteColumn()) as progress:
        task = progress.add_task("ids", total=len(ids))
        found, unknown = with_store(
            lambda store: runs.start_listed(
                store, ids, name=manifest.name, progress=lambda read: progress.advance(task, read)
            )
        )
    if unknown:
        shown = ", ".join(str(one) for one in unknown[:10])
        more = f" and {len(unknown) - 10:,} more" if len(unknown) > 10 else ""
        typer.echo(f"{len(unknown):,} ids name no image and are left out: {shown}{more}", err=True)
    return found


async def _count(store: Store, conditions: list[str]) -> int:
    where = await store.read(lambda tx: runs.check(tx, conditions))
    return await store.read(lambda tx: backfills.count_images(tx, where))


async def _list(store: Store, backfill: int | None) -> list[Backfill]:
    if backfill is not None:
        return [await store.read(lambda tx: backfills.get(tx, backfill))]
    return await store.read(lambda tx: backfills.newest(tx, limit=20))


async def _follow(store: Store, backfill: int) -> Backfill:
    """Show how far a backfill is until it has ended and nothing of it is under way, or it is paused."""
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(f"backfill {backfill}", total=None)
        while True:
            found = await store.read(lambda tx: backfills.get(tx, backfill))
            progress.update(
                task,
                completed=found.done + found.failed,
                total=found.total,
                description=f"backfill {backfill}, {found.failed:,} failed",
            )
            if found.state is not RunState.RUNNING and not found.sent:
                return found
            await asyncio.sleep(_POLL)


def _finish(found: Backfill) -> None:
    _say(found)
    if found.failed:
        typer.echo(f"`tagdesk backfill failures {found.id}` says why")


def _say(found: Backfill) -> None:
    typer.echo(
        f"backfill {found.id} is {found.state}: {found.done:,} done, {found.failed:,} failed, {found.sent:,}"
        f" queued, {found.waiting:,} waiting"
    )


def _asked(found: Backfill) -> str:
    where = found.asked.get("where")
    return ", ".join(map(str, where)) if isinstance(where, list) else str(found.asked.get("manifest", ""))


def _rate(found: Backfill) -> float | None:
    """Return images a second since it began to run the last time."""
    if found.resumed_at is None or found.state is not RunState.RUNNING:
        return None
    seconds = (found.now - found.resumed_at).total_seconds()
    return (found.done + found.failed - found.ended_before) / seconds if seconds >= 1 else None


def _left(found: Backfill) -> float | None:
    rate = _rate(found)
    return (found.waiting + found.sent) / rate if rate and not found.selecting else None


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    )


def _values(found: Backfill) -> dict[str, object]:
    return {
        "id": found.id,
        "asked": found.asked,
        "state": found.state,
        "selecting": found.selecting,
        "total": found.total,
        "done": found.done,
        "failed": found.failed,
        "queued": found.sent,
        "waiting": found.waiting,
        "images_per_s": _rate(found),
        "seconds_left": _left(found),
        "created_at": found.created_at.isoformat(),
        "finished_at": None if found.finished_at is None else found.finished_at.isoformat(),
    }
