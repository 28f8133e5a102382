"""Between rows and records: the conversions that every query module shares."""

from collections.abc import Collection
from datetime import UTC, datetime

from orchestrator.records import Tag, TagType
from orchestrator.store.transaction import Row

TAG_COLUMNS = "t.id AS tag_id, t.external_id AS tag_external_id, t.title, t.type, t.alias_of, t.parent_id"


def moment(value: datetime) -> datetime:
    """Return a DATETIME column's value, which is UTC without saying so, as an aware datetime."""
    return value.replace(tzinfo=UTC)


def moment_or_none(value: datetime | None) -> datetime | None:
    """Like `moment`, for nullable columns."""
    return None if value is None else moment(value)


def pair_table(
    pairs: Collection[tuple[int, int]], columns: str = "image_id, tag_id"
) -> tuple[str, dict[str, object]]:
    """Return a table of pairs for a statement, and its parameters; `pairs` is not empty.

    Joined in front (STRAIGHT_JOIN) it is a dive by key for each pair. With hundreds of pairs
    `(image_id, tag_id) IN (…)` takes twenty times as long, and locks more.
    """
    named = {f"pair_{number}": pair for number, pair in enumerate(sorted(set(pairs)))}
    values = ", ".join(f":{name}" for name in named)
    return f"(WITH p ({columns}) AS (VALUES {values}) SELECT * FROM p)", dict(named)  # noqa: S608


def tag(row: Row) -> Tag:
    """Build a tag from `TAG_COLUMNS`."""
    return Tag(
        id=row["tag_id"],
        external_id=row["tag_external_id"],
        title=row["title"],
        type=TagType(row["type"]),
        alias_of=row["alias_of"],
        parent_id=row["parent_id"],
    )
