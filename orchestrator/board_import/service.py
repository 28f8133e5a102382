"""Importing a board's files: checked as a whole, then stored chunk by chunk.

A chunk's rows and how far its file has come are one transaction: who dies on the way goes on behind it, and
what is there already is found and left alone.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from orchestrator.board_import.checking import CHUNK, Checked, Checker, parsed
from orchestrator.board_import.files import BadBoardFile, Kind, read
from orchestrator.board_import.rows import AnyRow, ImageRow, LinkRow, Parser, TagRow, UserRow
from orchestrator.board_import.tag_plan import plan_good
from orchestrator.board_import.tag_writing import store_tags
from orchestrator.board_import.writing import (
    ActorNeeded,
    BoardTags,
    Outdated,
    Stored,
    read_tags,
    store_images,
    store_links,
    store_users,
    users_by_external_id,
)
from orchestrator.errors import Conflict, StoreUnavailable
from orchestrator.records import Tag, User
from orchestrator.remap.plan import read_plan
from orchestrator.review.tag_edits import bring_in_line
from orchestrator.settings import Settings
from orchestrator.store import audit, import_runs, rules_version, tags
from orchestrator.store import board_import as stored
from orchestrator.store.alignment import Alignment
from orchestrator.store.import_runs import Counts, ImportRun
from orchestrator.store.named_lock import NamedLock
from orchestrator.store.transaction import DuplicateKey, Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import TaggingPlan

_TRIES = 5
REJECTS = ".rejects.jsonl"
COMMAND = "the board import"


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far it is: `checked` and `imported` with a kind and how many rows more."""

    checked: Callable[[Kind, int], object] = lambda *_: None
    imported: Callable[[Kind, int], object] = lambda *_: None
    begins: Callable[[Kind, int, int], object] = lambda *_: None
    """With a kind, how many rows it has, and how many are behind it from an earlier try."""


@dataclass(frozen=True, slots=True)
class Options:
    """`skip_bad`: leave bad rows out, listed in a file beside. `actor`: who decides where rows do not say."""

    skip_bad: bool = False
    actor: User | None = None
    chunk: int = CHUNK
    watch: Watch = field(default_factory=Watch)


class BoardImport:
    """One import of some files."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        files: Mapping[Kind, Path],
        options: Options | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._files = files
        self._options = options or Options()
        self._parser = Parser(settings.image_roots)

    async def check(self) -> dict[Kind, Checked]:
        """Look at every row and store nothing. Raises BadBoardFile when a file cannot be read at all."""
        options = self._options
        checker = Checker(
            self._store, self._parser, every_problem=options.skip_bad, progress=options.watch.checked
        )
        return await checker.check(self._files)

    async def run(self, checked: Mapping[Kind, Checked]) -> dict[Kind, Counts]:
        """Import files that were checked; returns what became of their rows, earlier tries included.

        Raises BadBoardFile (bad rows, unless they are to be skipped), ActorNeeded, Conflict (another import
        is under way), StoreUnavailable.
        """
        await self._refuse(checked)
        lock = NamedLock(self._settings, "board_import")
        if not await lock.hold():
            await lock.release()
            raise Conflict("another board import is under way", code="import_under_way")
        async with lock.kept():
            files = {str(kind): (one.sha256, one.path.name) for kind, one in checked.items()}
            runs = await self._store.write(lambda tx: import_runs.begin(tx, files))
            return {
                kind: await self._import(one, runs[kind]) for kind, one in sorted(checked.items(), key=_place)
            }

    async def _refuse(self, checked: Mapping[Kind, Checked]) -> None:
        bad = {kind: one for kind, one in checked.items() if one.problems}
        if bad and not self._options.skip_bad:
            total = sum(len(one.problems) for one in bad.values())
            raise BadBoardFile(
                f"{total:,} bad rows: nothing was imported; mend them, or leave them out (--skip-bad)"
            )
        for one in bad.values():
            await asyncio.to_thread(write_rejects, one)
        if self._options.actor is None:
            for one in checked.values():
                if one.anonymous is not None:
                    raise ActorNeeded(f"{one.path}, line {one.anonymous}")

    async def _import(self, file: Checked, run: ImportRun) -> Counts:
        self._options.watch.begins(file.kind, file.rows, run.counts.rows)
        if run.done:
            return run.counts
        if file.kind is Kind.TAGS:
            # All of them are one transaction: it was stored, or nothing was.
            counts = run.counts if run.counts.rows else await self._import_tags(file)
        else:
            counts = await self._import_chunks(file, run.counts)

        async def finish(tx: Transaction) -> None:
            await import_runs.finish(tx, file.kind, file.sha256)
            await audit.add(
                tx,
                actor=COMMAND if self._options.actor is None else self._options.actor.name,
                action="import_board",
                subject=file.kind,
                detail={
                    "file": file.path.name,
                    "sha256": file.sha256.hex(),
                    "new": counts.new,
                    "existing": counts.existing,
                    "changed": counts.changed,
                    "refused": counts.refused,
                },
            )

        await self._store.write(finish)
        return counts

    async def _import_tags(self, file: Checked) -> Counts:
        rows = [
            row
            for _, row in await asyncio.to_thread(
                lambda: list(parsed(self._parser, Kind.TAGS, read(Kind.TAGS, file.path)))
            )
            if isinstance(row, TagRow)
        ]
        for _ in range(_TRIES):
            stamp, existing = await self._store.read(_tags_of_now)
            plan, refused = await asyncio.to_thread(plan_good, rows, existing)
            if refused.keys() - file.problems.keys():
                raise BadBoardFile(
                    f"{file.path}: the board's tags have changed since it was checked: try again"
                )
            counts = Counts(
                new=len(plan.new),
                changed=plan.changed_rows,
                refused=len(file.problems),
                existing=file.rows - len(plan.new) - plan.changed_rows - len(file.problems),
            )

            async def work(tx: Transaction) -> list[Alignment]:
                notes = await store_tags(tx, plan, stamp, self._options.actor)  # noqa: B023
                await import_runs.advance(tx, Kind.TAGS, file.sha256, counts)  # noqa: B023
                return notes

            try:
                notes = await self._store.write(work)
            except Outdated:
                continue
            for note in notes:
                await bring_in_line(self._store, note)
            self._options.watch.imported(Kind.TAGS, file.rows)
            return counts
        raise _restless()

    async def _import_chunks(self, file: Checked, counts: Counts) -> Counts:
        chunks = self._chunks(file, skip=counts.rows)
        writer = _Writer(self._store, self._settings, self._options, file)
        upcoming = asyncio.create_task(asyncio.to_thread(next, chunks, None))
        try:
            while chunk := await upcoming:
                # The next rows are read while the database is busy with these.
                upcoming = asyncio.create_task(asyncio.to_thread(next, chunks, None))
                while chunk:
                    found = await writer.write(chunk)
                    counts += found.counts
                    self._options.watch.imported(file.kind, found.rows)
                    chunk = chunk[found.rows :]
        finally:
            await asyncio.wait([upcoming])
        return counts

    def _chunks(self, file: Checked, *, skip: int) -> Iterator[list[AnyRow | None]]:
        """Yield rows behind the first `skip`; None is one that is left out."""
        rows = islice(read(file.kind, file.path), skip, None)
        good = (
            None if line in file.problems or isinstance(row, str) else row
            for line, row in parsed(self._parser, file.kind, rows)
        )
        held: list[AnyRow | None] = []
        while more := list(islice(good, self._options.chunk - len(held))):
            chunk = held + more
            kept = _one_image(chunk) if file.kind is Kind.LINKS and len(chunk) == self._options.chunk else 0
            yield chunk[: len(chunk) - kept]
            held = chunk[len(chunk) - kept :]
        if held:
            yield held


class _Writer:
    """Writes chunks of one file."""

    def __init__(self, store: Store, settings: Settings, options: Options, file: Checked) -> None:
        self._store = store
        self._options = options
        self._settings = settings
        self._file = file
        self._users: dict[int, User] | None = None
        self._tags: BoardTags | None = None
        self._plan: TaggingPlan | None = None

    async def write(self, chunk: Sequence[AnyRow | None]) -> Stored:
        """Store the first rows of a chunk, and how far the file has come. Raises as `BoardImport.run`."""
        for _ in range(_TRIES):
            await self._prepare()
            try:
                return await self._store.write(lambda tx: self._store_rows(tx, chunk))
            except Outdated:
                self._tags = None
            except ActorNeeded:
                # An image that was looked at is shown again, or hidden: by the rules of now.
                if (
                    self._plan is not None
                    or self._options.actor is None
                    or self._file.kind is not Kind.IMAGES
                ):
                    raise
                self._plan = await read_plan(self._store, self._settings)
            except DuplicateKey as error:
                # Somebody registers the same at this moment; it is there when we look again.
                if self._file.kind is Kind.USERS:
                    raise BadBoardFile(f"{self._file.path}: a name is taken already: {error}") from error
        raise _restless()

    async def _prepare(self) -> None:
        if self._users is None and self._file.kind is not Kind.USERS:
            self._users = users_by_external_id(await self._store.read(stored.known_users))
        if self._tags is None and self._file.kind is Kind.LINKS:
            self._tags = await self._store.read(read_tags)

    async def _store_rows(self, tx: Transaction, chunk: Sequence[AnyRow | None]) -> Stored:
        good = [row for row in chunk if row is not None]
        found = await self._store_good(tx, good)
        taken = len(chunk) if found.rows == len(good) else _place_behind(chunk, found.rows)
        counts = found.counts + Counts(refused=taken - found.rows)
        await import_runs.advance(tx, self._file.kind, self._file.sha256, counts)
        return Stored(taken, counts)

    async def _store_good(self, tx: Transaction, rows: Sequence[AnyRow]) -> Stored:
        users = self._users or {}
        actor = self._options.actor
        match self._file.kind:
            case Kind.USERS:
                people = [row for row in rows if isinstance(row, UserRow)]
                return Stored(len(people), await store_users(tx, people))
            case Kind.IMAGES:
                pictures = [row for row in rows if isinstance(row, ImageRow)]
                return await store_images(tx, pictures, users, actor=actor, plan=self._plan)
            case _:
                if self._tags is None:
                    raise RuntimeError("tags are read before links are stored")
                links = [row for row in rows if isinstance(row, LinkRow)]
                return await store_links(tx, links, self._tags, users, actor=actor)


def _one_image(chunk: Sequence[AnyRow | None]) -> int:
    """Return how many rows at the end of a chunk of links are of one image, of which there may be more: what
    people are asked about an image is best answered by all of its links at once. 0 when all of them are.
    """
    last = next((row.image for row in reversed(chunk) if isinstance(row, LinkRow)), None)
    for count, row in enumerate(reversed(chunk)):
        if isinstance(row, LinkRow) and row.image != last:
            return count
    return 0


def _place_behind(chunk: Sequence[AnyRow | None], good: int) -> int:
    """Return how many rows of a chunk are behind it with its first `good` ones that are not left out."""
    seen = 0
    for place, row in enumerate(chunk):
        if row is not None:
            if seen == good:
                return place
            seen += 1
    return len(chunk)


async def _tags_of_now(tx: Transaction) -> tuple[int, tuple[Tag, ...]]:
    # The stamp first: a change in between is then found out, and not taken for seen.
    return await rules_version.current(tx), await tags.load_all(tx)


def _place(item: tuple[Kind, object]) -> int:
    return list(Kind).index(item[0])


def _restless() -> StoreUnavailable:
    return StoreUnavailable(f"gave up after {_TRIES} tries: others keep changing the same rows; try again")


def write_rejects(checked: Checked) -> Path:
    """Write the rows of a file that are left out beside it, with what is wrong with each; returns where."""
    path = checked.path.with_name(checked.path.name + REJECTS)
    with path.open("w", encoding="utf-8") as file:
        for row in read(checked.kind, checked.path):
            if row.line in checked.problems:
                told = {"line": row.line, "problem": checked.problems[row.line], "row": dict(row.values)}
                file.write(json.dumps(told, ensure_ascii=False) + "\n")
    return path
