"""`tagdesk models`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.cli.session import with_settings, with_store
from orchestrator.registry.register import register_folder
from orchestrator.store import models

app = typer.Typer(no_args_is_help=True, help="The model versions that look at pictures.")


@app.command()
def register(
    name: Annotated[str, typer.Argument(help="The model's folder in the repository, for example wd14.")],
    version: Annotated[int, typer.Argument(min=1, help="The version's folder, for example 1.")],
) -> None:
    """Check a version's folder and enter it in the database; active if no other version of the name is.

    Example: tagdesk models register wd14 1. The keeper then has Triton load it, and workers pin it.
    """
    model = with_settings(lambda store, settings: register_folder(store, settings, name, version))
    typer.echo(
        f"{model.name} {model.version} is {model.state}: {len(model.labels)} labels, {model.vocabulary}"
    )


@app.command("list")
def list_() -> None:
    """List the registered versions."""
    table = Table("model", "version", "state", "source", "vocabulary", "sha256", "registered")
    for row in with_store(lambda store: store.read(models.list_versions)):
        table.add_row(
            row.name,
            str(row.version),
            row.state,
            row.source,
            row.vocabulary,
            row.sha256[:12],
            f"{row.created_at:%Y-%m-%d %H:%M} UTC",
        )
    Console().print(table)
