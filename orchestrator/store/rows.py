"""Between rows and records: the conversions that every query module shares."""

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
