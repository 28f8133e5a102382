"""`tagdesk models fetch`: the real taggers, from where their authors publish them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as SpeedColumn
from rich.table import Table

from orchestrator.cli.publishing import publish_folder, say
from orchestrator.cli.session import connect_settings
from orchestrator.demo.portraits import draw_portrait
from orchestrator.errors import InvalidInput
from orchestrator.registry.catalogue import BASE_URL, CATALOGUE, LABELS_FILE, MODEL_FILE, Published
from orchestrator.registry.download import Downloader, Fetched, alone_in
from orchestrator.registry.download import Progress as Report
from orchestrator.registry.initialise import initialise

DOWNLOADS = ".downloads"
GOLDEN_SEEDS = (11, 12)

_LINE_EVERY = 64 * 1024 * 1024

app = typer.Typer()


@app.command()
def fetch(
    tagger: Annotated[
        str | None, typer.Argument(help="Which one, for example wd14-v3; without it they are listed.")
    ] = None,
    *,
    name: Annotated[str, typer.Option(help="The model's name here.")] = "wd14",
    activate: Annotated[
        bool, typer.Option("--activate", help="Use it at once, where no other is active.")
    ] = False,
    from_folder: Annotated[
        Path | None,
        typer.Option(
            "--from", exists=True, file_okay=False, help="Take the files from a folder, without the internet."
        ),
    ] = None,
    base_url: Annotated[str, typer.Option(help="Where the repositories are, a mirror say.")] = BASE_URL,
    publish: Annotated[bool, typer.Option(help="Publish it when it is here.")] = True,
    accept_changed: Annotated[
        bool, typer.Option("--accept-changed", help="Take a file that is not what it was the last time.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds of silence before another try.")] = 30.0,
) -> None:
    """Download a tagger, write its manifest, and publish it as staged.

    Examples: tagdesk models fetch wd14-v3 · tagdesk models fetch wd14-v2 --activate ·
    tagdesk models fetch wd14-v3 --from /media/stick

    A download that was cut goes on where it stopped. The SHA-256 of each file is noted the first time, and
    any other is refused after that. About 1.2 GB are needed for a WD14: the file, a copy, the prepared graph.
    """
    if tagger is None:
        _list()
        return
    published = CATALOGUE.get(tagger)
    if published is None:
        raise InvalidInput(f"'{tagger}' is not one of {', '.join(CATALOGUE)}", code="unknown_tagger")
    folder = connect_settings().model_repository / DOWNLOADS / tagger
    with alone_in(folder):
        with _progress() as report:
            downloader = Downloader(folder, timeout=timeout, progress=report)
            for file in published.files:
                key = f"{published.repository}/{file}"
                fetched = (
                    downloader.download(
                        published.url(base_url, file), file, key=key, accept_changed=accept_changed
                    )
                    if from_folder is None
                    else downloader.copy(from_folder / file, file, key=key, accept_changed=accept_changed)
                )
                _say_fetched(fetched)
        _describe(folder, published, name, base_url)
        if publish:
            publish_folder(folder, name=name, version=None, activate=activate)
        else:
            typer.echo(f"it is in {folder}; next: tagdesk models publish {folder}")


def _list() -> None:
    table = Table("tagger", "published as", "contract", "licence")
    for key, one in CATALOGUE.items():
        table.add_row(key, one.repository, one.preset, one.licence)
    Console().print(table)


def _say_fetched(fetched: Fetched) -> None:
    noted = "noted; any other will be refused" if fetched.first else "as known"
    say(f"{fetched.path.name}: SHA-256 {fetched.sha256} ({noted})")


def _describe(folder: Path, published: Published, name: str, base_url: str) -> None:
    """Write the manifest, with two drawn pictures and the graph's own answers as golden ones.

    Nobody has published known answers, so these guard against later changes, not against a wrong contract.
    """
    pictures = []
    for seed in GOLDEN_SEEDS:
        path = folder / f"drawn-{seed}.png"
        draw_portrait(seed, clean=True, aspect=0.75).image.save(path)
        pictures.append(path)
    initialise(
        folder,
        preset=published.preset,
        name=name,
        version=1,
        source=published.page(base_url),
        licence=published.licence,
        model_file=MODEL_FILE,
        labels_file=LABELS_FILE,
        golden=pictures,
        replace=True,
    )


@contextmanager
def _progress() -> Iterator[Report]:
    """Show bars to a person, and a line now and then to a log."""
    console = Console(stderr=True)
    if not console.is_terminal:
        told: dict[str, int] = {}

        def line(name: str, there: int, total: int | None) -> None:
            if there == total or there - told.get(name, 0) >= _LINE_EVERY:
                told[name] = there
                say(f"{name}: {there / 1e6:,.1f} MB" + (f" of {total / 1e6:,.1f} MB" if total else ""))

        yield line
        return
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), SpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        tasks = {}

        def bar(name: str, there: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=there, total=total)

        yield bar
