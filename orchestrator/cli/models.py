"""`tagdesk models`."""

import json
from collections.abc import Awaitable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from orchestrator.cli import comparing, model_fetch, model_files, priority, raw, rollout
from orchestrator.cli.publishing import actor, publish_folder, say, with_triton
from orchestrator.cli.rollout import shadow_words
from orchestrator.cli.session import with_settings, with_store
from orchestrator.records import VersionState
from orchestrator.registry import lifecycle
from orchestrator.registry.manifest import Manifest, parse_manifest
from orchestrator.registry.register import register_folder
from orchestrator.store import audit, models, shadows
from orchestrator.store.audit import AuditEntry
from orchestrator.store.models import VersionRow
from orchestrator.store.shadows import Shadow
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "The model versions that look at pictures.\n\n"
        "From a file to suggestions:\n\n"
        "  tagdesk models init FOLDER        write its manifest\n\n"
        "  tagdesk models check FOLDER       see what is wrong with it\n\n"
        "  tagdesk models publish FOLDER     check, prepare, load, register as staged\n\n"
        "  tagdesk models shadow NAME N      let it look at a share of the images, without a say\n\n"
        "  tagdesk models compare NAME M N   see what it would change, and how good it is\n\n"
        "  tagdesk models promote NAME N     use it from the next picture on\n\n"
        "  tagdesk models rollback NAME      use the one before again\n\n"
        "Or `tagdesk models fetch wd14-v3`, which brings the real WD14 in."
    ),
)

Name = Annotated[str, typer.Argument(help="The model's name, for example wd14.")]
Number = Annotated[int, typer.Argument(min=1, help="The version's number, for example 2.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def publish(
    source: Annotated[
        Path,
        typer.Argument(exists=True, help="The version's folder with its manifest.json, or a file in it."),
    ],
    name: Annotated[str | None, typer.Option(help="Stands above the manifest's name.")] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Its number; by default the next free one of the name.")
    ] = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="Use it at once, where no other is active.")
    ] = False,
    tensorrt_cache: Annotated[
        str | None,
        typer.Option(
            help="For a model new to the repository: serve with TensorRT on a GPU, its engines kept in this"
            " folder on Triton's host."
        ),
    ] = None,
) -> None:
    """Check a version, prepare its graph, have Triton load it, try it there, and register it as staged.

    Whatever fails, the former state is restored: on disk, in Triton and in the database.

    Example: tagdesk models publish ~/training/themes-7 --name custom_theme

    Without this command: copy the folder to <repository>/<name>/<number>/ and put an empty file READY into
    it last; the keeper does the same and leaves its report beside it.
    """
    publish_folder(source, name=name, version=version, activate=activate, tensorrt_cache=tensorrt_cache)


@app.command(hidden=True)
def deactivate(name: Name, version: Number) -> None:
    """Do what `retire --force` does; a staged version is unloaded at once.

    Example: tagdesk models deactivate custom_theme 1
    """
    with_triton(lambda s, c, t: _done(lifecycle.deactivate(s, c, t, name, version, actor=actor(), say=say)))


@app.command()
def remove(
    name: Name,
    version: Number,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Unload a version that is not in use and delete its folder. What it suggested stays.

    Example: tagdesk models remove wd14 1
    """
    if not yes:
        typer.confirm(f"Delete the files of {name} {version} from the repository?", abort=True)
    with_triton(lambda s, c, t: _done(lifecycle.remove(s, c, t, name, version, actor=actor(), say=say)))


@app.command("list")
def list_(
    as_json: AsJson = False,
    everything: Annotated[bool, typer.Option("--all", help="Removed versions, too.")] = False,
) -> None:
    """List the registered versions: what each is used for, whether Triton serves it, and what it has seen as
    a shadow."""

    async def read(tx: Transaction) -> tuple[list[VersionRow], dict[int, Shadow]]:
        return await models.list_versions(tx), await shadows.all_shadows(tx)

    found, shadowed = with_store(lambda store: store.read(read))
    rows = [row for row in found if everything or row.state is not VersionState.REMOVED]
    if as_json:
        listed = [asdict(row) | {"shadow": _as_dict(shadowed.get(row.id))} for row in rows]
        typer.echo(json.dumps(listed, indent=2, default=str))
        return
    headers = ("version", "state", "loaded", "speaks", "registered", "as a shadow")
    table = Table(Column("model", no_wrap=True), *headers, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(
            row.name,
            str(row.version),
            row.state,
            "yes" if row.loaded else "no",
            row.vocabulary,
            f"{row.created_at:%Y-%m-%d}",
            shadow_words(shadowed.get(row.id), row),
        )
    Console().print(table)


@app.command()
def show(name: Name, version: Number, as_json: AsJson = False) -> None:
    """Show a version's manifest and what was done to it."""
    row, manifest, history = with_store(lambda store: _facts(store, name, version))
    if as_json:
        content = {
            "version": asdict(row),
            "manifest": manifest.model_dump(mode="json"),
            "history": [asdict(entry) for entry in history],
        }
        typer.echo(json.dumps(content, indent=2, default=str))
        return
    console = Console()
    console.print(_facts_table(row, manifest))
    console.print("what was done")
    for entry in history:
        typer.echo(f"{entry.at:%Y-%m-%d %H:%M:%S} UTC  {entry.actor}  {entry.action}")
        for what, value in json.loads(entry.detail or "{}").items():
            typer.echo(f"    {what}: {value if isinstance(value, str) else json.dumps(value)}")


@app.command()
def register(name: Name, version: Number) -> None:
    """Enter a folder that is prepared already, as the shipped ones; active if no other of the name is.

    Example: tagdesk models register wd14 1. The keeper then has Triton load it, and workers pin it.
    """
    model = with_settings(lambda store, settings: register_folder(store, settings, name, version))
    typer.echo(
        f"{model.name} {model.version} is {model.state}: {len(model.labels)} labels, {model.vocabulary}"
    )


def _as_dict(found: Shadow | None) -> dict[str, object] | None:
    return None if found is None else asdict(found) | {"held_back": found.held_back}


async def _done(work: Awaitable[object]) -> None:
    await work


async def _facts(store: Store, name: str, version: int) -> tuple[VersionRow, Manifest, list[AuditEntry]]:
    row = await lifecycle.find_version(store, name, version)

    async def read(tx: Transaction) -> tuple[str, list[AuditEntry]]:
        return await models.manifest(tx, row.id), await audit.of(tx, f"{name}/{version}")

    manifest, history = await store.read(read)
    return row, parse_manifest(manifest), history


def _facts_table(row: VersionRow, manifest: Manifest) -> Table:
    geometry, spec = manifest.geometry, manifest.input
    facts = {
        "state": f"{row.state}, {'loaded' if row.loaded else 'not loaded'}",
        "registered": f"{row.created_at:%Y-%m-%d %H:%M} UTC",
        "vocabulary": f"{manifest.vocabulary}; suggestions say {manifest.model_source}",
        "picture": f"{geometry.size} × {geometry.size}, padded with {geometry.pad_colour}, {geometry.filter}",
        "the original takes": f"{spec.layout} {spec.channel_order} in {spec.value_range}, mean {spec.mean},"
        f" std {spec.std}",
        "labels": f"{manifest.labels.count} in {manifest.labels.file}",
        "batch": f"at most {manifest.batch.maximum}",
        "golden pictures": str(len(manifest.golden)),
        "source": manifest.source,
        "licence": manifest.licence,
        "sha256 of the original": manifest.model.sha256,
        "sha256 of what is served": row.sha256,
    }
    table = Table("", "", title=f"{row.name} {row.version}", show_header=False)
    for what, value in facts.items():
        table.add_row(what, value)
    return table


app.add_typer(priority.app, name="priority")
app.add_typer(raw.app, name="raw")
app.registered_commands += comparing.app.registered_commands
app.registered_commands += rollout.app.registered_commands
app.registered_commands += model_files.app.registered_commands
app.registered_commands += model_fetch.app.registered_commands
