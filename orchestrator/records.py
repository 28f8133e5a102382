"""The records that pass between stages: frozen, typed, without behaviour beyond their own arithmetic.

Scores and confidences travel as integers in ten-thousandths (0 … 10,000), as they are stored: a FLOAT
never compares equal, so neither keyset pages nor thresholds could rely on one. `as_score` and
`as_probability` convert at the two edges (Triton's output, the API's JSON).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SCORE_ONE = 10_000
TITLE_LENGTH = 255
"""Characters of a tag's title."""
MAX_TAGS = 500
"""Tags that one act of tagging may name."""

Uint8Tensor = NDArray[np.uint8]
Float32Tensor = NDArray[np.float32]


def as_score(probability: float) -> int:
    """Return a probability in 0 … 1 as ten-thousandths, rounded to the nearest."""
    return round(probability * SCORE_ONE)


def as_probability(score: int) -> float:
    """Return ten-thousandths as a probability in 0 … 1."""
    return score / SCORE_ONE


class Role(StrEnum):
    """What a user may do (DESIGN 2, role table)."""

    UPLOADER = "uploader"
    TAGGER = "tagger"
    MODERATOR = "moderator"
    ENGINEER = "engineer"
    ADMIN = "admin"


class SourceKind(StrEnum):
    """Where an image's bytes are."""

    URL = "url"
    PATH = "path"
    BLOB = "blob"


class ImageState(StrEnum):
    """Where an image stands in the pipeline; the database row is the truth. IMPORTED: outside of it, until
    somebody asks for an analysis."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    IMPORTED = "imported"


class Eligibility(StrEnum):
    """What the board says of an image."""

    ACTIVE = "active"
    SPOILER = "spoiler"
    REPOST = "repost"
    DELETED = "deleted"


class TagType(StrEnum):
    """The board's four kinds of tags."""

    THEME = "theme"
    CHARACTER = "character"
    SOURCE = "source"
    ARTIST = "artist"


class LabelCategory(StrEnum):
    """What a model's label speaks of; thresholds differ by category."""

    GENERAL = "general"
    CHARACTER = "character"
    RATING = "rating"
    BOARD = "board"


class Vocabulary(StrEnum):
    """Whose names a model's labels are: Danbooru's (mappings apply) or the board's tag ids."""

    DANBOORU = "danbooru"
    BOARD = "board"


class VersionState(StrEnum):
    """Life of a model version: checked; looking without a say; in use; no longer in use; gone for good."""

    STAGED = "staged"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"
    REMOVED = "removed"


class FloorWord(StrEnum):
    """What people may say of a threshold beside a number: nothing, so that the version's own advice or the
    settings count; or that the label or category is switched off."""

    DEFAULT = "default"
    OFF = "off"


Floor = int | FloorWord
"""What people say of a threshold: a score in ten-thousandths, or a word."""


class RawPolicy(StrEnum):
    """Which raw predictions of a version are kept."""

    KEEP = "keep"
    NEWEST = "newest"
    DROP = "drop"


class MappingAction(StrEnum):
    """What a mapping does with an external tag."""

    MAP = "map"
    IGNORE = "ignore"


class MappingFault(StrEnum):
    """What may be wrong with a mapping. `unknown_name`: no active version says its external tag."""

    UNKNOWN_NAME = "unknown_name"
    TAG_GONE = "tag_gone"
    TAG_IS_ALIAS = "tag_is_alias"
    CONTRADICTION = "contradiction"


class SuggestionStatus(StrEnum):
    """State of a suggestion. `cleared`: made redundant by a verdict on another; undo brings it back."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    CLEARED = "cleared"


class Decision(StrEnum):
    """What a reviewer says of a suggestion."""

    APPROVE = "approve"
    REJECT = "reject"


class RejectReason(StrEnum):
    """Why a suggestion was rejected."""

    WRONG = "wrong"
    REDUNDANT = "redundant"
    NOT_WANTED = "not_wanted"
    OTHER = "other"


class Priority(StrEnum):
    """Queue, worker group and Triton priority of a piece of work."""

    LIVE = "live"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class User:
    """A person or program with a token."""

    id: int
    external_id: int | None
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class ImageSource:
    """`location`: a URL, an absolute path, or a blob's key (its SHA-256 in hex), by `kind`."""

    kind: SourceKind
    location: str


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a picture becomes a square. `pad_colour`: RGB 0–255. `filter`: Pillow's name in lower case."""

    size: int = 448
    pad_colour: tuple[int, int, int] = (255, 255, 255)
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """A picture's bytes as they arrived; `sha256` in hex."""

    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A decoded picture, ready for every model: one UINT8 RGB HWC tensor [S, S, 3] a geometry.

    `width` and `height` are the picture's own, after EXIF orientation. `has_alpha`: at least one pixel
    is not opaque.
    """

    tensors: Mapping[Geometry, Uint8Tensor]
    width: int
    height: int
    has_alpha: bool
    media_type: str


@dataclass(frozen=True, slots=True)
class Label:
    """One output of a model. `name`: a Danbooru tag, or a board tag's external id in decimal."""

    index: int
    name: str
    category: LabelCategory


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Raw-score floors of a version in ten-thousandths; `None` for a category that is switched off."""

    general: int | None
    character: int | None
    board: int | None
    by_label: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model version that workers pin. `id` is the row's, `version` the folder's number.

    `source` is what suggestions show as `model_source`: `danbooru` or `custom_theme`.
    `priority`: the lower number wins when several models propose one tag (DESIGN 5). `retired_at`: of a
    retired one, since when it is.
    """

    id: int
    name: str
    version: int
    state: VersionState
    source: str
    vocabulary: Vocabulary
    geometry: Geometry
    labels: tuple[Label, ...]
    thresholds: Thresholds
    priority: int
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ModelScores:
    """One version's answer for one image: float32 probabilities [L], 0 … 1, in label order."""

    model: ServedModel
    probabilities: Float32Tensor


@dataclass(frozen=True, slots=True)
class RawPrediction:
    """A stored raw score: at least the storage floor, in ten-thousandths."""

    model_version_id: int
    label: int
    score: int


@dataclass(frozen=True, slots=True)
class Tag:
    """A board tag. `alias_of` points to the canonical tag, `parent_id` to the next more general one."""

    id: int
    external_id: int | None
    title: str
    type: TagType
    alias_of: int | None = None
    parent_id: int | None = None


@dataclass(frozen=True, slots=True)
class TagMapping:
    """External tag → board tag. `weight` in ten-thousandths; `tag_id` is `None` for `ignore`."""

    id: int
    source: str
    external_tag: str
    action: MappingAction
    tag_id: int | None
    weight: int = SCORE_ONE


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a suggestion stands: which version, label, mapping and raw score."""

    model_version_id: int
    label: int
    external_tag: str
    mapping_id: int | None
    score: int


@dataclass(frozen=True, slots=True)
class ProposedSuggestion:
    """A tag proposed for an image by the rules; evidence strongest first. Scores in ten-thousandths.

    `score` and `model_version_id` are those of the deciding model. `inferred`: a character's source.
    `exploration`: just below the threshold, to learn what lies there.
    """

    tag_id: int
    score: int
    confidence: int
    model_source: str
    model_version_id: int
    evidence: tuple[Evidence, ...]
    inferred: bool = False
    exploration: bool = False


@dataclass(frozen=True, slots=True)
class PriorityRule:
    """Which models go first where several speak of one tag: by name, the first before the second, and all
    that are not named after them. Of one tag (`tag_id`), or of all of a type that have no rule of their own.
    """

    models: tuple[str, ...]
    tag_type: TagType | None = None
    tag_id: int | None = None


@dataclass(frozen=True, slots=True)
class RuleInputs:
    """All that the rules of DESIGN 5 rest on, as the store holds it at rules version `version`.

    `character_sources`: (character tag id, source tag id). `models`: every version whose raw scores may
    count, active ones first by priority.
    """

    version: int
    tags: tuple[Tag, ...]
    mappings: tuple[TagMapping, ...]
    character_sources: tuple[tuple[int, int], ...]
    models: tuple[ServedModel, ...]
    priorities: tuple[PriorityRule, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageContext:
    """What the rules need to know of one image. `applied`: ids of the canonical tags linked to it.

    `sha256`: of its picture, in hex; None for one that is not stored: nothing is explored on it.
    """

    has_alpha: bool
    applied: frozenset[int]
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class UnmappedTag:
    """An external tag above its threshold that no mapping speaks of."""

    source: str
    external_tag: str
    score: int


@dataclass(frozen=True, slots=True)
class VersionRating:
    """A version's arg max over its rating labels: stored, never applied."""

    model_version_id: int
    rating: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the rules made of one image's scores. `explorations`: a few tags just below their thresholds."""

    suggestions: tuple[ProposedSuggestion, ...]
    unmapped: tuple[UnmappedTag, ...]
    ratings: tuple[VersionRating, ...]
    explorations: tuple[ProposedSuggestion, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimedImage:
    """An image that this worker has claimed; `token` must still match when it is finished."""

    id: int
    source: ImageSource
    token: str
    attempts: int
    priority: Priority


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that one run of the pipeline learned of one image, to be stored in one transaction."""

    sha256: str
    width: int
    height: int
    has_alpha: bool
    media_type: str
    model_version_ids: tuple[int, ...]
    raw: tuple[RawPrediction, ...]
    ratings: tuple[VersionRating, ...]


@dataclass(frozen=True, slots=True)
class ImageFailure:
    """Why an image failed: `code` from errors.py, `detail` for a person."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image's row, as the services show it."""

    id: int
    external_id: int | None
    source: ImageSource
    uploader_id: int
    uploader_name: str
    eligibility: Eligibility
    state: ImageState
    attempts: int
    failure: ImageFailure | None
    sha256: str | None
    width: int | None
    height: int | None
    has_alpha: bool | None
    media_type: str | None
    created_at: datetime
    analysed_at: datetime | None


@dataclass(frozen=True, slots=True)
class RegisteredImage:
    """Answer to a registration: `created` is false when the same external id or key was known."""

    id: int
    state: ImageState
    created: bool


@dataclass(frozen=True, slots=True)
class SuggestionView:
    """A suggestion as people see it. Scores in ten-thousandths; `version` is the row's."""

    id: int
    image_id: int
    tag: Tag
    status: SuggestionStatus
    score: int
    confidence: int
    model_source: str
    model_name: str
    model_version: int
    version: int
    inferred: bool
    evidence: tuple["EvidenceView", ...]
    decided_by: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """One version's evidence, named for people. `decides`: score and confidence of the suggestion are its."""

    model_name: str
    model_version: int
    external_tag: str
    score: int
    decides: bool


@dataclass(frozen=True, slots=True)
class SuggestionCounts:
    """Counts by state of one image's suggestions."""

    pending: int
    approved: int
    rejected: int


@dataclass(frozen=True, slots=True)
class VerdictRequest:
    """One decision; valid only while the row is still at `version`."""

    suggestion_id: int
    version: int
    decision: Decision
    reason: RejectReason | None = None
    note: str | None = None


class VerdictOutcome(StrEnum):
    """What became of a verdict. `unchanged`: the row already stands so by the same person."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class VerdictResult:
    """What really happened to one suggestion; `decided_by`/`decided_at` say who holds the row now.

    `tag` is the canonical tag of an approved row. `linked`: this verdict made the link; `already_linked`: it
    was there; `alias_resolved`: the suggestion spoke of an alias. `cleared` are suggestions that this verdict
    made redundant.
    """

    suggestion_id: int
    outcome: VerdictOutcome
    status: SuggestionStatus | None
    version: int | None
    tag: Tag | None
    linked: bool
    cleared: tuple[int, ...]
    decided_by: str | None
    decided_at: datetime | None
    already_linked: bool = False
    alias_resolved: bool = False


@dataclass(frozen=True, slots=True)
class ReviewOutcome:
    """Answer to a review: results in the order asked, `batch_id` of the undoable batch.

    `counts`: of the image's suggestions, where the review was of one image.
    """

    batch_id: int | None
    results: tuple[VerdictResult, ...]
    counts: SuggestionCounts | None


class UndoneAs(StrEnum):
    """What became of one line of an undone batch.

    `restored`: as before the verdict. `redundant`: not decided any more, but its tag is on the image by other
    means, so nobody is asked. `superseded`: somebody has acted on it since, and it is left as it is.
    """

    RESTORED = "restored"
    REDUNDANT = "redundant"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class UndoResult:
    """What really happened to one suggestion of an undone batch. `unlinked`: its tag went from the image."""

    suggestion_id: int
    outcome: UndoneAs
    status: SuggestionStatus | None
    version: int | None
    unlinked: bool
    decided_by: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class UndoOutcome:
    """Answer to an undo, in the order of the log. `batch_id` is the undo's own; None when nothing changed."""

    batch_id: int | None
    undone_batch_id: int
    results: tuple[UndoResult, ...]


class QueueOrder(StrEnum):
    """`uncertainty`: confidences nearest to one half first."""

    CONFIDENCE = "confidence"
    UNCERTAINTY = "uncertainty"
    NEWEST = "newest"


class Held(StrEnum):
    """Which rows, by who holds them. `free`: not held by anybody else; `mine`: held by the caller."""

    ANY = "any"
    FREE = "free"
    MINE = "mine"


class JobKind(StrEnum):
    """What a job does: judge by filter, or take a batch back."""

    BULK = "bulk"
    UNDO = "undo"


class JobState(StrEnum):
    """Where a job stands. What a cancelled or failed one has done stays, and can be taken back."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class RunState(StrEnum):
    """Where a backfill or a re-map stands. What a paused or cancelled one has done stays."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"


class Dimension(StrEnum):
    """By what statistics are told apart. `bucket`: steps of 0.05 of the confidence."""

    TOTAL = "total"
    MODEL = "model"
    TYPE = "type"
    TAG = "tag"
    BUCKET = "bucket"
    REVIEWER = "reviewer"
    DAY = "day"
