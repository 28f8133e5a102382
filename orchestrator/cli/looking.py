"""`tagdesk analyze`: what the models make of pictures; nothing is stored."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.cli.contact_sheet import Shown, contact_sheet
from orchestrator.cli.session import connect_settings
from orchestrator.errors import TagdeskError
from orchestrator.pipeline.analyse import Analysed
from orchestrator.records import ImageSource, SourceKind, as_probability
from orchestrator.resources import Resources
from orchestrator.settings import Settings

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif"})
_TOP = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one picture: an analysis, or the error that prevents it."""

    name: str
    data: bytes
    analysed: Analysed | None
    error: TagdeskError | None


def analyze(
    pictures: Annotated[list[str], typer.Argument(help="Files, URLs, or folders of pictures.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a picture and line.")] = False,
    show: Annotated[
        Path | None, typer.Option("--show", help="Write a contact sheet (PNG) with the tags drawn on it.")
    ] = None,
) -> None:
    """Show which of the board's tags the models propose for pictures. Nothing is stored.

    Examples: tagdesk analyze portrait.png · tagdesk analyze ~/pictures --show sheet.png ·
    tagdesk analyze https://example.org/a.jpg --json. Ends with status 1 when a picture cannot be analysed.
    """
    settings = connect_settings()
    addresses = list(expand(pictures))
    answers: list[Answer] = []

    async def run() -> None:
        async for answer in _answers(settings, addresses):
            if as_json:
                typer.echo(json.dumps(_to_json(answer), ensure_ascii=False))
            answers.append(answer)

    asyncio.run(run())
    if not as_json:
        _print(answers)
    if show is not None:
        contact_sheet([_shown(answer) for answer in answers if answer.analysed is not None]).save(show, "PNG")
        typer.echo(f"wrote {show}", err=True)
    if any(answer.error for answer in answers):
        raise typer.Exit(1)


def expand(pictures: Sequence[str]) -> Iterator[str]:
    """Yield every picture's address; a folder's files in order of name. Raises typer.BadParameter."""
    for name in pictures:
        path = Path(name)
        if is_url(name) or path.is_file():
            yield name
        elif path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            if not found:
                raise typer.BadParameter(f"{name} holds no pictures ({', '.join(sorted(SUFFIXES))})")
            yield from map(str, found)
        else:
            raise typer.BadParameter(f"{name} is neither a file, a folder nor a URL")


def is_url(name: str) -> bool:
    """Whether this is a URL rather than a file's name."""
    return urlsplit(name).scheme in ("http", "https")


async def _answers(settings: Settings, addresses: Sequence[str]) -> AsyncIterator[Answer]:
    resources = await Resources.open(settings)
    try:
        for name in addresses:
            data = b""
            try:
                if is_url(name):
                    data = (await resources.fetcher.fetch(ImageSource(SourceKind.URL, name))).data
                else:
                    data = await asyncio.to_thread(Path(name).read_bytes)
                yield Answer(name, data, await resources.pipeline.analyze_bytes(data), None)
            except TagdeskError as error:
                yield Answer(name, data, None, error)
    finally:
        await resources.close()


def _print(answers: Sequence[Answer]) -> None:
    table = Table("picture", "size", "tag", "type", "confidence", "model")
    for answer in answers:
        if answer.analysed is None:
            table.add_row(_short(answer.name), "", f"[red]{answer.error}[/]", end_section=True)
            continue
        found = answer.analysed
        top = found.suggestions[:_TOP]
        more = len(found.suggestions) - len(top)
        size = f"{found.width}×{found.height}"
        for line, one in enumerate(top):
            table.add_row(
                _short(answer.name) if line == 0 else "",
                size if line == 0 else "",
                one.tag.title,
                one.tag.type,
                f"{as_probability(one.proposal.confidence):.2f}",
                f"{one.model.name} {one.model.version}",
                end_section=line == len(top) - 1 and not more,
            )
        if not top or more:
            table.add_row(
                "" if top else _short(answer.name),
                "" if top else size,
                f"and {more} more" if more else "nothing to suggest",
                end_section=True,
            )
    Console().print(table)


def _short(name: str) -> str:
    return name if is_url(name) else Path(name).name


def _to_json(answer: Answer) -> dict[str, object]:
    if answer.analysed is None:
        error = answer.error
        code, detail = ("", "") if error is None else (error.code, error.detail)
        return {"picture": answer.name, "error": {"code": code, "detail": detail}}
    found = answer.analysed
    return {
        "picture": answer.name,
        "sha256": found.sha256,
        "width": found.width,
        "height": found.height,
        "suggestions": [
            {
                "tag": one.tag.title,
                "type": one.tag.type,
                "confidence": as_probability(one.proposal.confidence),
                "score": as_probability(one.proposal.score),
                "model": one.model.name,
                "version": one.model.version,
            }
            for one in found.suggestions
        ],
        "unmapped": [tag.external_tag for tag in found.unmapped],
        "ratings": [rating.rating for rating in found.ratings],
    }


def _shown(answer: Answer) -> Shown:
    tags = () if answer.analysed is None else answer.analysed.suggestions
    return Shown(answer.data, tuple((one.tag.title, as_probability(one.proposal.confidence)) for one in tags))
