"""Leases on pending suggestions: who has been handed what, and until when."""

from pydantic import Field

from orchestrator.records import QueueOrder
from orchestrator.wire.base import Answered, Id, ModelName, Moment, PageQuery, Sent
from orchestrator.wire.queues import HeldBy, QueuedSuggestion
from orchestrator.wire.schemas import TagAnswer


class ClaimRequest(Sent):
    """What to be handed: up to `limit` rows of a tag that nobody holds, or the whole tag."""

    tag_id: Id
    whole_tag: bool = Field(False, description="all of the tag, while nobody else holds any of it")
    limit: int = Field(50, ge=1, le=200)
    order: QueueOrder = QueueOrder.CONFIDENCE
    min_confidence: float = Field(0, ge=0, le=1)
    model: ModelName | None = None
    explorations: bool = True


class LeasesQuery(PageQuery):
    """Which leases of those that have not run out."""

    tag_id: Id | None = None
    mine: bool = Field(False, description="only the caller's own")


class LeaseAnswer(Answered):
    """A lease. `rows`: pending suggestions that it holds; `mine`: the caller's."""

    id: int
    tag: TagAnswer
    holder: str
    mine: bool
    whole_tag: bool
    rows: int
    created_at: Moment
    expires_at: Moment


class LeasePage(Answered):
    """Leases that have not run out, the newest first."""

    items: tuple[LeaseAnswer, ...]
    next_cursor: str | None


class ClaimAnswer(Answered):
    """What the caller was handed. `lease` is null when there was nothing to hand out; `held`: what others
    hold of the tag, so that nobody takes that for a finished tag. The items of a whole tag are in its queue.
    """

    lease: LeaseAnswer | None
    items: tuple[QueuedSuggestion, ...]
    held: tuple[HeldBy, ...]


class Released(Answered):
    """A lease is over. `rows`: pending suggestions that others may be handed now; 0 when it had run out."""

    id: int
    rows: int
