"""`tagdesk mappings`: import and export. What helps to decide is in `guide_commands`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mapping_tools import guide_commands
from mapping_tools.guide_commands import Runner, write_to
from mapping_tools.plan import ImportPlan, Target
from mapping_tools.rows import BadMappingFile, read_rows, write_rows
from mapping_tools.service import ImportResult, export_rows, import_rows
from orchestrator.records import SCORE_ONE


def commands(run: Runner) -> typer.Typer:
    """Return the command group; `run` connects to the installation that it works on."""
    app = typer.Typer(no_args_is_help=True, help="Map external tags (Danbooru's) to the board's own.")

    @app.command("import")
    def import_(
        file: Annotated[Path, typer.Argument(help="CSV: danbooru_tag,internal_tag_title,action …")],
        apply: Annotated[bool, typer.Option("--apply", help="Write; without it nothing changes.")] = False,
        replace: Annotated[
            bool, typer.Option("--replace", help="Change mappings that exist and differ, too.")
        ] = False,
    ) -> None:
        """Show what a mapping file would change and, with --apply, change it: all of it or nothing.

        Example: tagdesk mappings import new.csv, and when the table looks right the same with --apply.
        Optional columns: internal_tag_type (theme, character, source, artist), weight (0.0001 to 1),
        source (danbooru).
        """
        try:
            with file.open(encoding="utf-8", newline="") as stream:
                text = stream.read()
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise typer.BadParameter(f"{file} is not UTF-8 text: {error}") from error
        try:
            rows = read_rows(text)
            result = run(lambda store, _: import_rows(store, rows, apply=apply, replace=replace))
        except BadMappingFile as error:
            for problem in error.problems:
                typer.echo(f"{file}: {problem}", err=True)
            typer.echo("nothing was changed: mend these lines and try again", err=True)
            raise typer.Exit(1) from error
        _show(result, applied=apply, replace=replace)
        if result.plan.unknown:
            raise typer.Exit(1)

    @app.command()
    def export(
        file: Annotated[Path | None, typer.Argument(help="Where to write; by default the terminal.")] = None,
    ) -> None:
        """Write every mapping as a file that `import` reads back to the same mappings."""
        text = write_rows(run(lambda store, _: export_rows(store)))
        write_to(file, text, "mappings")

    guide_commands.add(app, run)
    return app


def _show(result: ImportResult, *, applied: bool, replace: bool) -> None:
    plan = result.plan
    console = Console()
    table = Table("line", "external tag", "becomes", "what")
    for target in plan.new:
        table.add_row(
            str(target.row.line), escape(target.row.external_tag), escape(_words(target)), "[green]new[/]"
        )
    for conflict in plan.conflicting:
        verb = "replaced" if replace else "kept as it was; --replace changes it"
        row = conflict.target.row
        table.add_row(
            str(row.line),
            escape(row.external_tag),
            escape(_words(conflict.target)),
            f"[yellow]differs[/]: {verb}",
        )
    for bad in plan.unknown:
        what = f"[red]{escape(bad.explained)}[/]"
        table.add_row(str(bad.row.line), escape(bad.row.external_tag), escape(bad.row.title or ""), what)
    if table.row_count:
        console.print(table)
    console.print(_summary(plan), highlight=False)
    if applied:
        console.print(f"{result.written} mappings written", highlight=False)
    elif plan.unknown:
        console.print("mend the titles in red first; nothing was changed")
    elif plan.to_store(replace=replace):
        console.print("nothing was changed; the same command with --apply writes this")


def _summary(plan: ImportPlan) -> str:
    counts = (
        (len(plan.new), "new"),
        (len(plan.existing), "there already"),
        (len(plan.conflicting), "that differ"),
        (len(plan.unknown), "with an unknown title"),
    )
    return ", ".join(f"{count} {what}" for count, what in counts)


def _words(target: Target) -> str:
    if target.tag is None:
        return "ignored"
    weight = "" if target.row.weight == SCORE_ONE else f" × {target.row.weight / SCORE_ONE:g}"
    return f"{target.tag.title} ({target.tag.type}){weight}"
