"""`tagdesk up`, `down`, `status` and `logs`."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table

from orchestrator.local.errors import LocalStackError
from orchestrator.local.instance import DEFAULT_INSTANCE, Instance
from orchestrator.local.parts import PartName
from orchestrator.local.processes import tail
from orchestrator.local.stack import Stack
from orchestrator.local.status import StackReport, survey

UNHEALTHY, NOT_RUNNING = 1, 3
"""Exit statuses of `tagdesk status`."""

_FOLLOW_INTERVAL = 0.2

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True, help="The local stack: everything that tagdesk needs, on this machine."
)

InstanceOption = Annotated[
    str | None,
    typer.Option("--instance", envvar="TAGDESK_INSTANCE", help="Which stack; each has its own data."),
]


@app.command()
def up(
    instance: InstanceOption = None,
    only: Annotated[
        str | None, typer.Option(help="Just these parts, for example: --only mariadb,redis,triton")
    ] = None,
) -> None:
    """Start the stack in the background and wait until it is ready. Twice is as good as once.

    A part whose address is set (TAGDESK_DATABASE_URL, TAGDESK_REDIS_URL, TAGDESK_TRITON_URL) is used rather
    than started.
    """
    began = time.monotonic()
    stack = _stack(instance, _say)
    _or_exit(lambda: stack.up(_parts(only)))
    _say(
        f"the stack is up after {time.monotonic() - began:.1f} s: {stack.environment()['TAGDESK_PUBLIC_URL']}"
    )


@app.command()
def down(
    instance: InstanceOption = None,
    every: Annotated[bool, typer.Option("--all", help="End every instance of this checkout.")] = False,
) -> None:
    """End the stack. Its data stays; no process, socket or shared memory does."""
    for stack in _every_stack() if every else [_stack(instance, _say)]:
        ran = _or_exit(stack.down)
        name = stack.instance.name
        _say(f"the stack {name!r} is down" if ran else f"the stack {name!r} was not running")


@app.command()
def status(
    instance: InstanceOption = None,
    json: Annotated[bool, typer.Option("--json", help="For programs; shows the demo's tokens.")] = False,
) -> None:
    """Show every part: state, address, health, log file.

    Ends with status 0 when all is well, 1 when a part is not, 3 when the stack does not run.
    """
    report = asyncio.run(survey(_stack(instance, _say)))
    if json:
        typer.echo(report.to_json())
    else:
        _show(report)
    if not report.running:
        raise typer.Exit(NOT_RUNNING)
    if not report.healthy:
        raise typer.Exit(UNHEALTHY)


@app.command()
def logs(
    part: Annotated[
        str | None, typer.Argument(help="One part, for example worker-live; by default all.")
    ] = None,
    instance: InstanceOption = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as more comes, until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines of each log.")] = 50,
) -> None:
    """Print the ends of the logs."""
    folder = _stack(instance, _say).instance.logs
    files = sorted(folder.glob("*.log")) if part is None else [folder / f"{part}.log"]
    if not files or not files[0].exists():
        known = ", ".join(file.stem for file in sorted(folder.glob("*.log"))) or "none yet"
        typer.echo(f"no log of {part or 'any part'}; there are: {known}", err=True)
        raise typer.Exit(1)
    offsets = {file: file.stat().st_size for file in files}
    for file in files:
        for line in tail(file, lines):
            _print_line(file, line, alone=len(files) == 1)
    try:
        while follow:
            for file, line in _new_lines(offsets):
                _print_line(file, line, alone=len(files) == 1)
            time.sleep(_FOLLOW_INTERVAL)
    except KeyboardInterrupt:
        return


def _every_stack() -> list[Stack]:
    """Return the stacks of all instances that have a folder."""
    base = Instance.named(DEFAULT_INSTANCE).base
    return [
        Stack(Instance.named(folder.name), report=_say)
        for folder in sorted(base.glob("*"))
        if (folder / "instance.json").exists()
    ]


def _stack(instance: str | None, report: Callable[[str], None]) -> Stack:
    return _or_exit(lambda: Stack.of(instance, report=report))


def _or_exit(action: Callable[[], T]) -> T:
    """Do something, and say in a line what prevents it."""
    try:
        return action()
    except LocalStackError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _say(text: str) -> None:
    typer.echo(f"  {text}")


def _parts(only: str | None) -> tuple[PartName, ...]:
    if only is None:
        return tuple(PartName)
    try:
        return tuple(PartName(name.strip()) for name in only.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; there are: {', '.join(PartName)}") from error


def _show(report: StackReport) -> None:
    console = Console()
    if not report.running:
        console.print(f"The stack {report.instance!r} is not running; `tagdesk up` starts it.")
        return
    table = Table("part", "state", "healthy", "restarts", Column("address", overflow="fold"))
    for part in report.parts:
        provider = f" ({part.provider})" if part.provider else ""
        table.add_row(
            part.name,
            part.state,
            "[green]yes[/]" if part.healthy else f"[red]no[/] {part.detail}",
            str(part.restarts),
            f"{part.address or ''}{provider}",
        )
    console.print(table)
    console.print(f"logs: {_short(report.logs)}", highlight=False)
    if isinstance(report.tokens, dict):
        for name, token in report.tokens.items():
            console.print(f"token of {name}: {token}", markup=False, highlight=False)


def _short(path: str) -> str:
    """Return `path` from here, where that is shorter."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _print_line(file: Path, line: str, *, alone: bool) -> None:
    typer.echo(line if alone else f"{file.stem:16} {line}")


def _new_lines(offsets: dict[Path, int]) -> Iterator[tuple[Path, str]]:
    """Yield the whole lines that were written since the last call; a log that was put aside starts anew."""
    for file, offset in offsets.items():
        size = file.stat().st_size if file.exists() else 0
        start = offset if size >= offset else 0
        if size == start:
            offsets[file] = start
            continue
        with file.open("rb") as stream:
            stream.seek(start)
            content = stream.read()
        whole = content.rpartition(b"\n")[0]
        offsets[file] = start + len(whole) + 1 if whole else start
        for line in whole.decode(errors="replace").splitlines():
            yield file, line
