"""`tagdesk doctor`: what is wrong with an installation, and how to mend it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from alembic.config import Config
from alembic.script import ScriptDirectory
from rich.console import Console
from rich.table import Table

from orchestrator.cli.session import connect_settings
from orchestrator.errors import ManifestError, StoreUnavailable, TagdeskError
from orchestrator.local.instance import checkout
from orchestrator.records import ImageState, MappingAction, ServedModel, Vocabulary
from orchestrator.registry.manifest import check_files, read_manifest
from orchestrator.resources import Resources
from orchestrator.settings import Settings
from orchestrator.store import backlog, consistency, counters, diagnosis, mappings, models, statistics, tags
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

_GIB = 1024**3
_LOW_DISK = 2 * _GIB
_SKEW = 5.0
_LONG_WAIT = 600.0
_FOUNDATIONS = frozenset({"database", "schema"})
MENDERS: Mapping[str, Callable[[Transaction], Awaitable[None]]] = {
    "counters equal a recount": counters.rebuild,
    "statistics equal a recount": statistics.begin_anew,
}


class Level(StrEnum):
    """How a finding is to be taken. Only `fail` makes the command fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found and, unless all is well, what to do."""

    subject: str
    level: Level
    found: str
    mend: str = ""


_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


def doctor(
    *,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also check every review against its log and counters (scans).")
    ] = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="With --deep: count counters and statistics anew.")
    ] = False,
) -> None:
    """Look at configuration, connections, schema, models, mappings, disk and clock; say how to mend them.

    Examples: tagdesk doctor · tagdesk doctor --deep --mend

    Ends with status 1 when something must be mended.
    """
    settings = connect_settings()

    async def run() -> list[Finding]:
        found = [finding async for finding in examine(settings)]
        if deep and not any(one.level is Level.FAIL and one.subject in _FOUNDATIONS for one in found):
            found += await _reviews(settings, mend=mend)
        return found

    findings = asyncio.run(run())
    table = Table("what", "state", "found", "what to do")
    for finding in findings:
        state = f"[{_COLOURS[finding.level]}]{finding.level}[/]"
        table.add_row(finding.subject, state, finding.found, finding.mend)
    Console().print(table)
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(1)


async def _reviews(settings: Settings, *, mend: bool) -> list[Finding]:
    """Ask for the invariants of the review; what is found must be found twice."""
    store = await Store.connect(settings)
    try:
        first = await store.read(consistency.violations)
        if mend:
            for one in first:
                if one.invariant in MENDERS:
                    await store.write(MENDERS[one.invariant])
        broken = {one.invariant for one in first}
        found = [one for one in await store.read(consistency.violations) if one.invariant in broken]
    finally:
        await store.close()
    if not found:
        mended = ", after counting anew" if first and mend else ""
        return [Finding("reviews", Level.OK, f"log, links, pending rows and counters agree{mended}")]
    return [
        Finding(
            "reviews",
            Level.FAIL,
            f"{one.invariant}: broken by {one.rows}, for example {'; '.join(one.examples)}",
            "`tagdesk doctor --deep --mend`" if one.invariant in MENDERS else "a defect of ours: report it",
        )
        for one in found
    ]


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Yield what is found, the foundations first; what rests on a broken one is not looked at."""
    for finding in _configuration(settings):
        yield finding
    yield _disk(settings)
    try:
        resources = await Resources.open(settings)
    except StoreUnavailable as error:
        yield Finding(
            "database", Level.FAIL, error.detail, "start it (`tagdesk up`), or mend TAGDESK_DATABASE_URL"
        )
        return
    try:
        schema = await _schema(resources)
        yield schema
        if schema.level is Level.FAIL:
            return
        yield await _clock(resources)
        yield await _redis(resources)
        async for finding in _inference(resources):
            yield finding
        async for finding in _board(resources):
            yield finding
        async for finding in _images(resources):
            yield finding
    finally:
        await resources.close()


def _configuration(settings: Settings) -> list[Finding]:
    findings = []
    for name, folder in (("blob_dir", settings.blob_dir), ("model_repository", settings.model_repository)):
        if not folder.is_dir():
            mend = f"create it, or set TAGDESK_{name.upper()}"
            findings.append(Finding("configuration", Level.FAIL, f"{folder} is no folder", mend))
    findings += [
        Finding("configuration", Level.WARN, f"{root} is no folder", "mend TAGDESK_IMAGE_ROOTS")
        for root in settings.image_roots
        if not root.is_dir()
    ]
    if not settings.session_secret.get_secret_value():
        findings.append(
            Finding(
                "configuration",
                Level.WARN,
                "sessions of the desk are sealed with the database's address",
                "set TAGDESK_SESSION_SECRET",
            )
        )
    return findings or [Finding("configuration", Level.OK, "every folder is there")]


def _disk(settings: Settings) -> Finding:
    if not settings.blob_dir.is_dir():
        return Finding("disk", Level.FAIL, "there is no folder for uploads", "set TAGDESK_BLOB_DIR")
    free = shutil.disk_usage(settings.blob_dir).free
    found = f"{free / _GIB:.1f} GiB free for uploads"
    if free < _LOW_DISK:
        return Finding("disk", Level.FAIL, found, "make room, or move TAGDESK_BLOB_DIR")
    return Finding("disk", Level.OK, found)


async def _schema(resources: Resources) -> Finding:
    async def work(tx: Transaction) -> tuple[str, str | None]:
        return await diagnosis.server_version(tx), await diagnosis.schema_revision(tx)

    server, revision = await resources.store.read(work)
    wanted = ScriptDirectory.from_config(Config(checkout() / "migrations/alembic.ini")).get_current_head()
    if revision != wanted:
        found = f"the schema is at {revision or 'nothing'}, the code at {wanted}"
        return Finding("schema", Level.FAIL, found, "`tagdesk migrate`")
    return Finding("schema", Level.OK, f"{server}, schema {revision}")


async def _clock(resources: Resources) -> Finding:
    theirs = await resources.store.read(diagnosis.clock)
    skew = abs((theirs - datetime.now(UTC)).total_seconds())
    if skew > _SKEW:
        found = f"this machine and the database differ by {skew:.0f} s"
        return Finding("clock", Level.WARN, found, "synchronise both with NTP")
    return Finding("clock", Level.OK, f"within {skew:.1f} s of the database's")


async def _redis(resources: Resources) -> Finding:
    if await resources.queue.is_ready():
        return Finding("redis", Level.OK, "answers")
    mend = "start it (`tagdesk up`), or mend TAGDESK_REDIS_URL; the sweeper catches up when it is back"
    return Finding("redis", Level.FAIL, "does not answer", mend)


async def _inference(resources: Resources) -> AsyncIterator[Finding]:
    if not await resources.triton.is_live():
        yield Finding(
            "triton", Level.FAIL, "does not answer", "start it (`tagdesk up`), or mend TAGDESK_TRITON_URL"
        )
        return
    active = await resources.store.read(lambda tx: models.active(tx, resources.settings))
    if not active:
        yield Finding("models", Level.FAIL, "no version is active", "`tagdesk models register NAME VERSION`")
    for model in active:
        yield await _model(resources, model)


async def _model(resources: Resources, model: ServedModel) -> Finding:
    subject = f"model {model.name} {model.version}"
    folder = resources.settings.model_repository / model.name / str(model.version)
    try:
        manifest = await asyncio.to_thread(read_manifest, folder)
        await asyncio.to_thread(check_files, folder, manifest)
    except ManifestError as error:
        mend = "put the version's files back, or register another version"
        return Finding(subject, Level.FAIL, error.detail, mend)
    try:
        await resources.triton.probe(model)
    except TagdeskError as error:
        mend = "the keeper reloads what that mends; `tagdesk logs keeper` and `tagdesk logs triton` say more"
        return Finding(subject, Level.FAIL, f"{error.code}: {error.detail}", mend)
    return Finding(subject, Level.OK, f"answers; {len(model.labels)} labels, files as registered")


async def _board(resources: Resources) -> AsyncIterator[Finding]:
    async def work(tx: Transaction) -> tuple[int, frozenset[str], int, int]:
        stored = await mappings.load_all(tx)
        mapped = sum(mapping.action is MappingAction.MAP for mapping in stored)
        names = frozenset(mapping.external_tag for mapping in stored)
        return len(await tags.load_all(tx)), names, mapped, len(await mappings.list_unmapped(tx, limit=1000))

    board, names, mapped, unmapped = await resources.store.read(work)
    if not board:
        yield Finding("tags", Level.FAIL, "the board has no tags", "load them first; `tagdesk demo` has some")
        return
    active = await resources.store.read(lambda tx: models.active(tx, resources.settings))
    spoken = {
        label.name for model in active if model.vocabulary is Vocabulary.DANBOORU for label in model.labels
    }
    found = f"{board} tags; {len(names)} external tags have a mapping ({mapped} to a tag)"
    if spoken and not names & spoken:
        yield Finding(
            "mappings", Level.FAIL, f"{found}, none that a model speaks", "`tagdesk mappings import`"
        )
        return
    yield Finding("mappings", Level.OK, found)
    if unmapped:
        yield Finding(
            "unmapped tags",
            Level.WARN,
            f"{unmapped} external tags were seen that no mapping speaks of",
            "`tagdesk mappings coverage` ranks them, `tagdesk mappings suggest` proposes tags",
        )


async def _images(resources: Resources) -> AsyncIterator[Finding]:
    async def work(tx: Transaction) -> tuple[dict[ImageState, int], float | None]:
        return await backlog.counts_by_state(tx), await backlog.oldest_queued_age(tx)

    counts, oldest = await resources.store.read(work)
    found = ", ".join(f"{count} {state}" for state, count in counts.items())
    if oldest is not None and oldest > _LONG_WAIT:
        mend = "see `tagdesk status`, and `tagdesk logs worker-live` and keeper"
        yield Finding("images", Level.WARN, f"{found}; one waits for {oldest / 60:.0f} min", mend)
    else:
        yield Finding("images", Level.OK, found)
    if counts[ImageState.FAILED]:
        yield Finding(
            "failures",
            Level.WARN,
            f"{counts[ImageState.FAILED]} images failed",
            "`tagdesk images failures` says why",
        )
