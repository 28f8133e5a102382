"""`tagdesk remap`: bring stored scores in line with the rules of the day."""

import asyncio
import json
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from orchestrator.cli.session import with_settings, with_store
from orchestrator.errors import NotFound
from orchestrator.records import RunState
from orchestrator.remap import runs
from orchestrator.remap.plan import read_plan
from orchestrator.remap.runs import Scope, Summary
from orchestrator.settings import Settings
from orchestrator.store import backfills, remaps, tags
from orchestrator.store.remaps import Remap
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

app = typer.Typer(
    help=(
        "Bring pending suggestions in line with mappings, tags and thresholds as they are now, from stored"
        " scores: no model looks again, and what people decided stays. The keeper does so by itself some"
        " seconds after a change.\n\n"
        "Examples:\n\n"
        "  tagdesk remap --all --dry-run         what would change\n\n"
        "  tagdesk remap --tags smile --wait     only where this tag comes or goes\n\n"
        "  tagdesk remap status"
    ),
)
_POLL = 0.5
_SHOWN = 20

Id = Annotated[int, typer.Argument(min=1, help="A re-map, as `status` shows it.")]


Everything = Annotated[bool, typer.Option("--all", help="Every image.")]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tags", "--tag", help="Only where this tag comes or goes: its title. May be repeated."),
]
Images = Annotated[
    list[int] | None,
    typer.Option("--images", "--image", min=1, help="Only this image: our id of it. May be repeated."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")]
Wait = Annotated[bool, typer.Option("--wait", help="Show how far it is until it has ended.")]


@app.callback(invoke_without_command=True)
def alone(
    context: typer.Context,
    *,
    everything: Everything = False,
    tag: Tags = None,
    image: Images = None,
    dry_run: DryRun = False,
    wait: Wait = False,
) -> None:
    """Start a re-map, when no command is given."""
    named = everything or tag or image
    if context.invoked_subcommand is not None:
        if named or dry_run or wait:
            raise typer.BadParameter(f"`{context.invoked_subcommand}` goes before its options, and alone")
    elif named:
        start(everything=everything, tag=tag, image=image, dry_run=dry_run, wait=wait)
    elif dry_run or wait:
        raise typer.BadParameter("say what to re-map: --all, --tags or --images")
    else:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@app.command()
def start(
    *,
    everything: Everything = False,
    tag: Tags = None,
    image: Images = None,
    dry_run: DryRun = False,
    wait: Wait = False,
) -> None:
    """Re-map everything, or the images or tags that are named. The same as without `start`.

    Examples: tagdesk remap start --dry-run · tagdesk remap start --images 12 --images 13 --wait
    """
    if everything and (tag or image):
        raise typer.BadParameter("either --all, or what is named")
    scope = with_store(lambda store: _scope(store, tag or [], image or []))
    if dry_run:
        summary, titles = with_settings(lambda store, settings: _dry_run(store, settings, scope))
        _show(summary, titles)
        return
    found = with_store(lambda store: runs.start(store, scope))
    typer.echo(f"re-map {found.id} has begun; `tagdesk remap status` shows how far it is")
    if wait:
        _say(with_store(lambda store: _follow(store, found.id)))


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Show re-maps, the newest first: how far, what changed, rate, time left."""
    found = with_store(lambda store: store.read(lambda tx: remaps.newest(tx, limit=_SHOWN)))
    if as_json:
        for one in found:
            typer.echo(json.dumps(_values(one)))
        return
    if not found:
        typer.echo("there are no re-maps")
        return
    headers = ("id", "of", "state", "images", "changed", "rows +", "rows -", "rows ~", "rate")
    table = Table(*headers, box=SIMPLE_HEAD, pad_edge=False)
    for one in found:
        rate = _rate(one)
        table.add_row(
            str(one.id),
            str(one.asked.get("scope")),
            one.state,
            f"{one.looked:,}",
            f"{one.changes.images:,}",
            f"{one.changes.added:,}",
            f"{one.changes.removed:,}",
            f"{one.changes.updated:,}",
            "" if rate is None else f"{rate:,.0f}/s",
        )
    Console().print(table)


@app.command()
def pause(remap: Id) -> None:
    """Stop for now."""
    _say(with_store(lambda store: runs.pause(store, remap)))


@app.command()
def resume(remap: Id) -> None:
    """Go on with a paused re-map."""
    _say(with_store(lambda store: runs.resume(store, remap)))


@app.command()
def cancel(remap: Id) -> None:
    """Stop for good. What it has done stays."""
    _say(with_store(lambda store: runs.cancel(store, remap)))


async def _scope(store: Store, titles: list[str], images: list[int]) -> Scope:
    async def work(tx: Transaction) -> tuple[int, ...]:
        found = []
        for title in titles:
            named = await tags.find(tx, title=title)
            if not named:
                raise NotFound(f"no tag is called {title!r}", code="tag_not_found")
            found += [one.alias_of or one.id for one in named]
        return tuple(found)

    return Scope(images=tuple(images), tags=await store.read(work))


async def _dry_run(store: Store, settings: Settings, scope: Scope) -> tuple[Summary, dict[int, str]]:
    plan = await read_plan(store, settings)
    total = len(scope.images) or await store.read(backfills.last_image)
    with Progress(TextColumn("  looking"), BarColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("images", total=total)
        summary = await runs.dry_run(
            store, plan, scope, progress=lambda looked: progress.advance(task, looked)
        )
    return summary, {tag_id: plan.board.tags[tag_id].title for tag_id, _, _ in summary.tags[:_SHOWN]}


def _show(summary: Summary, titles: dict[int, str]) -> None:
    if summary.tags:
        table = Table("tag", "would come", "would go", box=SIMPLE_HEAD, pad_edge=False)
        for tag_id, comes, goes in summary.tags[:_SHOWN]:
            table.add_row(titles[tag_id], f"{comes:,}", f"{goes:,}")
        Console().print(table)
        if len(summary.tags) > _SHOWN:
            typer.echo(f"and {len(summary.tags) - _SHOWN:,} tags more")
    changes = summary.changes
    typer.echo(
        f"of {summary.looked:,} images {changes.images:,} would change: {changes.added:,} suggestions would"
        f" come, {changes.removed:,} would go, {changes.updated:,} get other scores"
    )


async def _follow(store: Store, remap: int) -> Remap:
    """Show how far a re-map is until it has ended, or is paused."""
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(f"re-map {remap}", total=None)
        while True:
            found = await store.read(lambda tx: remaps.get(tx, remap))
            progress.update(task, completed=min(found.looked_to, found.until_id), total=found.until_id)
            if found.state is not RunState.RUNNING:
                return found
            await asyncio.sleep(_POLL)


def _say(found: Remap) -> None:
    changes = found.changes
    typer.echo(
        f"re-map {found.id} is {found.state}: {found.looked:,} images looked at, {changes.images:,} changed;"
        f" {changes.added:,} suggestions came, {changes.removed:,} went, {changes.updated:,} changed scores"
    )


def _rate(found: Remap) -> float | None:
    """Return images a second since it began to run the last time."""
    end = found.finished_at or found.now
    seconds = (end - found.resumed_at).total_seconds()
    return (found.looked - found.looked_before) / seconds if seconds > 0 else None


def _values(found: Remap) -> dict[str, object]:
    rate = _rate(found)
    left = found.until_id - found.looked_to
    return {
        "id": found.id,
        "asked": found.asked,
        "state": found.state,
        "looked": found.looked,
        "changed": found.changes.images,
        "added": found.changes.added,
        "removed": found.changes.removed,
        "updated": found.changes.updated,
        "images_per_s": rate,
        "seconds_left": left / rate if rate and found.state is RunState.RUNNING else None,
        "created_at": found.created_at.isoformat(),
        "finished_at": None if found.finished_at is None else found.finished_at.isoformat(),
    }
