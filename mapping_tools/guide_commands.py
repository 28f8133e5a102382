"""`tagdesk mappings` suggest, validate, coverage and history: what to map, what is wrong, how far one is."""

import dataclasses
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from mapping_tools.coverage import Coverage, Share, measure
from mapping_tools.suggesting import DEFAULT_MIN_SCORE, as_csv, suggest
from mapping_tools.validation import validate_stored
from orchestrator.records import SCORE_ONE, MappingAction
from orchestrator.settings import Settings
from orchestrator.store import mapping_history
from orchestrator.store.mapping_history import MappingTarget
from orchestrator.store.unit_of_work import Store

T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


class Runner(Protocol):
    """Runs work on an open store and returns its answer; how to connect is the caller's concern."""

    def __call__(self, work: Callable[[Store, Settings], Awaitable[T]]) -> T:
        """Open a store, await `work` with it and the settings, close it."""


def add(app: typer.Typer, run: Runner) -> None:
    """Add the commands to a group; `run` connects to the installation that they work on."""

    @app.command("suggest")
    def suggest_(
        file: Annotated[Path | None, typer.Argument(help="Where to write; by default the terminal.")] = None,
        min_score: Annotated[
            float, typer.Option(min=0, max=1, help="Leave out proposals below this score.")
        ] = DEFAULT_MIN_SCORE,
        labels: Annotated[
            Path | None,
            typer.Option(help="A selected_tags.csv to go by; by default what active versions say."),
        ] = None,
    ) -> None:
        """Propose tags for external tags without a mapping, as a file to go through and import.

        Delete the lines that are wrong, correct others, then import the file. The columns score, reasons and
        alternatives are for you; the import does not look at them.

        Example: tagdesk mappings suggest new.csv, then tagdesk mappings import new.csv
        """
        found = run(lambda store, settings: suggest(store, settings, labels=labels))
        write_to(file, as_csv(found, min_score=min_score), "proposals")
        proposed = sum(one.score >= min_score for one in found)
        typer.echo(f"{len(found)} external tags have no mapping; {proposed} are proposed one", err=True)

    @app.command("validate")
    def validate_(as_json: AsJson = False) -> None:
        """Say which mappings need a person; exit status 1 if any does.

        unknown_name: no active version says it. tag_gone, tag_is_alias: of the tag that it leads to.
        contradiction: the same name, or another spelling of it, leads elsewhere.
        """
        findings = run(validate_stored)
        if as_json:
            _print_json([dataclasses.asdict(finding) for finding in findings])
        else:
            table = Table("source", "external tag", "fault", "what")
            for one in findings:
                table.add_row(one.source, escape(one.external_tag), one.fault, escape(one.detail))
            if findings:
                Console().print(table)
            typer.echo(f"{len(findings)} findings" if findings else "nothing is wrong with the mappings")
        if findings:
            raise typer.Exit(1)

    @app.command()
    def coverage(
        limit: Annotated[int, typer.Option(min=0, help="So many of the unmapped.")] = 50,
        as_json: AsJson = False,
    ) -> None:
        """Show how much of what the models say is mapped, and what is worth mapping next.

        Sums up every stored prediction of the active versions: about a second for a million.
        """
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("images")
            found = run(
                lambda store, settings: measure(
                    store,
                    settings,
                    progress=lambda done, of: bar.update(task, completed=done, total=of),
                )
            )
        if as_json:
            shown = dataclasses.replace(found, unmapped=found.unmapped[:limit])
            _print_json(dataclasses.asdict(shown))
        else:
            _show_coverage(found, limit)

    @app.command()
    def history(
        external_tag: Annotated[
            str | None, typer.Argument(help="Of this external tag; all by default.")
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many, the newest.")] = 50,
        as_json: AsJson = False,
    ) -> None:
        """Show who changed which mapping when, the newest first. Nobody's name: by a command."""
        changes = run(
            lambda store, _: store.read(
                lambda tx: mapping_history.list_changes(tx, external_tag=external_tag, limit=limit)
            )
        )
        if as_json:
            _print_json([dataclasses.asdict(one) | {"at": one.at.isoformat()} for one in changes])
            return
        table = Table("when", "who", "source", "external tag", "before", "after")
        for one in changes:
            when, who = f"{one.at:%Y-%m-%d %H:%M:%S}", escape(one.actor or "")
            name = escape(one.external_tag)
            table.add_row(when, who, one.source, name, _led(one.before), _led(one.after))
        Console().print(table)


def write_to(file: Path | None, text: str, what: str) -> None:
    """Write a mapping file, or print it. Raises typer.BadParameter when it cannot be written."""
    if file is None:
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from error
    typer.echo(f"wrote {text.count(chr(10)) - 1} {what} to {file}")


def _show_coverage(found: Coverage, limit: int) -> None:
    shares = Table("", "mapped", "ignored", "unmapped", "all")
    for what, share in (
        ("external tags", found.names),
        ("raw predictions", found.raw),
        ("at or above their thresholds", found.above),
    ):
        shares.add_row(
            what,
            *(_part(share, n) for n in (share.mapped, share.ignored, share.unmapped)),
            f"{share.total:,}",
        )
    Console().print(shares)
    table = Table("source", "unmapped external tag", "category", "at or above threshold", "raw predictions")
    for name in found.unmapped[:limit]:
        table.add_row(
            name.source, escape(name.external_tag), name.category, f"{name.above:,}", f"{name.raw:,}"
        )
    if table.row_count:
        Console().print(table)
    if len(found.unmapped) > limit:
        typer.echo(f"and {len(found.unmapped) - limit:,} more; --limit shows them")


def _led(target: MappingTarget | None) -> str:
    if target is None:
        return ""
    if target.action is MappingAction.IGNORE:
        return "ignored"
    weight = "" if target.weight == SCORE_ONE else f" × {target.weight / SCORE_ONE:g}"
    return escape((target.title or f"tag {target.tag_id}, which is gone") + weight)


def _part(share: Share, amount: int) -> str:
    return f"{amount:,} ({amount / share.total:.1%})" if share.total else f"{amount:,}"


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
