"""`tagdesk models shadow`, `promote`, `rollback`, `retire`: how a version comes into use, and out of it."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from orchestrator.cli.publishing import actor, say, with_triton
from orchestrator.rollout import shadowing, switching
from orchestrator.rollout.guard import MARGIN, MIN_IMAGES, Guard, Measured
from orchestrator.rollout.switching import Place, Promoted
from orchestrator.store.models import VersionRow
from orchestrator.store.shadows import Shadow

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="The model's name, for example wd14.")]
Number = Annotated[int, typer.Argument(min=1, help="The version's number, for example 2.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def shadow(
    name: Name,
    version: Number,
    share: Annotated[
        str, typer.Option(help="Which part of the images, 10% or 0.1; again, to change it.")
    ] = "10%",
    stop: Annotated[bool, typer.Option("--stop", help="Look no more; what was scored stays.")] = False,
) -> None:
    """Have a version look at a share of all images beside the active one, without a say.

    It is asked only when nobody waits, after the suggestions of the active version are stored.
    `tagdesk models list` shows how many images it has seen, and why it holds back.

    Example: tagdesk models shadow wd14 2 --share 10%
    """
    part = _share(share)

    async def work(place: Place) -> None:
        if stop:
            ended = await shadowing.end_shadow(place, name, version)
            typer.echo(
                f"{name} {version} " + ("looks no more" if ended else "is no shadow: nothing has changed")
            )
            return
        found = await shadowing.shadow(place, name, version, part)
        typer.echo(f"{name} {version} looks at {as_percent(found.share)} of the images, without a say")

    _at(work)


@app.command()
def promote(
    name: Name,
    version: Number,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Whatever is known of it; needs a --reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="For the record.")] = None,
    restale: Annotated[
        bool,
        typer.Option(
            "--restale",
            help="Queue what only older versions have looked at; the most pending suggestions first.",
        ),
    ] = False,
    min_images: Annotated[
        int, typer.Option(min=0, help="How many images both versions must have looked at.")
    ] = MIN_IMAGES,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="How much of F1 may be lost, for sure, at most.")
    ] = MARGIN,
    as_json: AsJson = False,
) -> None:
    """Use this version from the next picture on, if what is known of it beside the active one lets it.

    The version before stays loaded: `tagdesk models rollback NAME` takes it back in a moment. Pending
    suggestions of images that this version has looked at already follow by themselves; decisions stay.

    Example: tagdesk models promote wd14 2 --restale
    """

    async def work(place: Place) -> None:
        done = await switching.promote(
            place,
            name,
            version,
            guard=Guard(min_images, margin),
            force=force,
            reason=reason,
            restale=restale,
        )
        _show(done, as_json=as_json)

    _at(work)


@app.command()
def rollback(name: Name, as_json: AsJson = False) -> None:
    """Use the version before the active one again. It was kept loaded: this takes a moment.

    Example: tagdesk models rollback wd14
    """

    async def work(place: Place) -> None:
        _show(await switching.roll_back(place, name), as_json=as_json)

    _at(work)


@app.command()
def retire(
    name: Name,
    version: Number,
    force: Annotated[
        bool, typer.Option("--force", help="Also the active version; its name then has none.")
    ] = False,
) -> None:
    """Take a version out of use, or give up one that was to be; again, to unload it from Triton.

    Its files stay, and its pending suggestions until another version has looked.

    Example: tagdesk models retire wd14 1
    """

    async def work(place: Place) -> None:
        row = await switching.retire(place, name, version, force=force)
        typer.echo(f"{name} {version} is {row.state}, {'loaded' if row.loaded else 'not loaded'}")

    _at(work)


@app.command()
def activate(name: Name, version: Number) -> None:
    """Promote a version as `promote` does, or go back to the one before as `rollback` does.

    Example: tagdesk models activate wd14 2
    """

    async def work(place: Place) -> None:
        await switching.activate(place, name, version)

    _at(work)


def as_percent(share: int) -> str:
    """Return ten-thousandths as people write them."""
    return f"{share / 100:g} %"


def shadow_words(found: Shadow | None, row: VersionRow) -> str:
    """Return what a table says of a version's shadowing."""
    if found is None:
        return ""
    seen = f"{found.images:,} images" + (f", {found.failures:,} failed" if found.failures else "")
    if row.state != "shadow":
        return f"{seen}{f': {found.note}' if found.note else ''}"
    state = f", waits: {found.held_back}" if found.held_back else ""
    return f"{as_percent(found.share)}, {seen}{state}"


def _at(work: Callable[[Place], Awaitable[None]]) -> None:
    with_triton(lambda store, settings, triton: work(Place(store, settings, triton, actor(), say)))


def _share(text: str) -> float:
    number = text.strip()
    try:
        return float(number[:-1]) / 100 if number.endswith("%") else float(number)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no share: 10%, or 0.1") from error


def _show(done: Promoted, *, as_json: bool) -> None:
    row = done.row
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "name": row.name,
                    "version": row.version,
                    "state": row.state,
                    "before": done.before,
                    "measured": None if done.measured is None else done.measured.as_detail(),
                    "forced": done.forced,
                    "backfill": done.backfill,
                }
            )
        )
        return
    instead = "" if done.before is None else f" instead of {done.before}, which stays loaded"
    typer.echo(f"{row.name} {row.version} is {row.state}{instead}")
    if done.measured is not None:
        typer.echo(_measured(done.measured) + (" (forced)" if done.forced else ""))
    if done.backfill is not None:
        typer.echo(f"backfill {done.backfill} has begun; `tagdesk backfill status` shows how far it is")


def _measured(found: Measured) -> str:
    text = f"both looked at {found.images:,} images"
    if found.f1 is not None:
        text += f"; F1 {found.f1[0]:.3f} → {found.f1[1]:.3f} on {found.judged:,} that people judged"
    if found.change is None:
        text += f"; people have judged {found.judged:,} of them, too few to say which version is better"
    return text
