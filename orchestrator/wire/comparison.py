"""Two versions of a model beside each other, for engineers. M is the one before, N the one after."""

from typing import Literal

from pydantic import Field

from orchestrator.records import LabelCategory, TagType
from orchestrator.wire.base import LARGEST_VERSION, Answered, Id, Probability, Sent
from orchestrator.wire.schemas import TagAnswer

MOST_IMAGES = 5_000
"""Images that are compared while somebody waits for the answer."""


class ComparisonQuery(Sent):
    """With which version, on how many images, and how much to tell."""

    before: int | None = Field(
        None, ge=1, le=LARGEST_VERSION, description="M; the active version unless said"
    )
    images: int = Field(1_000, ge=1, le=MOST_IMAGES, description="at most so many, the newest that both saw")
    tags: int = Field(100, ge=0, le=1_000, description="so many of the tags and labels that differ most")
    changed: int = Field(24, ge=0, le=100, description="so many of the images that differ most")


class EstimateAnswer(Answered):
    """A number, and the ends of its 95 % interval; null where too few images are judged."""

    value: float
    low: float | None
    high: float | None


class QualityAnswer(Answered):
    """Of one version; null where there is nothing to say it by. `precision`: of its suggestions that people
    approved or rejected, the share approved. `recall`: of the tags on the images that either version can say,
    the share it says. `unprompted`: recall of those that nobody approved a suggestion for."""

    precision: EstimateAnswer | None
    recall: EstimateAnswer | None
    unprompted: EstimateAnswer | None
    f1: EstimateAnswer | None


class PairedAnswer(Answered):
    """Both versions on the same `judged` images. `f1_difference`: N less M."""

    judged: int
    m: QualityAnswer
    n: QualityAnswer
    f1_difference: EstimateAnswer | None


class AgreementAnswer(Answered):
    """How many suggestions both versions make, or one alone. `share`: of all, those that both make."""

    both: int
    only_m: int
    only_n: int
    share: Probability


class QueueDifference(Answered):
    """How many suggestions people would be shown because of N and not of M, and the other way round."""

    added: int
    dropped: int


class TypeComparisonAnswer(Answered):
    """The tags of a type."""

    type: TagType
    agreement: AgreementAnswer
    queue: QueueDifference
    quality: PairedAnswer


class TagComparisonAnswer(Answered):
    """One tag."""

    tag: TagAnswer
    agreement: AgreementAnswer
    queue: QueueDifference
    quality: PairedAnswer


class DriftAnswer(Answered):
    """How scores moved from M to N. `pairs`: of an image and a label; `change`: the mean of N less M;
    `spread`: the mean of its amount."""

    pairs: int
    change: float
    spread: float


class LabelDriftAnswer(Answered):
    """A label that both versions have, and the tag that it means, if any."""

    name: str
    category: LabelCategory
    tag: TagAnswer | None
    drift: DriftAnswer


class CategoryDriftAnswer(Answered):
    """The labels of a category. `histogram`: pairs by N less M, 40 steps of 0.05 from -1 to 1. `only_m`,
    `only_n`: labels that the other version does not have."""

    category: LabelCategory
    drift: DriftAnswer
    histogram: tuple[int, ...]
    only_m: int
    only_n: int


class CurvePointAnswer(Answered):
    """Both versions, if this floor held for every label; null where nothing judged reaches it."""

    threshold: Probability
    precision_m: float | None
    recall_m: float | None
    precision_n: float | None
    recall_n: float | None


class CurveAnswer(Answered):
    """Precision and recall by threshold. `type`: of which tags; null: of all."""

    type: TagType | None
    points: tuple[CurvePointAnswer, ...]


class ChangedTagAnswer(Answered):
    """A tag that only one of the versions says, and what people said of it; null: nothing yet."""

    tag: TagAnswer
    confidence: Probability
    said: Literal["approved", "applied", "rejected"] | None


class ChangedImageAnswer(Answered):
    """An image. `added`: what only N says of it; `dropped`: what only M says."""

    image_id: Id
    added: tuple[ChangedTagAnswer, ...]
    dropped: tuple[ChangedTagAnswer, ...]


class ComparisonAnswer(Answered):
    """Versions `m` and `n` of a model. `images`: that both have looked at; `same`: those of which both say
    the same. Tags and images that differ most come first, labels that moved most, too."""

    name: str
    m: int
    n: int
    images: int
    same: int
    agreement: AgreementAnswer
    queue: QueueDifference
    quality: PairedAnswer
    types: tuple[TypeComparisonAnswer, ...]
    tags: tuple[TagComparisonAnswer, ...]
    categories: tuple[CategoryDriftAnswer, ...]
    labels: tuple[LabelDriftAnswer, ...]
    curves: tuple[CurveAnswer, ...]
    changed: tuple[ChangedImageAnswer, ...]
