"""What the API answers: frozen pydantic models.

Scores and confidences are floats 0 … 1, times RFC 3339 in UTC, ids integers.
"""

from pydantic import (
    ConfigDict,
)

from orchestrator.records import (
    Eligibility,
    ImageState,
    SourceKind,
    SuggestionStatus,
    TagType,
    UndoneAs,
    VerdictOutcome,
)
from orchestrator.wire.base import Answered, Moment, Probability, Sha256


class FieldError(Answered):
    """Where in the request something is wrong. `pointer`: a JSON pointer, or a parameter's name."""

    pointer: str
    detail: str


class Problem(Answered):
    """RFC 9457. `code` is stable; docs/errors.md explains each."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldError, ...] | None = None


class ImageLinks(Answered):
    """Where to go on from an image; paths on this host."""

    self: str
    file: str
    suggestions: str
    status: str


class Registered(Answered):
    """An image is registered. `created` is false when the external id was known before."""

    id: int
    external_id: int | None
    status: ImageState
    created: bool
    links: ImageLinks


class Failure(Answered):
    """Why an analysis failed, or why it is being tried again."""

    code: str
    detail: str


class ImageAnswer(Answered):
    """An image. Its size and hash are known once it has been analysed."""

    id: int
    external_id: int | None
    source: SourceKind
    uploader: str
    eligibility: Eligibility
    status: ImageState
    attempts: int
    failure: Failure | None
    sha256: Sha256 | None
    width: int | None
    height: int | None
    has_alpha: bool | None
    media_type: str | None
    created_at: Moment
    analysed_at: Moment | None
    links: ImageLinks


class ListedImage(ImageAnswer):
    """An image, and how many of its suggestions are pending."""

    pending: int


class ImagePage(Answered):
    """Images, newest first. A page may be short: `next_cursor` says whether the list goes on."""

    items: tuple[ListedImage, ...]
    next_cursor: str | None


class TagAnswer(Answered):
    """A tag of the board."""

    id: int
    external_id: int | None
    title: str
    type: TagType


class ImageDetail(ImageAnswer):
    """An image with the tags that are linked to it."""

    tags: tuple[TagAnswer, ...]


class EvidenceAnswer(Answered):
    """What a model version saw. `score` is the model's own; `decides`: the suggestion's score and confidence
    come from it."""

    model_name: str
    model_version: int
    external_tag: str
    score: Probability
    decides: bool


class SuggestionAnswer(Answered):
    """A suggestion. `version` is the row's: a decision must name the one it was made on."""

    id: int
    tag: TagAnswer
    status: SuggestionStatus
    confidence: Probability
    score: Probability
    model_source: str
    model_name: str
    model_version: int
    version: int
    inferred: bool
    evidence: tuple[EvidenceAnswer, ...]
    decided_by: str | None
    decided_at: Moment | None


class Counts(Answered):
    """Suggestions of one image by state."""

    pending: int
    approved: int
    rejected: int


class SuggestionPage(Answered):
    """Suggestions of one image, surest first, with the counts of all states whatever the filter."""

    items: tuple[SuggestionAnswer, ...]
    counts: Counts
    next_cursor: str | None


class ReviewResult(Answered):
    """What really happened to one suggestion; after a conflict, who holds the row and how it stands."""

    suggestion_id: int
    outcome: VerdictOutcome
    status: SuggestionStatus | None
    version: int | None
    tag: TagAnswer | None
    linked: bool
    already_linked: bool
    alias_resolved: bool
    cleared: tuple[int, ...]
    decided_by: str | None
    decided_at: Moment | None


class ReviewAnswer(Answered):
    """Results in the order asked. `batch_id` is null when nothing changed. `counts`: of the image's
    suggestions, null where the review was of many images."""

    batch_id: int | None
    results: tuple[ReviewResult, ...]
    counts: Counts | None


class ReviewProblem(Problem):
    """No decision went through: each result says why."""

    results: tuple[ReviewResult, ...]
    counts: Counts | None


class BatchAnswer(Answered):
    """What was done together. `undone_by`: the batch that took it back, or a part of it, last."""

    id: int
    kind: str
    by: str
    created_at: Moment
    undoes: int | None
    undone_by: int | None


class BatchPage(Answered):
    """Batches, the newest first."""

    items: tuple[BatchAnswer, ...]
    next_cursor: str | None


class UndoneSuggestion(Answered):
    """What became of one suggestion of a batch. `superseded` rows are as `decided_by` left them."""

    suggestion_id: int
    outcome: UndoneAs
    status: SuggestionStatus | None
    version: int | None
    unlinked: bool
    decided_by: str | None
    decided_at: Moment | None


class UndoAnswer(Answered):
    """Results in the order of the log. `batch_id`: of the undo itself, null when nothing changed."""

    batch_id: int | None
    undone_batch_id: int
    results: tuple[UndoneSuggestion, ...]


class Generating(Answered):
    """An analysis was asked for."""

    id: int
    status: ImageState
    links: ImageLinks


class StatusAnswer(Answered):
    """How far the analysis of an image is."""

    id: int
    status: ImageState
    attempts: int
    failure: Failure | None
    created_at: Moment
    analysed_at: Moment | None


class ModelAnswer(Answered):
    """A model version that looked."""

    name: str
    version: int
    source: str


class ProposedTag(Answered):
    """A tag that the models propose for a picture."""

    tag: TagAnswer
    confidence: Probability
    score: Probability
    model_source: str
    model_name: str
    model_version: int
    inferred: bool


class UnmappedAnswer(Answered):
    """A model's name that no mapping speaks of."""

    source: str
    external_tag: str
    score: Probability


class RatingAnswer(Answered):
    """A version's rating of the picture; never applied."""

    model_name: str
    model_version: int
    rating: str


class AnalysisAnswer(Answered):
    """What models and rules make of a picture. Nothing of it is stored."""

    sha256: Sha256
    width: int
    height: int
    has_alpha: bool
    media_type: str
    models: tuple[ModelAnswer, ...]
    suggestions: tuple[ProposedTag, ...]
    unmapped: tuple[UnmappedAnswer, ...]
    ratings: tuple[RatingAnswer, ...]
