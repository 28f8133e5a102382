"""`tagdesk board`: the board's own tags, users, images and links."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from orchestrator import accounts
from orchestrator.board_import.checking import MOST_PROBLEMS, Checked
from orchestrator.board_import.files import Kind
from orchestrator.board_import.service import REJECTS, BoardImport, Options, Watch
from orchestrator.board_import.writing import ActorNeeded
from orchestrator.cli.session import with_settings
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.settings import Settings
from orchestrator.store.import_runs import Counts
from orchestrator.store.unit_of_work import Store

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "The board's own tags, users, images and links. docs/board-import.md has every column and an"
        " example.\n\n"
        "Examples:\n\n"
        "  tagdesk board import ~/export --check       every bad row by line; stores nothing\n\n"
        "  tagdesk board import ~/export               again: goes on where it was stopped\n\n"
        "  tagdesk board import --links today.csv.gz\n\n"
        "  tagdesk backfill start --where state=imported    has what was imported analysed"
    ),
)
_SHOWN = 50
_STOPPED = 130

File = Annotated[Path | None, typer.Option(exists=True, dir_okay=False)]


@app.callback()
def _group() -> None:
    """Keep `import` a command of its own."""


@app.command("import")
def import_(  # noqa: PLR0917 - typer makes options of them
    folder: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            file_okay=False,
            help="A folder with any of tags, users, images, links as .csv or .jsonl, or .gz of these.",
        ),
    ] = None,
    tags: File = None,
    users: File = None,
    images: File = None,
    links: File = None,
    check: Annotated[bool, typer.Option("--check", help="Look at every row; store nothing.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help=f"Leave bad rows out; they are listed in FILE{REJECTS}.")
    ] = False,
    as_user: Annotated[
        str | None,
        typer.Option("--as", help="Who decides on pending suggestions where rows do not say: a user's name."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as a JSON object.")] = False,
) -> None:
    """Take in the board's files: tags, then users, images and links. Importing a file again changes nothing.

    Every file is checked as a whole first, and bad rows are named by line. Stop it whenever you like: the
    same command goes on where it stopped. Images are not analysed by this: `tagdesk backfill start --where
    state=imported` does that.

    Examples: tagdesk board import ~/export --check · tagdesk board import --links links.jsonl.gz --as mira
    """
    named = {Kind.TAGS: tags, Kind.USERS: users, Kind.IMAGES: images, Kind.LINKS: links}
    files = {kind: path for kind, path in named.items() if path is not None}
    files = {**_in(folder), **files} if folder else files
    if not files:
        raise typer.BadParameter("say which files: a folder, or --tags, --users, --images, --links")
    command = _Command(files, check, skip_bad, as_user)
    try:
        found = with_settings(command.run)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on where this one stopped", err=True)
        raise typer.Exit(_STOPPED) from None
    _show(found, command.checked, as_json=as_json)
    for note in command.notes:
        typer.echo(note, err=True)
    if found is None or (check and any(one.problems for one in command.checked.values())):
        raise typer.Exit(1)


def _in(folder: Path) -> dict[Kind, Path]:
    """Return the files of a folder by kind. Raises InvalidInput when there are two of one kind, or none."""
    suffixes = (".csv", ".jsonl", ".csv.gz", ".jsonl.gz")
    found: dict[Kind, Path] = {}
    for kind in Kind:
        paths = [path for suffix in suffixes if (path := folder / f"{kind}{suffix}").is_file()]
        if len(paths) > 1:
            raise InvalidInput(f"{folder} has {paths[0].name} and {paths[1].name}: name one by --{kind}")
        found.update((kind, path) for path in paths)
    if not found:
        raise InvalidInput(f"{folder} has no tags, users, images or links as .csv or .jsonl (.gz)")
    return found


class _Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s")


class _Command:
    """What was asked for. `checked`: the files after the first pass; `notes`: what an import will ask for."""

    def __init__(self, files: Mapping[Kind, Path], check: bool, skip_bad: bool, as_user: str | None) -> None:
        self.checked: dict[Kind, Checked] = {}
        self.notes: list[str] = []
        self._files = files
        self._check = check
        self._skip_bad = skip_bad
        self._as_user = as_user

    async def run(self, store: Store, settings: Settings) -> dict[Kind, Counts] | None:
        """Check and import; None when bad rows stop it, nothing when only the check was asked for."""
        actor = None
        if self._as_user is not None:
            actor = await accounts.find_user(store, self._as_user)
            if actor is None:
                raise NotFound(f"no user is called {self._as_user!r}; `tagdesk users list` shows them")
        columns = (
            *(TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), _Rate()),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bars = {kind: progress.add_task(f"checking {kind}", total=None) for kind in self._files}

            def begins(kind: Kind, total: int, behind: int) -> None:
                progress.reset(bars[kind], total=total, completed=behind, description=f"importing {kind}")

            watch = Watch(
                checked=lambda kind, rows: progress.advance(bars[kind], rows),
                imported=lambda kind, rows: progress.advance(bars[kind], rows),
                begins=begins,
            )
            work = BoardImport(
                store,
                settings,
                self._files,
                Options(skip_bad=self._skip_bad, actor=actor, watch=watch),
            )
            self.checked = await work.check()
            if self._check:
                if actor is None:
                    self.notes = [
                        str(ActorNeeded(f"{one.path}, line {one.anonymous}"))
                        for one in self.checked.values()
                        if one.anonymous is not None
                    ]
                return {}
            if not self._skip_bad and any(one.problems for one in self.checked.values()):
                return None
            return await work.run(self.checked)


def _show(found: Mapping[Kind, Counts] | None, checked: Mapping[Kind, Checked], *, as_json: bool) -> None:
    for one in checked.values():
        problems = one.listed()
        for problem in problems[:_SHOWN]:
            typer.echo(str(problem), err=True)
        if len(problems) > _SHOWN:
            typer.echo(f"{one.path}: and {len(problems) - _SHOWN:,} more bad rows", err=True)
        if not one.complete:
            text = f"{one.path}: rows behind the first {MOST_PROBLEMS:,} bad ones were not read"
            typer.echo(text, err=True)
    if as_json:
        typer.echo(json.dumps(_values(found, checked)))
        return
    table = Table("what", "rows", "bad", box=SIMPLE_HEAD, pad_edge=False)
    if found:
        table = Table(
            "what", "rows", "new", "existing", "changed", "refused", box=SIMPLE_HEAD, pad_edge=False
        )
    for kind, one in checked.items():
        counts = (found or {}).get(kind)
        parts = (len(one.problems),) if counts is None else _parts(counts)
        table.add_row(kind, f"{one.rows:,}", *(f"{part:,}" for part in parts))
    Console().print(table)
    if found is None:
        typer.echo("nothing was imported: mend these rows, or leave them out by --skip-bad", err=True)
    elif found and any(one.problems for one in checked.values()):
        typer.echo(f"refused rows are in FILE{REJECTS}", err=True)


def _parts(counts: Counts) -> tuple[int, int, int, int]:
    return counts.new, counts.existing, counts.changed, counts.refused


def _values(found: Mapping[Kind, Counts] | None, checked: Mapping[Kind, Checked]) -> dict[str, object]:
    names = ("new", "existing", "changed", "refused")
    return {
        kind: {
            "rows": one.rows,
            "bad": len(one.problems),
            **(dict(zip(names, _parts(found[kind]), strict=True)) if found and kind in found else {}),
        }
        for kind, one in checked.items()
    }
