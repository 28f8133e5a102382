"""The first pass over the files: every bad row by line, before anything is written.

References are looked up among what the board has and what the files before bring.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from orchestrator.board_import.files import Kind, Row, digest, read
from orchestrator.board_import.rows import AnyRow, BadRow, ImageRow, LinkRow, Parser, TagRow, UserRow
from orchestrator.board_import.tag_plan import plan_good
from orchestrator.store import board_import as stored
from orchestrator.store import tags
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

CHUNK = 10_000
MOST_PROBLEMS = 1_000
"""Bad rows of a file after which nobody reads on."""

Progress = Callable[[Kind, int], object]
"""Called with how many rows more have been looked at."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A bad row: where it stands, and what is wrong with it."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.text}"


@dataclass(slots=True)
class Checked:
    """A file after the first pass. `problems` by line. `complete`: false when there were too many to read on.
    `anonymous`: the first line that decides on suggestions and does not say who put the link there."""

    kind: Kind
    path: Path
    sha256: bytes
    rows: int = 0
    problems: dict[int, str] = field(default_factory=dict)
    complete: bool = True
    anonymous: int | None = None

    def listed(self) -> list[Problem]:
        """Return the problems in the order of lines."""
        return [Problem(self.path, line, text) for line, text in sorted(self.problems.items())]


@dataclass(slots=True)
class _Known:
    """External ids that rows may name."""

    tags: set[int] = field(default_factory=set)
    users: set[int] = field(default_factory=set)
    images: set[int] = field(default_factory=set)


def parsed(parser: Parser, kind: Kind, rows: Iterable[Row]) -> Iterator[tuple[int, AnyRow | str]]:
    """Yield line and row, or what is wrong with it."""
    parse = parser.of(kind)
    for row in rows:
        if row.problem is not None:
            yield row.line, row.problem
            continue
        try:
            yield row.line, parse(row.line, row.values)
        except BadRow as error:
            yield row.line, str(error)


class Checker:
    """Checks files in the order of their kinds; each knows what the ones before bring."""

    def __init__(self, store: Store, parser: Parser, *, every_problem: bool, progress: Progress) -> None:
        """`every_problem`: read on however many rows are bad."""
        self._store = store
        self._parser = parser
        self._every_problem = every_problem
        self._progress = progress
        self._known = _Known()
        self._names: dict[bytes, int | None] = {}

    async def check(self, files: Mapping[Kind, Path]) -> dict[Kind, Checked]:
        """Check files. Raises BadBoardFile when one cannot be read."""
        known = await self._store.read(tags.load_all)
        self._known.tags = {tag.external_id for tag in known if tag.external_id is not None}
        users = await self._store.read(stored.known_users)
        self._known.users = {user.external_id for user in users if user.external_id is not None}
        self._names = {user.folded: user.external_id for user in users}
        found: dict[Kind, Checked] = {}
        for kind in Kind:
            if kind in files:
                found[kind] = await self._file(kind, files[kind])
        return found

    async def _file(self, kind: Kind, path: Path) -> Checked:
        checked = Checked(kind, path, await asyncio.to_thread(digest, path))
        rows = parsed(self._parser, kind, read(kind, path))
        if kind is Kind.TAGS:
            await self._tags(checked, rows)
            return checked
        judge = {Kind.USERS: self._users, Kind.IMAGES: self._images, Kind.LINKS: self._links}[kind]
        seen: set[int] = set()
        while chunk := await asyncio.to_thread(lambda: list(islice(rows, CHUNK))):
            good = []
            for line, row in chunk:
                if isinstance(row, str):
                    checked.problems[line] = row
                elif not isinstance(row, LinkRow) and row.external_id in seen:
                    checked.problems[line] = f"external_id {row.external_id} stands in another row already"
                else:
                    good.append(row)
                    if not isinstance(row, LinkRow):
                        seen.add(row.external_id)
            await judge(checked, good)
            checked.rows += len(chunk)
            self._progress(kind, len(chunk))
            if len(checked.problems) >= MOST_PROBLEMS and not self._every_problem:
                checked.complete = False
                break
        return checked

    async def _tags(self, checked: Checked, rows: Iterator[tuple[int, AnyRow | str]]) -> None:
        found = await asyncio.to_thread(lambda: list(rows))
        checked.problems |= {line: row for line, row in found if isinstance(row, str)}
        good = [row for _, row in found if isinstance(row, TagRow)]
        existing = await self._store.read(tags.load_all)
        _, refused = await asyncio.to_thread(plan_good, good, existing)
        checked.problems |= refused
        checked.rows = len(found)
        self._known.tags |= {row.external_id for row in good if row.line not in refused}
        self._progress(Kind.TAGS, len(found))

    async def _users(self, checked: Checked, rows: Sequence[AnyRow]) -> None:
        good = [row for row in rows if isinstance(row, UserRow)]
        folded = await self._store.read(lambda tx: stored.folded(tx, [row.name for row in good]))
        for row, name in zip(good, folded, strict=True):
            owner = self._names.get(name)
            free = name not in self._names or owner == row.external_id
            adopts = name in self._names and owner is None and row.external_id not in self._known.users
            if free or adopts:
                self._names[name] = row.external_id
                self._known.users.add(row.external_id)
            else:
                whose = "another user's" if owner is None else f"that of user {owner}"
                checked.problems[row.line] = f"the name {row.name!r} is {whose} already: names are unique"

    async def _images(self, checked: Checked, rows: Sequence[AnyRow]) -> None:
        for row in rows:
            if isinstance(row, ImageRow):
                if row.uploader in self._known.users:
                    self._known.images.add(row.external_id)
                else:
                    checked.problems[row.line] = f"uploader is {row.uploader}: nobody has that external id"

    async def _links(self, checked: Checked, rows: Sequence[AnyRow]) -> None:
        good = [row for row in rows if isinstance(row, LinkRow)]
        asked = {row.image for row in good} - self._known.images
        there = await self._store.read(lambda tx: stored.image_ids(tx, asked))
        for row in good:
            if row.image not in self._known.images and row.image not in there:
                checked.problems[row.line] = f"image is {row.image}: no image has that external id"
            elif row.tag not in self._known.tags:
                checked.problems[row.line] = f"tag is {row.tag}: no tag has that external id"
            elif row.by is not None and row.by not in self._known.users:
                checked.problems[row.line] = f"by is {row.by}: nobody has that external id"
        if checked.anonymous is None:
            checked.anonymous = await self._anonymous([row for row in good if row.by is None])

    async def _anonymous(self, rows: Sequence[LinkRow]) -> int | None:
        """Return the first line of those that answer what people are asked."""

        async def work(tx: Transaction) -> int | None:
            if not rows or not await stored.any_suggestion(tx, pending=True):
                return None
            ids = await stored.image_ids(tx, {row.image for row in rows})
            asked = await stored.with_pending(tx, ids.values())
            return next((row.line for row in rows if ids.get(row.image) in asked), None)

        return await self._store.read(work)
