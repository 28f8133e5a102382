"""What requests and answers are made of.

Scores and confidences are floats 0 … 1, times RFC 3339 in UTC, ids integers.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

FIRST_YEAR, LAST_YEAR = 1971, 9000
MODEL_NAME = r"^[a-z][a-z0-9_]{0,63}$"
LARGEST_VERSION = 2**31 - 1
MAX_ID = 2**63 - 1
MAX_DECISIONS = 500

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
ModelName = Annotated[str, Field(pattern=MODEL_NAME)]
Probability = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _of_our_time(moment: datetime) -> datetime:
    """Refuse what no picture was uploaded at, and no database's column holds in every time zone."""
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"a moment is in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment


Uploaded = Annotated[AwareDatetime, AfterValidator(_of_our_time)]


class Sent(BaseModel):
    """A request: unknown fields are refused, numbers are not guessed from text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(Sent):
    """Keyset paging."""

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before")


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[
    AwareDatetime,
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Answered(BaseModel):
    """A response."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)
