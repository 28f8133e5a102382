"""`tagdesk thresholds`: from which score on a version's labels count."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.cli.publishing import actor
from orchestrator.cli.session import with_settings, with_store
from orchestrator.cli.threshold_tables import SHOWN, show_change, show_floors, show_history, show_preview
from orchestrator.errors import NotFound
from orchestrator.records import Floor, FloorWord, LabelCategory, Tag, TagType, as_score
from orchestrator.registry.lifecycle import find_version
from orchestrator.settings import Settings
from orchestrator.store import floors, models, tags
from orchestrator.store import thresholds as stored
from orchestrator.store.floors import LabelFloor
from orchestrator.store.rule_changes import Author
from orchestrator.store.thresholds import ThresholdChange
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import threshold_of
from orchestrator.tuning import thresholds
from orchestrator.tuning.thresholds import CategoryFloor, FloorRequest, Preview

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "From which score on a version's labels count: by category, by label, or for a tag of the board.\n\n"
        "Look first, then say, and take back what was wrong:\n\n"
        "  tagdesk thresholds preview wd14 2 0.5 --tag smile\n\n"
        "  tagdesk thresholds set wd14 2 0.5 --tag smile\n\n"
        "  tagdesk thresholds rollback wd14 2\n\n"
        "Pending suggestions follow by themselves some seconds after the last change."
    ),
)
_MOST_LABELS = 100_000
SAMPLE = 20_000
"""Images of a preview: about four seconds."""

Name = Annotated[str, typer.Argument(help="The model's name, for example wd14.")]
Number = Annotated[int, typer.Argument(min=1, help="The version's number, for example 2.")]
Value = Annotated[str, typer.Argument(help="A score from 0 to 1, `off`, or `default`: say nothing.")]
Category = Annotated[
    list[LabelCategory] | None, typer.Option(help="All labels of a category of which nothing else is said.")
]
LabelName = Annotated[
    list[str] | None, typer.Option("--label", help="One label, by the name that the model has for it.")
]
TagTitle = Annotated[
    list[str] | None, typer.Option("--tag", help="All labels that lead to this tag of the board now.")
]
OfType = Annotated[TagType | None, typer.Option("--type", help="Of tags, where several have the title.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(
    name: Name,
    version: Number,
    everything: Annotated[
        bool, typer.Option("--all", help="Every label, not only those that people spoke of.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what counts, and who says so: people, the version itself, or the settings.

    Example: tagdesk thresholds list wd14 1
    """
    categories, labels, counting = with_settings(
        lambda store, settings: _read(store, settings, name, version, everything)
    )
    if as_json:
        found = {
            "categories": [asdict(one) for one in categories],
            "labels": [{**asdict(one), "floor": counting[one.label.index]} for one in labels],
        }
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    show_floors(categories, labels, counting)


@app.command("set")
def set_(
    name: Name,
    version: Number,
    floor: Value,
    *,
    category: Category = None,
    label: LabelName = None,
    tag: TagTitle = None,
    type_: OfType = None,
) -> None:
    """Say from which score on labels count, or switch them off.

    Examples: tagdesk thresholds set wd14 2 0.4 --category general ·
    tagdesk thresholds set wd14 2 off --label blush --label smile
    """
    _change(name, version, _floor(floor), _Parts(category or (), label or (), tag or (), type_))


@app.command()
def clear(
    name: Name,
    version: Number,
    *,
    category: Category = None,
    label: LabelName = None,
    tag: TagTitle = None,
    type_: OfType = None,
) -> None:
    """Say nothing any more: what the version itself or the settings say counts again.

    Example: tagdesk thresholds clear wd14 2 --label smile
    """
    _change(name, version, FloorWord.DEFAULT, _Parts(category or (), label or (), tag or (), type_))


@app.command()
def preview(
    name: Name,
    version: Number,
    floor: Annotated[str, typer.Argument(help="What `set` would be given.")] = FloorWord.DEFAULT,
    *,
    category: Category = None,
    label: LabelName = None,
    tag: TagTitle = None,
    type_: OfType = None,
    back_to: Annotated[
        int | None, typer.Option(min=0, help="Look at a roll back to this change instead.")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Look at so many images, spread over all.")] = SAMPLE,
    every_image: Annotated[bool, typer.Option("--every-image", help="Look at all images.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a change would add to the pending queue and drop from it; nothing is written.

    The rules of a re-map are applied to stored scores. With more images than the sample the figures are
    estimates, and the answer says so.

    Examples: tagdesk thresholds preview wd14 2 0.5 --tag smile ·
    tagdesk thresholds preview wd14 2 --back-to 6
    """

    async def work(store: Store, settings: Settings) -> tuple[Preview, dict[int, Tag]]:
        asked: list[FloorRequest] = []
        if back_to is None:
            parts = _Parts(category or (), label or (), tag or (), type_)
            asked = await _requests(store, _floor(floor), parts)
        columns = (TextColumn("  looking"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("images", total=None)
            found = await thresholds.preview(
                store,
                settings,
                name,
                version,
                asked,
                back_to=back_to,
                sample=None if every_image else sample,
                progress=lambda looked, of: bar.update(task, advance=looked, total=of),
            )
        ids = {one.tag_id for one in found.effect.tags[:SHOWN]}
        return found, await store.read(lambda tx: tags.by_ids(tx, ids))

    found, named = with_settings(work)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        show_preview(found, named)


@app.command()
def history(
    name: Name,
    version: Number,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many changes, the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show who changed which thresholds when, from what to what; the newest first."""

    async def work(store: Store) -> tuple[ThresholdChange, ...]:
        row = await find_version(store, name, version)
        return await store.read(lambda tx: stored.list_changes(tx, model_version_id=row.id, limit=limit))

    changes = with_store(work)
    if as_json:
        found = [asdict(one) for one in changes]
        typer.echo(json.dumps(found, indent=2, default=str, ensure_ascii=False))
        return
    show_history(changes)


@app.command()
def rollback(
    name: Name,
    version: Number,
    to: Annotated[
        int | None,
        typer.Option(min=0, help="The state after this change, as `history` has it; 0: before all changes."),
    ] = None,
) -> None:
    """Bring an earlier state back; without --to, the one before the newest change. That is a change, too.

    Example: tagdesk thresholds rollback wd14 2 --to 6
    """
    change = with_store(lambda store: thresholds.roll_back(store, name, version, to, author=Author(actor())))
    show_change(change)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Of which parts of a version something is said."""

    categories: Sequence[LabelCategory]
    labels: Sequence[str]
    titles: Sequence[str]
    type: TagType | None


def _change(name: str, version: int, floor: Floor, parts: _Parts) -> None:
    async def work(store: Store, settings: Settings) -> ThresholdChange | None:
        asked = await _requests(store, floor, parts)
        return await thresholds.set_floors(store, settings, name, version, asked, author=Author(actor()))

    show_change(with_settings(work))


def _floor(text: str) -> Floor:
    if text in (FloorWord.OFF, FloorWord.DEFAULT):
        return FloorWord(text)
    try:
        probability = float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no score from 0 to 1, nor `off` or `default`") from error
    if not 0 <= probability <= 1:
        raise typer.BadParameter(f"{text} is no score from 0 to 1")
    return as_score(probability)


async def _requests(store: Store, floor: Floor, parts: _Parts) -> list[FloorRequest]:
    if not (parts.categories or parts.labels or parts.titles):
        raise typer.BadParameter("say of what: --category, --label or --tag")

    async def find(tx: Transaction) -> list[int]:
        found = []
        for title in parts.titles:
            named = await tags.find(tx, title=title, type=parts.type)
            if len(named) != 1:
                what = (
                    "no tag is called" if not named else "--type says which is meant: several tags are called"
                )
                raise NotFound(f"{what} {title!r}", code="tag_not_found")
            found.append(named[0].id)
        return found

    return [
        *(FloorRequest(floor, category=one) for one in parts.categories),
        *(FloorRequest(floor, tag_id=one) for one in await store.read(find)),
        *(FloorRequest(floor, external_tag=one) for one in parts.labels),
    ]


async def _read(
    store: Store, settings: Settings, name: str, version: int, everything: bool
) -> tuple[tuple[CategoryFloor, ...], tuple[LabelFloor, ...], dict[int, int | None]]:
    row = await find_version(store, name, version)

    async def work(
        tx: Transaction,
    ) -> tuple[tuple[CategoryFloor, ...], tuple[LabelFloor, ...], dict[int, int | None]]:
        labels = await floors.list_labels(tx, row.id, said_only=not everything, limit=_MOST_LABELS)
        counting = (await models.get(tx, settings, row.id)).thresholds
        return (
            await thresholds.list_categories(tx, settings, row.id),
            labels,
            {one.label.index: threshold_of(counting, one.label) for one in labels},
        )

    return await store.read(work)
