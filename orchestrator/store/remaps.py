"""Re-maps, and what one reads of many images at once: scores, applied tags, suggestions, evidence.

A re-map's row is locked by whoever moves its place or changes its state, before any image is.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import NotFound
from orchestrator.records import Evidence, RawPrediction, RunState, SuggestionStatus
from orchestrator.store import links
from orchestrator.store.eligibility import HIDDEN
from orchestrator.store.rows import moment, moment_or_none
from orchestrator.store.transaction import Row, Transaction


@dataclass(frozen=True, slots=True)
class Changes:
    """How many pending suggestions came, went, or got other scores; of how many images."""

    images: int = 0
    added: int = 0
    removed: int = 0
    updated: int = 0

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(
            self.images + other.images,
            self.added + other.added,
            self.removed + other.removed,
            self.updated + other.updated,
        )


@dataclass(frozen=True, slots=True)
class Remap:
    """`asked`: which images. `looked_to`: images up to this id have been looked at, of those up to
    `until_id`. `looked_before`: how many had been looked at when it began to run the last time."""

    id: int
    state: RunState
    asked: Mapping[str, object]
    stamp: int
    looked_to: int
    until_id: int
    looked: int
    changes: Changes
    created_at: datetime
    resumed_at: datetime
    looked_before: int
    finished_at: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class StoredSuggestion:
    """A suggestion as it stands, with its evidence."""

    tag_id: int
    status: SuggestionStatus
    score: int
    confidence: int
    model_version_id: int
    inferred: bool
    exploration: bool
    evidence: frozenset[tuple[int, int, int | None, int]]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """All that the rules need of an image that was analysed, and what they made of it before.

    `seen_by`: the versions that looked. `raw`: what they said; of those whose scores were dropped, what the
    evidence of pending suggestions keeps. `applied`: canonical tags. `sha256` in hex.
    """

    id: int
    has_alpha: bool
    sha256: str | None
    seen_by: frozenset[int]
    raw: tuple[RawPrediction, ...]
    applied: frozenset[int]
    suggestions: tuple[StoredSuggestion, ...]


def of_evidence(one: Evidence) -> tuple[int, int, int | None, int]:
    """Return evidence as `StoredSuggestion` has it: version, label, mapping, score."""
    return one.model_version_id, one.label, one.mapping_id, one.score


async def ids_behind(tx: Transaction, after: int, until: int, limit: int) -> list[int]:
    """Return the ids of the next images that were analysed and are not hidden."""
    rows = await tx.fetch_rows(
        "SELECT id FROM images WHERE id > :after AND id <= :until AND has_alpha IS NOT NULL"
        " AND eligibility NOT IN :hidden ORDER BY id LIMIT :limit",
        after=after,
        until=until,
        hidden=sorted(HIDDEN),
        limit=limit,
    )
    return [row[0] for row in rows]


async def span(tx: Transaction) -> tuple[int, int]:
    """Return the lowest and the highest id of an image; (1, 0) when there is none."""
    ((first, last),) = await tx.fetch_rows("SELECT COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM images")
    return int(first), int(last)


async def read(
    tx: Transaction, image_ids: Collection[int], *, telling: Mapping[int, Collection[int]] | None = None
) -> list[StoredImage]:
    """Return these images in id order; those that were never analysed or are hidden are left out.

    `telling`: the labels of each version that stand for a tag. Then only their scores are read, and applied
    tags only of images that have such: on the others nothing can be proposed.
    """
    if not image_ids:
        return []
    ids = sorted(image_ids)
    images = await tx.fetch_rows(
        "SELECT id, has_alpha, HEX(sha256) FROM images"
        " WHERE id IN :ids AND has_alpha IS NOT NULL AND eligibility NOT IN :hidden ORDER BY id",
        ids=ids,
        hidden=sorted(HIDDEN),
    )
    seen: dict[int, set[int]] = {}
    for image_id, version_id in await tx.fetch_rows(
        "SELECT image_id, model_version_id FROM analyses WHERE image_id IN :ids", ids=ids
    ):
        seen.setdefault(image_id, set()).add(version_id)
    raw: dict[int, list[RawPrediction]] = {}
    for image_id, version_id, label, score in await _raw(tx, ids, telling):
        raw.setdefault(image_id, []).append(RawPrediction(version_id, label, score))
    suggestions = await _suggestions(tx, ids)
    for image_id, found in suggestions.items():
        left = _left(found, seen.get(image_id, set()))
        if left:
            raw.setdefault(image_id, []).extend(left)
            seen.setdefault(image_id, set()).update(one.model_version_id for one in left)
    applied = await links.applied_to(tx, ids if telling is None else raw)
    return [
        StoredImage(
            id=image_id,
            has_alpha=bool(has_alpha),
            sha256=None if sha256 is None else sha256.lower(),
            seen_by=frozenset(seen.get(image_id, ())),
            raw=tuple(raw.get(image_id, ())),
            applied=applied.get(image_id, frozenset()),
            suggestions=tuple(suggestions.get(image_id, ())),
        )
        for image_id, has_alpha, sha256 in images
    ]


def _left(suggestions: Collection[StoredSuggestion], seen_by: Collection[int]) -> set[RawPrediction]:
    """Return what is left of versions whose scores were dropped: the evidence of pending rows. Without it a
    re-map would take rows away because nothing spoke for them any more."""
    return {
        RawPrediction(version, label, score)
        for one in suggestions
        if one.status is SuggestionStatus.PENDING
        for version, label, _, score in one.evidence
        if version not in seen_by
    }


async def _raw(
    tx: Transaction, image_ids: list[int], telling: Mapping[int, Collection[int]] | None
) -> list[tuple[int, int, int, int]]:
    """Return (image, version, label, score)."""
    rows = "SELECT image_id, model_version_id, label, score FROM raw_predictions WHERE image_id IN :ids"
    if telling is None:
        return await tx.fetch_rows(rows, ids=image_ids)
    found: list[tuple[int, int, int, int]] = []
    for version_id, labels in telling.items():
        if labels:
            # Sums are no keys: else the server would plan a dive for every pair of an image and a label.
            condition = "AND model_version_id + 0 = :version AND label + 0 IN :labels"
            found += await tx.fetch_rows(
                f"{rows} {condition}", ids=image_ids, version=version_id, labels=labels
            )
    return found


async def _suggestions(tx: Transaction, image_ids: list[int]) -> dict[int, list[StoredSuggestion]]:
    rows = await tx.fetch_rows(
        "SELECT id, image_id, tag_id, status, score, confidence, model_version_id, inferred, exploration"
        " FROM suggestions WHERE image_id IN :ids",
        ids=image_ids,
    )
    evidence: dict[int, set[tuple[int, int, int | None, int]]] = {}
    if rows:
        for suggestion_id, *what in await tx.fetch_rows(
            "SELECT suggestion_id, model_version_id, label, mapping_id, score FROM suggestion_evidence"
            " WHERE suggestion_id IN :ids",
            ids=[row[0] for row in rows],
        ):
            evidence.setdefault(suggestion_id, set()).add((what[0], what[1], what[2], what[3]))
    found: dict[int, list[StoredSuggestion]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(
            StoredSuggestion(
                tag_id=row[2],
                status=SuggestionStatus(row[3]),
                score=row[4],
                confidence=row[5],
                model_version_id=row[6],
                inferred=bool(row[7]),
                exploration=bool(row[8]),
                evidence=frozenset(evidence.get(row[0], ())),
            )
        )
    return found


_REMAPS = "SELECT r.*, UTC_TIMESTAMP(6) AS now FROM remaps r"


async def add(tx: Transaction, *, asked: Mapping[str, object], stamp: int, until_id: int) -> int:
    """Store a re-map that runs; returns its id."""
    return await tx.insert("remaps", asked=json.dumps(asked), stamp=stamp, until_id=until_id)


async def get(tx: Transaction, remap_id: int) -> Remap:
    """Return a re-map. Raises NotFound (`remap_not_found`)."""
    row = await tx.fetch_one(f"{_REMAPS} WHERE r.id = :id", id=remap_id)
    if row is None:
        raise NotFound(f"no re-map has the id {remap_id}", code="remap_not_found")
    return _remap(row)


async def lock(tx: Transaction, remap_id: int) -> Remap:
    """Return a re-map that nobody else changes meanwhile. Raises NotFound (`remap_not_found`)."""
    await tx.fetch_rows("SELECT id FROM remaps WHERE id = :id FOR UPDATE", id=remap_id)
    return await get(tx, remap_id)


async def newest(tx: Transaction, *, limit: int) -> list[Remap]:
    """Return re-maps, the newest first."""
    return [_remap(row) for row in await tx.fetch_all(f"{_REMAPS} ORDER BY r.id DESC LIMIT :n", n=limit)]


async def running(tx: Transaction) -> Remap | None:
    """Return the oldest re-map that runs."""
    row = await tx.fetch_one(f"{_REMAPS} WHERE r.state = 'running' ORDER BY r.id LIMIT 1")
    return None if row is None else _remap(row)


async def covered(tx: Transaction) -> int:
    """Return the stamp of the newest re-map of everything that was not cancelled, -1 when there is none."""
    rows = await tx.fetch_rows(
        "SELECT COALESCE(MAX(stamp), -1) FROM remaps"
        " WHERE state <> 'cancelled' AND JSON_VALUE(asked, '$.scope') = 'all'"
    )
    return int(rows[0][0])


async def set_state(tx: Transaction, remap_id: int, state: RunState) -> None:
    """Set the state of a locked re-map; RUNNING starts its clock anew, DONE and CANCELLED end it."""
    await tx.execute(
        "UPDATE remaps SET state = :state, resumed_at = IF(:runs, UTC_TIMESTAMP(6), resumed_at),"
        " looked_before = IF(:runs, looked, looked_before),"
        " finished_at = IF(:ended, UTC_TIMESTAMP(6), NULL) WHERE id = :id",
        id=remap_id,
        state=state,
        runs=state is RunState.RUNNING,
        ended=state in (RunState.DONE, RunState.CANCELLED),
    )


async def advance(tx: Transaction, remap_id: int, *, looked_to: int, looked: int, changes: Changes) -> None:
    """Move a locked re-map behind what this transaction does."""
    await tx.execute(
        "UPDATE remaps SET looked_to = :looked_to, looked = looked + :looked, changed = changed + :changed,"
        " added = added + :added, removed = removed + :removed, updated = updated + :updated WHERE id = :id",
        id=remap_id,
        looked_to=looked_to,
        looked=looked,
        changed=changes.images,
        added=changes.added,
        removed=changes.removed,
        updated=changes.updated,
    )


def _remap(row: Row) -> Remap:
    return Remap(
        id=row["id"],
        state=RunState(row["state"]),
        asked=json.loads(row["asked"]),
        stamp=row["stamp"],
        looked_to=row["looked_to"],
        until_id=row["until_id"],
        looked=row["looked"],
        changes=Changes(row["changed"], row["added"], row["removed"], row["updated"]),
        created_at=moment(row["created_at"]),
        resumed_at=moment(row["resumed_at"]),
        looked_before=row["looked_before"],
        finished_at=moment_or_none(row["finished_at"]),
        now=moment(row["now"]),
    )
