"""`tagdesk infer`, and `tagdesk backfill export` and `ingest`: looking on a host without the database."""

import asyncio
import json
import os
import re
from collections import Counter
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

from orchestrator.backfill.listing import read_ids
from orchestrator.backfill.selection import CONDITIONS
from orchestrator.cli.session import with_settings
from orchestrator.offline import export as exporting
from orchestrator.offline import infer as inferring
from orchestrator.offline import ingest as ingesting
from orchestrator.offline.ingest import LEFT, Fate, Summary
from orchestrator.offline.parts import Format
from orchestrator.offline.worklist import WHOLE, Shard
from orchestrator.settings import load_picture_settings

_SHARD = re.compile(r"([1-9]\d{0,5})/([1-9]\d{0,5})")
_HELP = "; ".join(f"{name}={meaning}" for name, meaning in CONDITIONS.items())
_MEANS = {
    Fate.STORED: "as if workers had looked",
    Fate.FAILED: "as they would have with workers; `tagdesk images failures`",
    Fate.ALREADY_THERE: "seen, or failed, before: left as they are",
    Fate.UNDER_WAY: "with a worker right now: ingest again to be sure",
    Fate.ASKED_AGAIN: "failed offline, and queued again since the export: workers decide",
    Fate.OUT_OF_REACH: "the other host had no such picture, or was not allowed to fetch it",
    Fate.REFUSED: "no image of this board has this id and source",
}


class _Rate(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.1f}/s" if task.speed else "")


def _bar() -> Progress:
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def infer(
    work: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="What `tagdesk backfill export` wrote.")
    ],
    *,
    out: Annotated[Path, typer.Option(file_okay=False, help="Where the parts go.")],
    model_repository: Annotated[
        Path,
        typer.Option(
            exists=True,
            file_okay=False,
            envvar="TAGDESK_MODEL_REPOSITORY",
            help="A copy of the board's models; with --triton, the folder that it serves.",
        ),
    ],
    triton: Annotated[
        str | None, typer.Option(help="HOST:PORT of a Triton's gRPC; ONNX Runtime here unless given.")
    ] = None,
    shard: Annotated[str, typer.Option(help="K/N: only the K-th of N shares of the list.")] = "1/1",
    form: Annotated[Format, typer.Option("--format", help="How parts are written.")] = Format.JSONL,
    images_from: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="A folder with copies: ID.jpg, or the URL, path or upload as it is on the board.",
        ),
    ] = None,
    decoders: Annotated[int, typer.Option(min=1, help="Processes that decode pictures.")] = os.cpu_count()
    or 1,
) -> None:
    """Look at the images of a work list; needs no database. Run it again to go on where it stopped.

    Examples: tagdesk infer work.jsonl --out parts --model-repository models --format npz ·
    tagdesk infer work.jsonl --out parts --shard 2/4 --images-from ~/mirror --triton localhost:8001
    """
    settings = load_picture_settings().model_copy(update={"decode_processes": decoders})
    job = inferring.Job(
        work=work,
        out=out,
        repository=model_repository,
        triton=triton,
        shard=_shard(shard),
        form=form,
        images_from=images_from,
    )
    with _bar() as progress:
        task = progress.add_task("looking", total=None)

        def tell(now: inferring.Progress) -> None:
            failed = sum(now.failed.values())
            progress.update(
                task,
                total=now.images,
                completed=now.before + now.looked,
                description=f"looking, {failed:,} failed" if failed else "looking",
            )

        found = asyncio.run(inferring.run(job, settings, tell=tell))
    typer.echo(
        f"{found.looked - found.out_of_reach:,} images were looked at, {found.before:,} were there before;"
        f" `tagdesk backfill ingest` takes {out} in"
    )
    for code, images in sorted(found.failed.items()):
        typer.echo(f"  {images:,} failed: {code}")
    if found.out_of_reach:
        typer.echo(
            f"  {found.out_of_reach:,} out of reach: this host does not have their pictures."
            " Say where they are by --images-from, and run this again"
        )
        raise typer.Exit(1)


def export(
    out: Annotated[Path, typer.Option(dir_okay=False, help="The work list to write.")],
    where: Annotated[
        list[str] | None, typer.Option(help=f"`all`, or conditions that must all fit: {_HELP}.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file with an id of ours a line.")
    ] = None,
) -> None:
    """Write a work list for `tagdesk infer` on a host without the database: images, and the active versions.

    Examples: tagdesk backfill export --where unseen_by=wd14:2 --out work.jsonl
    """
    if bool(where) == (manifest is not None):
        raise typer.BadParameter("say which images: by --where, or by a --manifest")
    ids = None if manifest is None else read_ids(manifest)
    with _bar() as progress:
        task = progress.add_task("writing", total=None if ids is None else len(ids))
        written, unknown = with_settings(
            lambda store, settings: exporting.export(
                store,
                settings,
                out,
                conditions=where or [],
                ids=ids,
                tell=lambda more: progress.advance(task, more),
            )
        )
    if unknown:
        shown = ", ".join(str(one) for one in unknown[:10])
        more = f" and {len(unknown) - 10:,} more" if len(unknown) > 10 else ""
        typer.echo(f"{len(unknown):,} ids name no image and are left out: {shown}{more}", err=True)
    typer.echo(f"{written:,} images in {out}; `tagdesk infer --help` says what to do with it")


def ingest(
    parts: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="What `tagdesk infer` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="The summary as a JSON object.")] = False,
) -> None:
    """Store what `tagdesk infer` saw, as if workers had looked. Doing it again changes nothing.

    Ends with status 1 when images were left that nobody has looked at; a part that is damaged, or from other
    graphs than the board's, stops it.
    """
    with _bar() as progress:
        task = progress.add_task("storing", total=ingesting.count_images(parts))
        found = with_settings(
            lambda store, settings: ingesting.ingest(
                store, settings, parts, tell=lambda more: progress.advance(task, more)
            )
        )
    if as_json:
        typer.echo(json.dumps(_values(found)))
    else:
        _print(found)
    if any(found.fates[fate] for fate in LEFT):
        raise typer.Exit(1)


def _shard(text: str) -> Shard:
    match = _SHARD.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise typer.BadParameter(f"{text!r} is no shard: write 2/4 for the second of four")
    return WHOLE if match[2] == "1" else Shard(int(match[1]), int(match[2]))


def _print(found: Summary) -> None:
    table = Table("", "images", "", box=SIMPLE_HEAD, pad_edge=False)
    for fate in Fate:
        if found.fates[fate]:
            table.add_row(fate.replace("_", " "), f"{found.fates[fate]:,}", _MEANS[fate])
        if fate is Fate.FAILED:
            for code, images in _sorted(found.failures):
                table.add_row(f"  {code}", f"{images:,}", "")
    Console().print(table)
    if found.missing:
        typer.echo(f"at least {found.missing:,} parts are not there yet; ingest again when they are")


def _values(found: Summary) -> dict[str, object]:
    return {
        **{fate: found.fates[fate] for fate in Fate},
        "failures": dict(_sorted(found.failures)),
        "missing_parts": found.missing,
    }


def _sorted(failures: Counter[str]) -> list[tuple[str, int]]:
    return sorted(failures.items(), key=lambda one: (-one[1], one[0]))
