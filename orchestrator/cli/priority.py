"""`tagdesk models priority`: which model goes first where several speak of one tag."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.publishing import actor
from orchestrator.cli.session import with_settings, with_store
from orchestrator.cli.threshold_tables import show_effect
from orchestrator.errors import NotFound
from orchestrator.records import PriorityRule, Tag, TagType
from orchestrator.settings import Settings
from orchestrator.store import priorities as stored
from orchestrator.store import tags
from orchestrator.store.priorities import Models, PriorityChange, RuleChange, RuleKey
from orchestrator.store.rule_changes import Author
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tuning import priorities
from orchestrator.tuning.effect import Effect

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Which model goes first where several speak of one tag: score and confidence are its; the evidence of"
        " all is kept. Where nothing is said, the board's own models go before general ones.\n\n"
        "  tagdesk models priority list\n\n"
        "  tagdesk models priority set wd14 custom_theme --type character\n\n"
        "  tagdesk models priority set wd14 --tag smile"
    ),
)
SAMPLE = 20_000

Types = Annotated[list[TagType] | None, typer.Option("--type", help="All tags of this type.")]
Titles = Annotated[list[str] | None, typer.Option("--tag", help="The tag of this title, whatever its type.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would do to pending suggestions; change nothing.")
]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show what is said of types and tags, and the order where nothing is."""

    async def read(tx: Transaction) -> tuple[tuple[PriorityRule, ...], dict[int, Tag], Models]:
        rules = await stored.load_all(tx)
        named = await tags.by_ids(tx, {one.tag_id for one in rules if one.tag_id is not None})
        return rules, named, await stored.model_order(tx)

    rules, named, order = with_store(lambda store: store.read(read))
    if as_json:
        typer.echo(json.dumps({"order": order, "rules": [asdict(one) for one in rules]}, indent=2))
        return
    table = Table("of", "go first, in this order", box=SIMPLE_HEAD, pad_edge=False)
    for one in rules:
        of = f"all of type {one.tag_type}" if one.tag_id is None else escape(named[one.tag_id].title)
        table.add_row(of, _words(one.models))
    table.add_row("all others", _words(order))
    Console().print(table)


@app.command("set")
def set_(
    model: Annotated[list[str], typer.Argument(help="Names of models, the first before the second.")],
    *,
    type_: Types = None,
    tag: Titles = None,
    dry_run: DryRun = False,
) -> None:
    """Say which models go first, for types of tags or single tags; models that are not named come after.

    Example: tagdesk models priority set wd14 custom_theme --type character
    """
    _change(tuple(model), type_ or (), tag or (), dry_run)


@app.command()
def clear(*, type_: Types = None, tag: Titles = None, dry_run: DryRun = False) -> None:
    """Say nothing any more of a type or a tag.

    Example: tagdesk models priority clear --type character
    """
    _change((), type_ or (), tag or (), dry_run)


@app.command()
def history(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many changes, the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show who changed what when, the newest first."""
    changes = with_store(lambda store: store.read(lambda tx: stored.list_changes(tx, limit=limit)))
    if as_json:
        found = [asdict(one) for one in changes]
        typer.echo(json.dumps(found, indent=2, default=str, ensure_ascii=False))
        return
    columns = ("change", "when", "who", "of", "before", "after")
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for one in changes:
        head = [str(one.act.id), f"{one.act.at:%Y-%m-%d %H:%M:%S} UTC", escape(one.act.actor)]
        if one.act.back_to is not None:
            head[0] += f" (back to {one.act.back_to})"
        for rule in one.rules:
            table.add_row(*head, escape(_of(rule)), _words(rule.before), _words(rule.after))
            head = ["", "", ""]
    Console().print(table)


@app.command()
def rollback(
    to: Annotated[
        int | None,
        typer.Option(min=0, help="The state after this change, as `history` has it; 0: before all changes."),
    ] = None,
) -> None:
    """Bring an earlier state back; without --to, the one before the newest change. That is a change, too."""
    _say(with_store(lambda store: priorities.roll_back(store, to, author=Author(actor()))))


def _change(models: Models, types: Sequence[TagType], titles: Sequence[str], dry_run: bool) -> None:
    if not (types or titles):
        raise typer.BadParameter("say of what: --type or --tag")

    async def find(tx: Transaction) -> list[Tag]:
        found: list[Tag] = []
        for title in titles:
            named = await tags.find(tx, title=title)
            if not named:
                raise NotFound(f"no tag is called {title!r}", code="tag_not_found")
            found += named
        return found

    async def wanted(store: Store) -> dict[RuleKey, Models]:
        rules: dict[RuleKey, Models] = {(one, None): models for one in types}
        return rules | {(None, one.id): models for one in await store.read(find)}

    async def look(store: Store, settings: Settings) -> tuple[Effect, dict[int, Tag]]:
        effect = await priorities.preview(store, settings, await wanted(store), sample=SAMPLE)
        ids = {one.tag_id for one in effect.tags}
        return effect, await store.read(lambda tx: tags.by_ids(tx, ids))

    async def work(store: Store) -> PriorityChange | None:
        return await priorities.set_rules(store, await wanted(store), author=Author(actor()))

    if dry_run:
        show_effect(*with_settings(look))
    else:
        _say(with_store(work))


def _say(change: PriorityChange | None) -> None:
    if change is None:
        typer.echo("it is so already; nothing was changed")
        return
    for one in change.rules:
        typer.echo(f"{_of(one)}: {_words(one.before)} → {_words(one.after)}")
    typer.echo(f"change {change.act.id} of priorities")


def _of(rule: RuleChange) -> str:
    if rule.tag_id is None:
        return f"all of type {rule.tag_type}"
    return rule.title or f"tag {rule.tag_id}"


def _words(models: Models) -> str:
    return ", ".join(models) if models else "nothing"
