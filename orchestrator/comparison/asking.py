"""Comparisons for people who wait for them: of a sample, one at a time, within seconds."""

import asyncio
import time
from dataclasses import dataclass

from orchestrator.comparison.compare import compare
from orchestrator.comparison.report import Comparison
from orchestrator.errors import NotFound, StoreUnavailable
from orchestrator.settings import Settings
from orchestrator.store import models, rules
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

PATIENCE = 25.0
"""Seconds, the turns of those who asked before included."""
KEPT_FOR = 60.0
"""Seconds for which an answer is given again while the rules stay: verdicts of a minute change little."""
KEPT = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. `m` None: the active version. `shown`: most changed images to tell of."""

    name: str
    m: int | None
    n: int
    images: int
    shown: int


@dataclass(frozen=True, slots=True)
class _Known:
    comparison: Comparison
    stamp: int
    at: float

    def is_good(self, stamp: int, before: int, now: float) -> bool:
        """Whether it may be given again."""
        return self.stamp == stamp and self.comparison.m == before and now - self.at < KEPT_FOR


class Comparisons:
    """The comparisons of one process. One runs at a time: each takes a core for a second or so."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._turn = asyncio.Lock()
        self._known: dict[Asked, _Known] = {}

    async def ask(self, asked: Asked) -> Comparison:
        """Compare two versions. An answer may be KEPT_FOR seconds old.

        Raises NotFound (`version_not_found`, also where no version is active), InvalidInput as `compare`,
        StoreUnavailable, also when it takes longer than PATIENCE.
        """
        try:
            async with asyncio.timeout(PATIENCE), self._turn:
                return await self._answer(asked)
        except TimeoutError as error:
            raise StoreUnavailable(
                f"this took more than {PATIENCE:g} s: ask for fewer images, or by the command line"
            ) from error

    async def _answer(self, asked: Asked) -> Comparison:
        before, stamp = await self._store.read(lambda tx: _ground(tx, asked))
        known = self._known.get(asked)
        now = time.monotonic()
        if known is not None and known.is_good(stamp, before, now):
            return known.comparison
        found = await compare(
            self._store,
            self._settings,
            asked.name,
            before,
            asked.n,
            images=asked.images,
            shown=asked.shown,
        )
        self._known.pop(asked, None)
        self._known[asked] = _Known(found, stamp, now)
        while len(self._known) > KEPT:
            self._known.pop(next(iter(self._known)))
        return found


async def _ground(tx: Transaction, asked: Asked) -> tuple[int, int]:
    """Return the number of the version before, and the rules' stamp."""
    stamp = await rules.version(tx)
    if asked.m is not None:
        return asked.m, stamp
    active = await models.active_number(tx, asked.name)
    if active is None:
        raise NotFound(
            f"no version of {asked.name} is active: say which one is the one before",
            code="version_not_found",
        )
    return active, stamp
