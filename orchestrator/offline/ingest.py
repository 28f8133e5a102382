"""`tagdesk backfill ingest`: stores what another host has seen, as the pipeline would have stored it.

A part is read whole before anything of it is stored. Each image is then looked at as it is now, and what
somebody has done meanwhile goes first:

| the image | becomes |
|---|---|
| is not there, or is of another source | `refused` |
| was seen by all versions of the part, or by ones in use that replaced them | `already_there` |
| is with a worker | `under_way` |
| was seen offline | `stored` |
| failed offline by its own fault | `failed`; `already_there` if it had, `asked_again` if queued anew |
| was out of reach | left: `out_of_reach` |

So ingesting again changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from orchestrator.errors import Conflict, InvalidInput
from orchestrator.offline.arrays import header_of_arrays, read_arrays
from orchestrator.offline.parts import (
    Outcome,
    Part,
    PartHeader,
    SeenImage,
    UnseenImage,
    find_parts,
    header_of_lines,
    read_lines,
)
from orchestrator.offline.worklist import mark_of
from orchestrator.pipeline.rules import Rules, RulesCache
from orchestrator.pipeline.stages import Seen
from orchestrator.pipeline.storing import TOGETHER, Look, resolve_and_persist
from orchestrator.records import (
    ClaimedImage,
    ImageFailure,
    ImageState,
    PreparedImage,
    RawPrediction,
    ServedModel,
    VersionState,
    as_score,
)
from orchestrator.settings import Settings
from orchestrator.store import images, models, offline, rules_version
from orchestrator.store.offline import Standing
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store


class Fate(StrEnum):
    """What became of an image of a part."""

    STORED = "stored"
    FAILED = "failed"
    ALREADY_THERE = "already_there"
    UNDER_WAY = "under_way"
    ASKED_AGAIN = "asked_again"
    OUT_OF_REACH = "out_of_reach"
    REFUSED = "refused"


LEFT = frozenset({Fate.UNDER_WAY, Fate.OUT_OF_REACH, Fate.REFUSED})
"""What nobody has stored: images that somebody should look after."""


@dataclass(slots=True)
class Summary:
    """Images by what became of them; failures by code. `missing`: parts that are not in the folder."""

    fates: Counter[Fate] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    missing: int = 0


@dataclass(frozen=True, slots=True)
class _Known:
    """The versions of a part as the database has them, in the part's order. `floor`: lower scores are not
    kept here."""

    models: tuple[ServedModel, ...]
    floor: int

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(model.id for model in self.models)


async def ingest(store: Store, settings: Settings, folder: Path, *, tell: Callable[[int], object]) -> Summary:
    """Store every part in a folder; returns what became of its images. `tell` is told of how many.

    Raises InvalidInput (`no_parts`, `bad_part`, `unknown_version`, `floor_differs`), Conflict
    (`version_removed`, `version_changed`) and stops: what was stored before stays, and going on is ingesting
    again. Raises StoreUnavailable, OSError.
    """
    paths = await asyncio.to_thread(find_parts, folder)
    if not paths:
        raise InvalidInput(f"there are no parts in {folder}", code="no_parts")
    headers = [await asyncio.to_thread(_header, path) for path in paths]
    summary = Summary(missing=_missing(headers))
    rules = RulesCache(settings, store)
    for path in paths:
        part = await asyncio.to_thread(_read, path)
        known = await store.read(lambda tx, part=part: _check(tx, settings, part.header))  # type: ignore[misc]
        for start in range(0, len(part.outcomes), TOGETHER):
            some = part.outcomes[start : start + TOGETHER]
            fates = await _ingest(store, rules, part.header, known, some)
            summary.fates.update(fates.values())
            summary.failures.update(
                one.code for one in some if isinstance(one, UnseenImage) and fates[one.id] is Fate.FAILED
            )
            tell(len(some))
    return summary


def count_images(folder: Path) -> int:
    """Return how many images the parts of a folder speak of. Raises InvalidInput (`bad_part`), OSError."""
    return sum(_header(path).images for path in find_parts(folder))


def _header(path: Path) -> PartHeader:
    return (header_of_lines if path.suffix == ".jsonl" else header_of_arrays)(path)


def _read(path: Path) -> Part:
    return (read_lines if path.suffix == ".jsonl" else read_arrays)(path)


def _missing(headers: Sequence[PartHeader]) -> int:
    """Return how many parts of the same lists are not there; of a shard that is not there at all, one."""
    missing = 0
    for work in {(header.work, header.shards) for header in headers}:
        of_work = [header for header in headers if (header.work, header.shards) == work]
        there = {(header.shard, header.part) for header in of_work}
        wanted = {header.shard: header.parts for header in of_work}
        for shard in range(1, work[1] + 1):
            parts = range(1, wanted.get(shard, 1) + 1)
            missing += sum((shard, part) not in there for part in parts)
    return missing


async def _check(tx: Transaction, settings: Settings, header: PartHeader) -> _Known:
    """Return the versions of a part, each the very one that looked. Raises as `ingest`."""
    floor = as_score(settings.raw_score_floor)
    if header.floor > floor:
        raise InvalidInput(
            f"scores below {header.floor / 10_000} were not kept, but {settings.raw_score_floor} is the"
            " installation's floor (TAGDESK_RAW_SCORE_FLOOR): export and infer again",
            code="floor_differs",
        )
    found = []
    for wanted in header.versions:
        row = await models.find(tx, wanted.name, wanted.version)
        if row is None:
            raise InvalidInput(f"{wanted.name} has no version {wanted.version}", code="unknown_version")
        if row.state is VersionState.REMOVED:
            raise Conflict(f"{wanted} was removed; export and infer again", code="version_removed")
        if row.sha256 != wanted.sha256:
            raise Conflict(
                f"{wanted} is another graph here than the one that looked; export and infer again",
                code="version_changed",
            )
        found.append(await models.get(tx, settings, row.id))
    return _Known(tuple(found), floor)


async def _ingest(
    store: Store,
    rules: RulesCache,
    header: PartHeader,
    known: _Known,
    outcomes: Sequence[Outcome],
) -> dict[int, Fate]:
    """Store some outcomes in one transaction; returns what became of each image."""
    ids = [one.id for one in outcomes]
    while True:
        now = await rules.current()

        def judged(standing: Mapping[int, Standing], now: Rules = now) -> dict[int, Fate]:
            return {one.id: _fate(one, standing.get(one.id), header, known, now) for one in outcomes}

        # Looked at without locks first: what is there already costs nobody anything.
        fates = judged(await store.read(lambda tx: offline.standing(tx, ids, lock=False)))
        if not _to_store(fates):
            return fates

        async def work(tx: Transaction, now: Rules = now) -> dict[int, Fate] | None:
            fates = judged(await offline.standing(tx, ids, lock=True), now)
            if await rules_version.current(tx) != now.plan.version:
                return None
            taken = await offline.take(tx, _to_store(fates))
            seen = [one for one in outcomes if one.id in taken and isinstance(one, SeenImage)]
            await _store(tx, seen, taken, known, now)
            for one in outcomes:
                if one.id in taken and isinstance(one, UnseenImage):
                    failure = ImageFailure(one.code, one.detail)
                    await images.finish_failed(tx, one.id, taken[one.id].token, failure)
            return fates

        stored = await store.write(work)
        if stored is not None:
            return stored


def _fate(
    outcome: Outcome, standing: Standing | None, header: PartHeader, known: _Known, rules: Rules
) -> Fate:
    """Return what is to become of an image, or why it is left as it is."""
    if standing is None or mark_of(standing.source) != outcome.mark:
        return Fate.REFUSED
    replaced = {model.name: model.id for model in rules.models}
    if all({model.id, replaced.get(model.name)} & standing.seen_by for model in known.models):
        return Fate.ALREADY_THERE
    if standing.state is ImageState.RUNNING:
        return Fate.UNDER_WAY
    if isinstance(outcome, SeenImage):
        return Fate.STORED
    if outcome.out_of_reach:
        return Fate.OUT_OF_REACH
    if standing.state is ImageState.FAILED:
        return Fate.ALREADY_THERE
    if standing.state is ImageState.QUEUED and standing.queued_at > header.exported_at:
        return Fate.ASKED_AGAIN
    return Fate.FAILED


def _to_store(fates: Mapping[int, Fate]) -> list[int]:
    return [image_id for image_id, fate in fates.items() if fate in (Fate.STORED, Fate.FAILED)]


async def _store(
    tx: Transaction,
    seen: Sequence[SeenImage],
    taken: Mapping[int, ClaimedImage],
    known: _Known,
    rules: Rules,
) -> None:
    if not seen:
        return
    # Where other versions than the ones in use have looked, what is stored of those in use goes first.
    in_use = {model.id for model in rules.models} == set(known.ids)
    ids = [] if in_use else [one.id for one in seen]
    stored = await offline.stored_raw(tx, ids, but=known.ids)
    rules = replace(rules, models=known.models)
    await resolve_and_persist(
        tx,
        [Look(taken[one.id], one.sha256, _seen(one, known), rules, stored.get(one.id, ())) for one in seen],
    )


def _seen(one: SeenImage, known: _Known) -> Seen:
    prepared = PreparedImage({}, one.width, one.height, one.has_alpha, one.media_type)
    raw = tuple(
        RawPrediction(version_id, label, score)
        for version_id, (labels, scores) in zip(known.ids, one.raw, strict=True)
        for label, score in zip(labels, scores, strict=True)
        if score >= known.floor
    )
    return Seen(prepared, raw, {})
