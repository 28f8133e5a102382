"""How `tagdesk thresholds` shows things."""

from collections.abc import Mapping, Sequence

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.records import Floor, FloorWord, Tag, as_probability
from orchestrator.store.floors import LabelFloor
from orchestrator.store.thresholds import ThresholdChange
from orchestrator.tuning.effect import Effect
from orchestrator.tuning.thresholds import CategoryFloor, Preview

SHOWN = 20
"""Lines of a table, or floors of a change, before the rest is only counted."""


def show_floors(
    categories: Sequence[CategoryFloor], labels: Sequence[LabelFloor], counting: Mapping[int, int | None]
) -> None:
    """Print what counts. `counting`: by label; None for one that is off."""
    table = Table("of", "counts from", "said", "otherwise", box=SIMPLE_HEAD, pad_edge=False)
    for category in categories:
        default = _or_off(category.default)
        floor = default if category.said is FloorWord.DEFAULT else category.said
        table.add_row(f"all {category.category}", _words(floor), _said(category.said), _words(default))
    for one in labels:
        floor = _or_off(counting[one.label.index])
        advice = "" if one.advice is None else f"the version's own {as_probability(one.advice):g}"
        name = f"  {escape(one.label.name)} ({one.label.category})"
        table.add_row(name, _words(floor), _said(one.said), advice)
    Console().print(table)


def show_history(changes: Sequence[ThresholdChange]) -> None:
    """Print changes, one floor a line."""
    columns = ("change", "when", "who", "of", "before", "after")
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for one in changes:
        head = [str(one.act.id), f"{one.act.at:%Y-%m-%d %H:%M:%S} UTC", escape(one.act.actor)]
        if one.act.back_to is not None:
            head[0] += f" (back to {one.act.back_to})"
        for floor in one.floors[:SHOWN]:
            of = f"all {floor.category}" if floor.external_tag is None else escape(floor.external_tag)
            table.add_row(*head, of, _words(floor.before), _words(floor.after))
            head = ["", "", ""]
        if len(one.floors) > SHOWN:
            table.add_row(*head, f"and {len(one.floors) - SHOWN:,} more", "", "")
    Console().print(table)


def show_preview(found: Preview, named: Mapping[int, Tag]) -> None:
    """Print what a change would do. `named`: the tags that are shown."""
    show_effect(found.effect, named, of=f"of {found.floors} thresholds: ")
    if found.effect.scale > 1:
        typer.echo("--every-image looks at all of them")
    if not found.proposes:
        typer.echo("this version suggests nothing now: it is staged or a shadow")


def show_effect(effect: Effect, named: Mapping[int, Tag], *, of: str = "") -> None:
    """Print what a change of rules would do. `named`: the tags that are shown."""

    def scaled(count: int, margin: float = 0) -> str:
        return f"{round(count * effect.scale):,}" + (f" ± {round(margin):,}" if margin else "")

    if effect.tags:
        columns = ("tag", "would come", "would go", "other scores", "for example images")
        table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
        for one in effect.tags[:SHOWN]:
            counts = (scaled(one.added), scaled(one.removed), scaled(one.updated))
            table.add_row(escape(named[one.tag_id].title), *counts, " ".join(map(str, one.comes or one.goes)))
        Console().print(table)
        if len(effect.tags) > SHOWN:
            typer.echo(f"and {len(effect.tags) - SHOWN:,} tags more")
    about = "about " if effect.scale > 1 else ""
    typer.echo(
        f"{of}{about}{scaled(effect.added, effect.added_margin)} pending suggestions would come,"
        f" {about}{scaled(effect.removed, effect.removed_margin)} would go,"
        f" {about}{scaled(effect.updated)} get other scores"
    )
    if effect.scale > 1:
        typer.echo(f"an estimate from {effect.looked:,} images, one of {effect.scale:,.1f}")


def show_change(change: ThresholdChange | None) -> None:
    """Print what was changed."""
    if change is None:
        typer.echo("it is so already; nothing was changed")
        return
    for one in change.floors[:SHOWN]:
        of = f"all {one.category}" if one.external_tag is None else one.external_tag
        typer.echo(f"{of}: {_words(one.before)} → {_words(one.after)}")
    if len(change.floors) > SHOWN:
        typer.echo(f"and {len(change.floors) - SHOWN:,} more")
    typer.echo(f"change {change.act.id} of {change.model_name} {change.model_version}")


def _words(floor: Floor) -> str:
    return str(floor) if isinstance(floor, FloorWord) else f"{as_probability(floor):g}"


def _said(floor: Floor) -> str:
    return "" if floor is FloorWord.DEFAULT else f"by people: {_words(floor)}"


def _or_off(score: int | None) -> Floor:
    return FloorWord.OFF if score is None else score
