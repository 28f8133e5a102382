"""`tagdesk models compare`: what another version would change, and how good both are."""

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from orchestrator.api.comparing import comparison
from orchestrator.cli.session import with_settings
from orchestrator.comparison.compare import compare as compare_versions
from orchestrator.comparison.estimate import MIN_IMAGES, Estimate, Kind, Paired, Quality
from orchestrator.comparison.report import ChangedTag, Comparison
from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store

app = typer.Typer()

_CHANGED = 10


@app.command()
def compare(
    name: Annotated[str, typer.Argument(help="The model's name, for example wd14.")],
    m: Annotated[int, typer.Argument(min=1, help="The version before, for example the active one.")],
    n: Annotated[int, typer.Argument(min=1, help="The version that may take its place.")],
    *,
    images: Annotated[
        int | None, typer.Option(min=1, help="Only so many images, the newest that both have looked at.")
    ] = None,
    tags: Annotated[int, typer.Option(min=0, help="Show so many tags and labels.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Compare two versions on the images that both have looked at. Nothing changes, and no model looks.

    Each is taken as if it were the active one, with its own thresholds, through mappings and rules. Precision
    and recall are against what people decided and applied on the same images, with 95 % intervals; what they
    can and cannot tell is in docs/comparing-models.md. + and - are what N would add and drop.

    Examples: tagdesk models compare wd14 1 2 · tagdesk models compare wd14 1 2 --images 2000 --json
    """
    found = with_settings(lambda store, settings: _compare(store, settings, name, (m, n), images))
    if as_json:
        typer.echo(comparison(found).model_dump_json(indent=2))
        return
    _show(found, tags)


async def _compare(
    store: Store, settings: Settings, name: str, versions: tuple[int, int], images: int | None
) -> Comparison:
    columns = (TextColumn("  comparing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("images", total=None)
        return await compare_versions(
            store,
            settings,
            name,
            *versions,
            images=images,
            progress=lambda done, all_: progress.update(task, completed=done, total=all_),
        )


def _show(found: Comparison, tags: int) -> None:
    console = Console()
    if not found.images:
        typer.echo(
            f"no image has stored scores of both {found.name} {found.m} and {found.n}: `tagdesk models shadow"
            f" {found.name} {found.n}` lets it look beside the active version"
        )
        return
    typer.echo(
        f"{found.name} {found.m} (M) and {found.n} (N) on {found.images:,} images: they say the same of"
        f" {found.same:,}; {found.agreement.share:.1%} of all suggestions are both's.\n"
        f"With N people would be shown {found.queue.added:,} suggestions more and {found.queue.dropped:,}"
        " less than with M."
    )
    console.print(_headline(found.paired))
    console.print(_types(found))
    console.print(_categories(found))
    console.print(_tags(found, tags))
    console.print(_labels(found, tags))
    if found.changed:
        console.print(_images(found))


def _headline(paired: Paired) -> Table:
    table = _table("against people's word", "M", "N", title=f"{paired.judged:,} judged images")
    for what in ("precision", "recall", "unprompted", "f1"):
        table.add_row(
            {"f1": "F1", "unprompted": "recall, unprompted"}.get(what, what),
            _estimate(getattr(paired.m, what)),
            _estimate(getattr(paired.n, what)),
        )
    table.add_row("F1, N less M", "", _estimate(paired.f1_difference, signed=True))
    if paired.judged < MIN_IMAGES:
        table.caption = f"no intervals: fewer than {MIN_IMAGES} images are judged"
    return table


def _types(found: Comparison) -> Table:
    table = _table("type", "agree", "+", "-", "judged", "M: P / R / F1", "N: P / R / F1", "F1, N less M")
    for one in found.types:
        table.add_row(
            one.type,
            f"{one.agreement.share:.1%}",
            f"{one.queue.added:,}",
            f"{one.queue.dropped:,}",
            *_quality(one.paired),
        )
    return table


def _tags(found: Comparison, shown: int) -> Table:
    table = _table("tag", "both", "only M", "only N", "+", "-", "judged", "F1 M", "F1 N", "N less M")
    for one in found.tags[:shown]:
        table.add_row(
            escape(one.tag.title),
            f"{one.agreement.both:,}",
            f"{one.agreement.only_m:,}",
            f"{one.agreement.only_n:,}",
            f"{one.queue.added:,}",
            f"{one.queue.dropped:,}",
            f"{one.paired.judged:,}",
            _plain(one.paired.m.f1),
            _plain(one.paired.n.f1),
            _estimate(one.paired.f1_difference, signed=True),
        )
    return _with_rest(table, len(found.tags) - shown, "tags")


def _categories(found: Comparison) -> Table:
    table = _table("scores of", "pairs", "mean change", "mean amount", "labels only in M", "only in N")
    for one in found.categories:
        table.add_row(
            one.category,
            f"{one.drift.pairs:,}",
            f"{one.drift.change:+.3f}",
            f"{one.drift.spread:.3f}",
            f"{one.only_m:,}",
            f"{one.only_n:,}",
        )
    return table


def _labels(found: Comparison, shown: int) -> Table:
    table = _table("label", "means", "pairs", "mean change", "mean amount")
    for one in found.labels[:shown]:
        table.add_row(
            escape(one.name),
            "" if one.tag is None else escape(one.tag.title),
            f"{one.drift.pairs:,}",
            f"{one.drift.change:+.3f}",
            f"{one.drift.spread:.3f}",
        )
    return _with_rest(table, len(found.labels) - shown, "labels")


def _images(found: Comparison) -> Table:
    table = Table("image", "only N says", "only M says", box=SIMPLE_HEAD, pad_edge=False)
    for one in found.changed[:_CHANGED]:
        table.add_row(str(one.image_id), _said(one.added), _said(one.dropped))
    table.caption = "✓ people put it there, ✗ people said no"
    return table


def _said(tags: tuple[ChangedTag, ...]) -> str:
    marks = {Kind.APPROVED: " ✓", Kind.APPLIED: " ✓", Kind.REJECTED: " ✗", None: ""}
    return ", ".join(
        f"{escape(one.tag.title)} {one.confidence / 10_000:.2f}{marks[one.said]}" for one in tags
    )


def _quality(paired: Paired) -> tuple[str, str, str, str]:
    return (
        f"{paired.judged:,}",
        _three(paired.m),
        _three(paired.n),
        _estimate(paired.f1_difference, signed=True),
    )


def _three(quality: Quality) -> str:
    return " / ".join(_plain(one) or "-" for one in (quality.precision, quality.recall, quality.f1))


def _plain(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.3f}"


def _estimate(estimate: Estimate | None, *, signed: bool = False) -> str:
    """Return a number with its interval."""
    if estimate is None:
        return "-"
    form = "+.3f" if signed else ".3f"
    text = format(estimate.value, form)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ({format(estimate.low, form)} to {format(estimate.high, form)})"


def _table(first: str, *others: str, title: str | None = None) -> Table:
    table = Table(first, box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for one in others:
        table.add_column(one, justify="right")
    return table


def _with_rest(table: Table, rest: int, what: str) -> Table:
    if rest > 0:
        table.caption = f"and {rest:,} {what} more: --tags"
    return table
