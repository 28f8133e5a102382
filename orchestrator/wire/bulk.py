"""Reviews by filter, and the jobs that large ones and large undos run as."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orchestrator.records import Decision, JobKind, JobState, RejectReason, SuggestionStatus
from orchestrator.wire.base import Answered, Id, ModelName, Moment, PageQuery, Probability, Sent
from orchestrator.wire.schemas import Failure, TagAnswer

MAX_NAMED = 1000

Ids = Annotated[tuple[Id, ...], Field(min_length=1, max_length=MAX_NAMED)]


class BulkFilter(Sent):
    """Which suggestions; all that is said must fit, and something must be. Explorations are left out: they
    are asked about one by one."""

    status: Literal[SuggestionStatus.PENDING] = Field(
        SuggestionStatus.PENDING, description="what is decided already is undone first"
    )
    min_confidence: float = Field(0, ge=0, le=1)
    tag_ids: Ids | None = Field(None, description="of these tags; an alias is a tag of its own")
    image_ids: Ids | None = None
    model: ModelName | None = Field(None, description="that a version of this model decided")

    @model_validator(mode="after")
    def _names_something(self) -> "BulkFilter":
        if not self.min_confidence and (self.tag_ids, self.image_ids, self.model) == (None, None, None):
            raise ValueError("a filter that names nothing would decide everything")
        return self


class BulkReviewRequest(Sent):
    """A decision on all that a filter finds. Without `confirmation` it is a look and changes nothing."""

    decision: Decision
    reason: RejectReason | None = Field(None, description="of a rejection; `wrong` unless given")
    note: str | None = Field(None, max_length=500, description="needed with the reason `other`")
    filter: BulkFilter
    confirmation: str | None = Field(
        None, min_length=1, max_length=1000, description="of a look at this very decision and filter"
    )

    @model_validator(mode="after")
    def _reasons_fit(self) -> "BulkReviewRequest":
        if self.decision is Decision.APPROVE and (self.reason is not None or self.note is not None):
            raise ValueError("reason and note go with a rejection only")
        if self.reason is RejectReason.OTHER and not (self.note or "").strip():
            raise ValueError("the reason 'other' needs a note")
        return self


class JobsQuery(PageQuery):
    """Which jobs. Who may not review by filter sees only their own."""

    mine: bool = Field(False, description="only the caller's own")


class SamplesQuery(PageQuery):
    """Which samples of a job."""


class SelectedSuggestion(Answered):
    """A suggestion that a filter finds. `decided_by`: who decided it since, null while it is pending."""

    id: int
    image_id: int
    file: str
    spoiler: bool
    tag: TagAnswer
    status: SuggestionStatus
    confidence: Probability
    model_name: str
    model_version: int
    version: int
    decided_by: str | None


class BulkLook(Answered):
    """What a decision by filter would decide: how many, and a few of them. `at_once`: within the request that
    confirms it; else as a job. `confirmation`: to be sent back with the same decision and filter until
    `expires_at`; null when there is nothing to decide."""

    count: int
    at_once: bool
    samples: tuple[SelectedSuggestion, ...]
    confirmation: str | None
    expires_at: Moment | None


class JobAnswer(Answered):
    """A job. `total`: rows when it was asked for; `processed`: seen to so far; `changed`: decided, or
    restored by an undo; `sampled`: marked to be looked at again. `progress` is 0 … 1. `eta_seconds`: at the
    pace so far, null while that is unknown. All that it does is the batch `batch_id`; `undoes`: the batch
    that it takes back. A cancelled or failed one keeps what it has done."""

    id: int
    kind: JobKind
    state: JobState
    by: str
    batch_id: int
    undoes: int | None
    total: int
    processed: int
    changed: int
    sampled: int
    progress: Probability
    eta_seconds: float | None
    failure: Failure | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class BulkReviewAnswer(Answered):
    """A look, or the job that a confirmed decision is."""

    look: BulkLook | None
    job: JobAnswer | None


class JobPage(Answered):
    """Jobs, the newest first."""

    items: tuple[JobAnswer, ...]
    next_cursor: str | None


class SamplePage(Answered):
    """Rows of a job that somebody should look at again, by id."""

    items: tuple[SelectedSuggestion, ...]
    next_cursor: str | None
