"""Publishing from the command line: what `tagdesk models publish` and `fetch` share."""

import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path

import typer

from orchestrator.cli.model_files import show_report
from orchestrator.cli.session import with_settings
from orchestrator.inference.client import TritonClient
from orchestrator.registry.config import ConfigOptions
from orchestrator.registry.publish import ModelRefused, Published, Publisher
from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store


def actor() -> str:
    """Return who the audit log shall name."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"


def say(text: str) -> None:
    """Report a step, apart from results."""
    typer.echo(f"  {text}", err=True)


def with_triton(work: Callable[[Store, Settings, TritonClient], Awaitable[None]]) -> None:
    """Await `work` with the installation's store and Triton."""

    async def run(store: Store, settings: Settings) -> None:
        async with TritonClient.from_settings(settings) as triton:
            await work(store, settings, triton)

    with_settings(run)


def publish_folder(
    folder: Path, *, name: str | None, version: int | None, activate: bool, tensorrt_cache: str | None = None
) -> None:
    """Publish and say what became of it; a refused version's report is printed, exit status 1."""

    async def run(store: Store, settings: Settings, triton: TritonClient) -> None:
        options = ConfigOptions(tensorrt_cache=tensorrt_cache)
        publisher = Publisher(store, settings, triton, actor(), say=say, options=options)
        show_published(await publisher.publish(folder, name=name, version=version, activate=activate))

    try:
        with_triton(run)
    except ModelRefused as error:
        show_report(error.report)
        typer.echo("refused; nothing has changed", err=True)
        raise typer.Exit(1) from error


def show_published(published: Published) -> None:
    """Print a published version, its warnings, and what to do next."""
    model = published.model
    if published.report.warnings:
        show_report(published.report)
    typer.echo(f"{model.name} {model.version} is {model.state}: {len(model.labels)} labels")
    if model.state == "staged":
        typer.echo(
            f"beside the active one, without a say: tagdesk models shadow {model.name} {model.version}"
        )
        typer.echo(
            f"and then, or as the first of its name: tagdesk models promote {model.name} {model.version}"
        )
