"""`tagdesk images`: register pictures, look at one, try failures again."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from orchestrator import accounts
from orchestrator.cli.looking import expand, is_url
from orchestrator.cli.session import connect_settings, with_store
from orchestrator.errors import NotFound
from orchestrator.images.blobs import store_blob
from orchestrator.records import (
    Image,
    ImageSource,
    ImageState,
    Priority,
    SourceKind,
    SuggestionView,
    as_probability,
)
from orchestrator.resources import Resources
from orchestrator.settings import Settings
from orchestrator.store import diagnosis, images, suggestions
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

app = typer.Typer(no_args_is_help=True, help="The images of the board.")
_POLL = 0.2


@app.command()
def add(
    pictures: Annotated[list[str], typer.Argument(help="Files, URLs, or folders of pictures.")],
    uploader: Annotated[str, typer.Option(help="Whose images they are: a user's name.")],
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Behind everything that people wait for.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until each is done or failed.")] = False,
) -> None:
    """Register pictures and have them analysed.

    Example: tagdesk images add ~/pictures --uploader mira --wait. A file is copied; a URL is fetched by a
    worker, under the limits of fetching.
    """
    settings = connect_settings()
    priority = Priority.BACKFILL if backfill else Priority.LIVE
    ids = asyncio.run(_add(settings, list(expand(pictures)), uploader, priority))
    typer.echo(f"registered {len(ids)} images: {_range(ids)}")
    if wait:
        _wait_for(ids)


@app.command()
def show(image: Annotated[int, typer.Argument(help="Our id of the image.")]) -> None:
    """Show an image and its suggestions."""

    async def work(tx: Transaction) -> tuple[Image, list[SuggestionView]]:
        return await images.get(tx, image), await suggestions.for_image(tx, image)

    found, views = with_store(lambda store: store.read(work))
    console = Console()
    size = f", {found.width}×{found.height} {found.media_type}" if found.width else ""
    board = f" (board's {found.external_id})" if found.external_id else ""
    console.print(f"image {found.id}{board}: {found.state}{size}, by {found.uploader_name}", highlight=False)
    console.print(f"{found.source.kind}: {found.source.location}", highlight=False, markup=False)
    if found.failure is not None:
        console.print(f"{found.failure.code}: {found.failure.detail}", style="red", markup=False)
    if views:
        table = Table("id", "tag", "type", "status", "confidence", "model", "decided by")
        for view in views:
            table.add_row(
                str(view.id),
                view.tag.title,
                view.tag.type,
                view.status,
                f"{as_probability(view.confidence):.2f}",
                f"{view.model_name} {view.model_version}",
                view.decided_by or "",
            )
        console.print(table)


@app.command()
def failures() -> None:
    """Show why images failed: reasons, numbers, an example of each."""
    found = with_store(lambda store: store.read(diagnosis.failures))
    if not found:
        typer.echo("no image has failed")
        return
    table = Table("reason", "images", "newest example")
    for reason in found:
        table.add_row(reason.code, str(reason.images), f"image {reason.example}")
    console = Console()
    console.print(table)
    console.print("`tagdesk images retry --reason CODE` tries them again; docs/errors.md explains the codes")


@app.command()
def retry(
    image: Annotated[list[int] | None, typer.Argument(help="Ids of images.")] = None,
    reason: Annotated[str | None, typer.Option(help="All images that failed for this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
) -> None:
    """Analyse images again, by id or by the reason that they failed for.

    Examples: tagdesk images retry 12 13 · tagdesk images retry --reason fetch_timeout
    """
    if bool(image) == bool(reason):
        raise typer.BadParameter("name images, or a --reason")

    async def work(tx: Transaction) -> list[int]:
        ids = image or [row.id for row in await diagnosis.failed_images(tx, code=reason, limit=limit)]
        return [
            found
            for found in sorted(ids)
            if await images.requeue(tx, found, explicit=True, priority=Priority.BACKFILL)
        ]

    asked = with_store(lambda store: store.write(work))
    typer.echo(f"asked for {len(asked)} images again; the keeper hands them to the workers")


async def _add(settings: Settings, names: Sequence[str], uploader: str, priority: Priority) -> list[int]:
    resources = await Resources.open(settings)
    try:
        user = await accounts.find_user(resources.store, uploader)
        if user is None:
            raise NotFound(f"no user is called {uploader!r}; `tagdesk users list` shows them")
        ids: list[int] = []
        for name in track(names, description="  registering"):
            source = ImageSource(SourceKind.URL, name) if is_url(name) else await _copied(settings, name)
            registered = await resources.store.write(
                lambda tx, source=source: images.register(  # type: ignore[misc]
                    tx, source=source, uploader_id=user.id, external_id=None, priority=priority
                )
            )
            ids.append(registered.id)
        await resources.queue.enqueue(ids, priority)
        return ids
    finally:
        await resources.close()


async def _copied(settings: Settings, name: str) -> ImageSource:
    data = await asyncio.to_thread(Path(name).read_bytes)
    return ImageSource(SourceKind.BLOB, await asyncio.to_thread(store_blob, settings.blob_dir, data))


def _wait_for(ids: Sequence[int]) -> None:
    async def work(store: Store) -> dict[ImageState, int]:
        waiting, ended = set(ids), dict.fromkeys((ImageState.DONE, ImageState.FAILED), 0)
        while waiting:
            for image_id in sorted(waiting):
                image = await store.read(lambda tx, image_id=image_id: images.get(tx, image_id))  # type: ignore[misc]
                if image.state in ended:
                    ended[image.state] += 1
                    waiting.discard(image_id)
            await asyncio.sleep(_POLL if waiting else 0)
        return ended

    with Console().status("waiting for their analysis"):
        ended = with_store(work)
    typer.echo(", ".join(f"{number} {state}" for state, number in ended.items()))


def _range(ids: Sequence[int]) -> str:
    return f"{ids[0]} to {ids[-1]}" if len(ids) > 1 else "".join(map(str, ids))
