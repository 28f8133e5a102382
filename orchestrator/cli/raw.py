"""`tagdesk models raw`: how many raw predictions a version has, and how long they are kept."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Column, Table

from orchestrator.cli.publishing import actor
from orchestrator.cli.session import with_store
from orchestrator.records import RawPolicy
from orchestrator.registry import retention
from orchestrator.registry.retention import RawOf
from orchestrator.store.raw_retention import PROTECTED
from orchestrator.store.rule_changes import Author

app = typer.Typer(
    help=(
        "What versions said of each image, from which suggestions follow when rules change: how much there"
        " is, and how long it is kept. Alone it lists.\n\n"
        "  tagdesk models raw\n\n"
        "  tagdesk models raw keep wd14 1 --newest 100000\n\n"
        "  tagdesk models raw keep wd14 1 --drop\n\n"
        "  tagdesk models raw keep wd14 1              all again, from now on"
    ),
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback(invoke_without_command=True)
def alone(context: typer.Context) -> None:
    """List, when no command is given."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show images, rows and size of every version, and which of them are kept."""
    found, on_disk = with_store(retention.list_raw)
    if as_json:
        listed = [{**asdict(one), "policy": one.policy, "bytes": one.bytes} for one in found]
        text = json.dumps({"versions": listed, "bytes_on_disk": on_disk}, indent=2, default=str)
        typer.echo(text)
        return
    columns = ("version", "state", "images", "rows, about", "size, about", "kept", "dropped")
    table = Table(Column("model", no_wrap=True), *columns, box=SIMPLE_HEAD, pad_edge=False)
    for one in found:
        dropped = 0 if one.retention is None else one.retention.dropped_images
        table.add_row(
            one.row.name,
            str(one.row.version),
            one.row.state,
            f"{one.stored.images:,}",
            f"{one.stored.rows:,}",
            decimal(one.bytes),
            _kept(one),
            f"of {dropped:,} images" if dropped else "",
        )
    Console().print(table)
    typer.echo(f"on disk, with what is free for new rows: {decimal(on_disk)}")


@app.command()
def keep(
    name: Annotated[str, typer.Argument(help="The model's name, for example wd14.")],
    version: Annotated[int, typer.Argument(min=1, help="The version's number, for example 2.")],
    *,
    newest: Annotated[
        int | None, typer.Option(min=1, help="Keep those of so many images, the newest.")
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Keep none.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also while the version is active or a shadow, and where no newer one has looked."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Keep all raw predictions of a version, or those of the newest images, or none.

    The keeper drops the others bit by bit. Suggestions stay as they are, and pending ones go on following the
    rules by their evidence; but what was dropped suggests nothing new until the images are analysed again.

    Examples: tagdesk models raw keep wd14 1 --newest 100000 · tagdesk models raw keep wd14 1 --drop
    """
    if drop and newest is not None:
        raise typer.BadParameter("either --newest or --drop")
    policy = RawPolicy.DROP if drop else RawPolicy.KEEP if newest is None else RawPolicy.NEWEST
    if policy is not RawPolicy.KEEP and not yes:
        found = with_store(lambda store: retention.raw_of(store, name, version))
        if not force:
            # Now, rather than after the question.
            retention.expect_not_needed(name, version, found.row.state)
        typer.confirm(_question(found, newest or 0, force), abort=True)
    with_store(
        lambda store: retention.set_policy(
            store, name, version, policy, newest=newest, force=force, author=Author(actor())
        )
    )
    found = with_store(lambda store: retention.raw_of(store, name, version))
    typer.echo(f"{name} {version}: {_kept(found)}; there are about {found.stored.rows:,} rows now")


def _question(found: RawOf, newest: int, force: bool) -> str:
    images = max(0, found.stored.images - newest)
    share = images / found.stored.images if found.stored.images else 0
    name = f"{found.row.name} {found.row.version}"
    lines = [f"Drop what {name} said of {images:,} images, about {decimal(round(share * found.bytes))}?"]
    if force and found.row.state in PROTECTED:
        lines.insert(0, f"{name} is {found.row.state}: changed rules will find nothing new on these images.")
    if found.replaced:
        lines.insert(0, f"A roll back goes to {name}; it would have to look at these images anew then.")
    return "\n".join(lines)


def _kept(found: RawOf) -> str:
    said = found.retention
    if said is None or said.policy is RawPolicy.KEEP:
        return "all"
    what = "none" if said.policy is RawPolicy.DROP else f"of the newest {said.newest:,} images"
    return what + (", by force" if said.forced else "")
