"""Raw predictions by version: how many there are, how long they are kept, and dropping them.

To drop an image's scores of a version is to forget that it ever looked: the row of `analyses` goes with
them, so that everybody who asks whether it has looked is told no. What it said of pending suggestions stays
as their evidence, and a re-map goes by that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.records import RawPolicy, VersionState
from orchestrator.store.transaction import Row, Transaction

ROW_BYTES = 30
"""What a raw prediction takes on disk, measured at 25 million of them."""

PROTECTED = frozenset({VersionState.ACTIVE, VersionState.SHADOW})
"""Versions whose scores are dropped only when somebody insists."""

_PASSED_OVER = 20
"""Times as many images are looked at as are locked: most may have to stay."""
_POINTS, _AT_A_POINT = 20, 10
"""Images that are counted to know how many rows an image has: so many, behind so many places."""


@dataclass(frozen=True, slots=True)
class Retention:
    """A version's policy, and where the keeper is. `newest`: images, for that policy only.

    `looked_to`, `until_id`: a pass has come to this image of those up to that; both 0 between passes.
    `due`: a pass is under way, or it is time for one.
    """

    model_version_id: int
    policy: RawPolicy
    newest: int | None
    forced: bool
    looked_to: int
    until_id: int
    due: bool
    dropped_images: int
    dropped_rows: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of a version. `images`: that it looked at; `rows`: about how many raw predictions,
    exact for few images."""

    images: int
    rows: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one step dropped. `ended`: the pass has come to its end."""

    images: int
    rows: int
    ended: bool


async def load(tx: Transaction, *, pause: float = 0.0) -> dict[int, Retention]:
    """Return what is said of versions, by id. `pause`: seconds between two passes, for `due`."""
    rows = await tx.fetch_all(f"{_SELECT} ORDER BY r.model_version_id", pause=pause)
    return {row["model_version_id"]: _retention(row) for row in rows}


async def lock(tx: Transaction, model_version_id: int, *, pause: float = 0.0) -> Retention | None:
    """Return what is said of a version, that nobody else changes meanwhile."""
    rows = await tx.fetch_all(
        f"{_SELECT} WHERE r.model_version_id = :id FOR UPDATE", id=model_version_id, pause=pause
    )
    return _retention(rows[0]) if rows else None


async def put(
    tx: Transaction, model_version_id: int, policy: RawPolicy, *, newest: int | None, forced: bool
) -> None:
    """Say how long a version's raw predictions are kept; the next pass begins at once."""
    await tx.insert_many(
        "raw_retention",
        ("model_version_id", "policy", "newest", "forced"),
        [(model_version_id, policy, newest, forced)],
        on_duplicate="policy = VALUES(policy), newest = VALUES(newest), forced = VALUES(forced),"
        " looked_to = 0, until_id = 0, passed_at = NULL",
    )


async def begin_pass(tx: Transaction, found: Retention) -> bool:
    """Set out over the images that a locked policy does not keep; whether there are any."""
    rows = await tx.fetch_rows(
        "SELECT image_id FROM analyses WHERE model_version_id = :id"
        " ORDER BY image_id DESC LIMIT 1 OFFSET :kept",
        id=found.model_version_id,
        kept=found.newest or 0,
    )
    if not rows:
        await _end_pass(tx, found)
        return False
    await tx.execute(
        "UPDATE raw_retention SET looked_to = 0, until_id = :until WHERE model_version_id = :id",
        id=found.model_version_id,
        until=rows[0][0],
    )
    return True


async def step(tx: Transaction, found: Retention, *, limit: int) -> Chunk:
    """Drop the scores of the next images of a locked policy's pass, and move on; both or neither.

    Left alone unless `forced`: all of a version that is active or a shadow, and images at which the active
    version of the name has not looked yet, for there the old scores count still.
    """
    rows = await tx.fetch_rows(
        "SELECT image_id FROM analyses WHERE model_version_id = :id AND image_id > :after"
        " AND image_id <= :until ORDER BY image_id LIMIT :limit",
        id=found.model_version_id,
        after=found.looked_to,
        until=found.until_id,
        limit=limit * _PASSED_OVER,
    )
    seen = [row[0] for row in rows]
    ids = (await _droppable(tx, found, seen))[: limit + 1]
    if not seen:
        await _end_pass(tx, found)
        return Chunk(0, 0, ended=True)
    to = ids[limit - 1] if len(ids) > limit else seen[-1]
    # As workers do: images first, then the version's row; the rules' stamp, which promotions take after that
    # row, is not needed here. What was found before may be so no longer.
    if ids:
        await tx.fetch_rows("SELECT id FROM images WHERE id IN :ids ORDER BY id FOR UPDATE", ids=ids[:limit])
    await tx.fetch_rows(
        "SELECT id FROM model_versions WHERE id = :id LOCK IN SHARE MODE", id=found.model_version_id
    )
    going = await _droppable(tx, found, ids[:limit])
    gone = await drop(tx, found.model_version_id, going)
    await tx.execute(
        "UPDATE raw_retention SET looked_to = :to, dropped_images = dropped_images + :images,"
        " dropped_rows = dropped_rows + :rows WHERE model_version_id = :id",
        id=found.model_version_id,
        to=to,
        images=len(going),
        rows=gone,
    )
    return Chunk(len(going), gone, ended=False)


async def drop(tx: Transaction, model_version_id: int, image_ids: Sequence[int]) -> int:
    """Forget what a version said of locked images; returns how many raw predictions went."""
    if not image_ids:
        return 0
    gone = await tx.execute(
        "DELETE FROM raw_predictions WHERE image_id IN :ids AND model_version_id = :version",
        ids=image_ids,
        version=model_version_id,
    )
    await tx.execute(
        "DELETE FROM analyses WHERE image_id IN :ids AND model_version_id = :version",
        ids=image_ids,
        version=model_version_id,
    )
    return gone


async def stored(tx: Transaction, model_version_id: int) -> Stored:
    """Say how much is stored of a version: an index is counted, and a few images are looked at."""
    ((images, first, last),) = await tx.fetch_rows(
        "SELECT COUNT(*), COALESCE(MIN(image_id), 0), COALESCE(MAX(image_id), 0) FROM analyses"
        " WHERE model_version_id = :id",
        id=model_version_id,
    )
    if not images:
        return Stored(0, 0)
    few = images <= _POINTS * _AT_A_POINT
    places = [first] if few else [first + (last - first) * place // _POINTS for place in range(_POINTS)]
    ids: set[int] = set()
    for place in places:
        rows = await tx.fetch_rows(
            "SELECT image_id FROM analyses WHERE model_version_id = :id AND image_id >= :place"
            " ORDER BY image_id LIMIT :limit",
            id=model_version_id,
            place=place,
            limit=images if few else _AT_A_POINT,
        )
        ids.update(row[0] for row in rows)
    ((counted,),) = await tx.fetch_rows(
        "SELECT COUNT(*) FROM raw_predictions WHERE image_id IN :ids AND model_version_id = :id",
        ids=sorted(ids),
        id=model_version_id,
    )
    return Stored(images, round(counted * images / len(ids)))


async def bytes_on_disk(tx: Transaction) -> int:
    """Return what the table of raw predictions takes on disk, as the server last looked. What was dropped is
    used again by new rows, not given back to the disk."""
    ((size,),) = await tx.fetch_rows(
        "SELECT DATA_LENGTH FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'raw_predictions'"
    )
    return int(size)


async def _droppable(tx: Transaction, found: Retention, image_ids: Sequence[int]) -> list[int]:
    """Return which of these images may lose the version's scores, in id order."""
    if not image_ids:
        return []
    ((state, name, was_active),) = await tx.fetch_rows(
        "SELECT state, name, activated_at IS NOT NULL FROM model_versions WHERE id = :id",
        id=found.model_version_id,
    )
    if found.forced:
        return sorted(image_ids)
    if state in PROTECTED:
        return []
    if state == VersionState.REMOVED or not was_active:
        return sorted(image_ids)
    rows = await tx.fetch_rows(
        "SELECT a.image_id FROM model_versions v"
        " STRAIGHT_JOIN analyses a ON a.model_version_id = v.id AND a.image_id IN :ids"
        " WHERE v.active_name = :name ORDER BY a.image_id",
        name=name,
        ids=image_ids,
    )
    return [row[0] for row in rows]


async def _end_pass(tx: Transaction, found: Retention) -> None:
    await tx.execute(
        "UPDATE raw_retention SET looked_to = 0, until_id = 0, passed_at = UTC_TIMESTAMP(6)"
        " WHERE model_version_id = :id",
        id=found.model_version_id,
    )


_SELECT = (
    "SELECT r.*, r.policy <> 'keep' AND (r.until_id > 0 OR r.passed_at IS NULL"
    " OR r.passed_at < UTC_TIMESTAMP(6) - INTERVAL :pause SECOND) AS due FROM raw_retention r"
)


def _retention(row: Row) -> Retention:
    return Retention(
        model_version_id=row["model_version_id"],
        policy=RawPolicy(row["policy"]),
        newest=row["newest"],
        forced=bool(row["forced"]),
        looked_to=row["looked_to"],
        until_id=row["until_id"],
        due=bool(row["due"]),
        dropped_images=row["dropped_images"],
        dropped_rows=row["dropped_rows"],
    )
