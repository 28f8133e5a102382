"""What an operator asks of the database: its schema, its clock, what failed and why."""

from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.records import Image, ImageState
from orchestrator.store import images
from orchestrator.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many images failed for one reason; `example` is the newest of them."""

    code: str
    images: int
    example: int


async def server_version(tx: Transaction) -> str:
    """Return what the server calls itself."""
    row = await tx.fetch_one("SELECT VERSION() AS version")
    return "" if row is None else str(row["version"])


async def clock(tx: Transaction) -> datetime:
    """Return the server's time, in UTC."""
    row = await tx.fetch_one("SELECT UTC_TIMESTAMP(6) AS now")
    if row is None:
        raise RuntimeError("SELECT without FROM returned no row")
    return row["now"].replace(tzinfo=UTC)  # type: ignore[no-any-return]


async def schema_revision(tx: Transaction) -> str | None:
    """Return the migration that the schema is at; None when it was never migrated."""
    found = await tx.fetch_one(
        "SELECT 1 AS there FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name = 'alembic_version'"
    )
    if found is None:
        return None
    row = await tx.fetch_one("SELECT version_num FROM alembic_version")
    return None if row is None else str(row["version_num"])


async def failures(tx: Transaction) -> tuple[FailureCount, ...]:
    """Return why images failed, the most frequent reason first."""
    rows = await tx.fetch_all(
        "SELECT failure_code, COUNT(*) AS amount, MAX(id) AS example FROM images"
        " WHERE state = 'failed' GROUP BY failure_code ORDER BY amount DESC, failure_code"
    )
    return tuple(FailureCount(row["failure_code"], int(row["amount"]), int(row["example"])) for row in rows)


async def failed_images(tx: Transaction, *, code: str | None = None, limit: int = 100) -> tuple[Image, ...]:
    """Return failed images, newest first, of one reason or of all."""
    rows = await tx.fetch_rows(
        "SELECT id FROM images WHERE state = :state AND (:code IS NULL OR failure_code = :code)"
        " ORDER BY id DESC LIMIT :limit",
        state=ImageState.FAILED,
        code=code,
        limit=limit,
    )
    return tuple([await images.get(tx, row[0]) for row in rows])
