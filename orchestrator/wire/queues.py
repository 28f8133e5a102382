"""The queues of reviewers: tags with pending suggestions, and the pending suggestions of one tag."""

from pydantic import Field

from orchestrator.records import Held, QueueOrder, TagType
from orchestrator.wire.base import Answered, Id, ModelName, Moment, PageQuery, Probability
from orchestrator.wire.schemas import TagAnswer


class WorklistQuery(PageQuery):
    """Which tags."""

    type: TagType | None = None
    min_confidence: float = Field(
        0, ge=0, le=1, description="count from this confidence on, rounded down to a step of 0.05"
    )
    model: ModelName | None = Field(
        None, description="only tags with a pending suggestion of this model; all of theirs are counted"
    )
    search: str | None = Field(
        None, min_length=1, max_length=100, description="a part of the title, whatever its case"
    )


class QueueQuery(PageQuery):
    """Which pending suggestions of which tag, and in which order."""

    tag_id: Id
    order: QueueOrder = Field(QueueOrder.CONFIDENCE, description="`uncertainty`: nearest to one half first")
    min_confidence: float = Field(0, ge=0, le=1, description="explorations are below it by nature, and come")
    model: ModelName | None = Field(None, description="only those that a version of this model decided")
    explorations: bool = Field(True, description="mix in one row in twenty from just below the threshold")
    held: Held = Field(Held.ANY, description="`free`: what nobody else holds; `mine`: what the caller holds")


class HeldBy(Answered):
    """Somebody's lease. `rows`: pending suggestions that it holds."""

    lease_id: int
    holder: str
    whole_tag: bool
    rows: int
    expires_at: Moment


class WorklistItem(Answered):
    """A tag with pending suggestions. `held`: how many of all pending ones others hold, and who."""

    tag: TagAnswer
    pending: int
    held: int
    holders: tuple[HeldBy, ...]


class WorklistAnswer(Answered):
    """Tags, those with the most pending suggestions first. A page may be short: `next_cursor` says whether
    the list goes on."""

    items: tuple[WorklistItem, ...]
    next_cursor: str | None


class RowLease(Answered):
    """A lease on one suggestion. `mine`: the caller's."""

    holder: str
    mine: bool
    expires_at: Moment


class QueuedImageAnswer(Answered):
    """The image of a suggestion, and the tags that are linked to it."""

    id: int
    external_id: int | None
    uploader: str
    width: int | None
    height: int | None
    media_type: str | None
    spoiler: bool
    file: str
    tags: tuple[TagAnswer, ...]


class QueuedSuggestion(Answered):
    """A pending suggestion. `version` is the row's: a decision must name the one it was made on.
    `exploration`: its score is just below the threshold."""

    id: int
    image: QueuedImageAnswer
    confidence: Probability
    score: Probability
    model_source: str
    model_name: str
    model_version: int
    version: int
    inferred: bool
    exploration: bool
    created_at: Moment
    lease: RowLease | None


class QueueAnswer(Answered):
    """A page of a tag's pending suggestions. `pending`: of the tag in all; `held`: who else holds which part
    of them: no items with some held is no finished tag. A page may be short: `next_cursor` says whether the
    list goes on."""

    tag: TagAnswer
    items: tuple[QueuedSuggestion, ...]
    pending: int
    held: tuple[HeldBy, ...]
    next_cursor: str | None
