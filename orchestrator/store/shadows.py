"""Shadows: versions that score a share of the images beside the active ones, and what they scored.

A shadow's scores are raw predictions as any version's, and its analyses say which images it saw; neither is
ever proposed. A version is shadowed while its state says so; its row here stays as the record of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import Conflict
from orchestrator.records import RawPrediction, VersionState
from orchestrator.store import audit, models, outbox
from orchestrator.store.models import VersionRow
from orchestrator.store.rows import moment, moment_or_none
from orchestrator.store.transaction import Row, Transaction


@dataclass(frozen=True, slots=True)
class Shadow:
    """`share` in ten-thousandths. `images`, `failures`: how many it scored and could not. `note`: why a
    process held back last, or why it was stopped."""

    version_id: int
    name: str
    version: int
    state: VersionState
    share: int
    started_at: datetime
    images: int
    failures: int
    scored_at: datetime | None
    note: str | None
    noted_at: datetime | None

    @property
    def held_back(self) -> str | None:
        """Why nothing is scored now, as far as the last word of a process goes; None while it goes on."""
        if self.note is None or self.noted_at is None:
            return None
        return self.note if self.scored_at is None or self.scored_at < self.noted_at else None


_SHADOWS = (
    "SELECT s.*, v.name, v.version, v.state FROM shadows s JOIN model_versions v ON v.id = s.model_version_id"
)


async def all_shadows(tx: Transaction) -> dict[int, Shadow]:
    """Return every shadow that there is or was, by version id."""
    return {one.version_id: one for one in map(_shadow, await tx.fetch_all(_SHADOWS))}


async def running(tx: Transaction) -> list[Shadow]:
    """Return the shadows that are to score, by version id."""
    rows = await tx.fetch_all(f"{_SHADOWS} WHERE v.state = 'shadow' ORDER BY s.model_version_id")
    return [_shadow(row) for row in rows]


def check(row: VersionRow) -> None:
    """Raise Conflict (`version_in_use`, `version_removed`) for a version that cannot be a shadow."""
    if row.state is VersionState.ACTIVE:
        raise Conflict(f"{row.name} {row.version} is active: it looks at every image", code="version_in_use")
    if row.state is VersionState.REMOVED:
        raise Conflict(f"{row.name} {row.version} was removed; publish it anew", code="version_removed")


async def begin(tx: Transaction, version_id: int, share: int) -> None:
    """Have a version score a share of the images; one that does so already gets another share.

    Its counts begin anew only with a first time. Raises NotFound, Conflict (`version_in_use` for an active
    version, `version_removed`).
    """
    row = await models.lock_one(tx, version_id)
    check(row)
    await _set_state(tx, row, VersionState.SHADOW)
    await tx.execute(
        "INSERT INTO shadows (model_version_id, share) VALUES (:id, :share)"
        " ON DUPLICATE KEY UPDATE share = VALUES(share), started_at = UTC_TIMESTAMP(6), note = NULL,"
        " noted_at = NULL",
        id=version_id,
        share=share,
    )


async def end(tx: Transaction, version_id: int, *, actor: str, note: str | None = None) -> bool:
    """Have a version score no more: it is staged again, or retired if it was active once.

    False when it did not score. `note`: why it shall not. Audit log and events say so. Raises NotFound.
    """
    row = await models.lock_one(tx, version_id)
    if row.state is not VersionState.SHADOW:
        return False
    await _set_state(tx, row, VersionState.STAGED if row.activated_at is None else VersionState.RETIRED)
    if note is not None:
        await hold_back(tx, version_id, note)
    await audit.add(
        tx,
        actor=actor,
        action="model.shadow_ended",
        subject=f"{row.name}/{row.version}",
        detail={"note": note},
    )
    event = {"name": row.name, "version": row.version, "actor": actor, "note": note}
    await outbox.add(tx, "model.shadow_ended", event)
    return True


async def _set_state(tx: Transaction, row: VersionRow, state: VersionState) -> None:
    await tx.execute(
        "UPDATE model_versions SET state = :state, loaded = TRUE WHERE id = :id", id=row.id, state=state
    )


async def hold_back(tx: Transaction, version_id: int, note: str) -> None:
    """Say why a process does not score now."""
    await tx.execute(
        "UPDATE shadows SET note = :note, noted_at = UTC_TIMESTAMP(6) WHERE model_version_id = :id",
        id=version_id,
        note=note[:200],
    )


async def count_failure(tx: Transaction, version_id: int) -> None:
    """Count an image that a shadow could not score."""
    await tx.execute("UPDATE shadows SET failures = failures + 1 WHERE model_version_id = :id", id=version_id)


async def store_scores(
    tx: Transaction,
    image_id: int,
    version_id: int,
    *,
    sha256: str,
    raw: Sequence[RawPrediction],
    rating: str | None,
) -> bool:
    """Store what a shadow saw in an image; nothing is suggested or counted as unmapped.

    False, and nothing is stored, when the version is no shadow any more, or the image is gone or has another
    picture by now. Locks the image first, as every writer of its scores.
    """
    image = await tx.fetch_rows(
        "SELECT id FROM images WHERE id = :id AND sha256 = :sha256 FOR UPDATE",
        id=image_id,
        sha256=bytes.fromhex(sha256),
    )
    still = await tx.fetch_rows(
        "SELECT id FROM model_versions WHERE id = :id AND state = 'shadow'", id=version_id
    )
    if not image or not still:
        return False
    known = await tx.fetch_rows(
        "SELECT image_id FROM analyses WHERE image_id = :image AND model_version_id = :version",
        image=image_id,
        version=version_id,
    )
    await tx.insert_many(
        "analyses",
        ("image_id", "model_version_id", "rating"),
        [(image_id, version_id, rating)],
        on_duplicate="rating = VALUES(rating), analysed_at = UTC_TIMESTAMP(6)",
    )
    await tx.execute(
        "DELETE FROM raw_predictions WHERE image_id = :image AND model_version_id = :version",
        image=image_id,
        version=version_id,
    )
    await tx.insert_many(
        "raw_predictions",
        ("image_id", "model_version_id", "label", "score"),
        sorted((image_id, one.model_version_id, one.label, one.score) for one in raw),
    )
    # Every process counts in this row, so it comes last.
    await tx.execute(
        "UPDATE shadows SET images = images + :new, scored_at = UTC_TIMESTAMP(6)"
        " WHERE model_version_id = :id",
        id=version_id,
        new=0 if known else 1,
    )
    return True


async def seen_by_both(tx: Transaction, first_id: int, second_id: int) -> int:
    """Return how many images two versions have both looked at."""
    ((found,),) = await tx.fetch_rows(
        "SELECT COUNT(*) FROM analyses a JOIN analyses b ON b.image_id = a.image_id"
        " AND b.model_version_id = :second WHERE a.model_version_id = :first",
        first=first_id,
        second=second_id,
    )
    return int(found)


def _shadow(row: Row) -> Shadow:
    return Shadow(
        version_id=row["model_version_id"],
        name=row["name"],
        version=row["version"],
        state=VersionState(row["state"]),
        share=row["share"],
        started_at=moment(row["started_at"]),
        images=row["images"],
        failures=row["failures"],
        scored_at=moment_or_none(row["scored_at"]),
        note=row["note"],
        noted_at=moment_or_none(row["noted_at"]),
    )
