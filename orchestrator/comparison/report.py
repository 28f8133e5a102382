"""What a comparison of two versions found. M is the one before, N the one that may take its place."""

from dataclasses import dataclass

from orchestrator.comparison.estimate import Estimate, Kind, Paired
from orchestrator.records import LabelCategory, Tag, TagType


@dataclass(frozen=True, slots=True)
class Agreement:
    """Tags that both versions, or one of them, say of an image, summed over images."""

    both: int = 0
    only_m: int = 0
    only_n: int = 0

    @property
    def share(self) -> float:
        """Of all that is said, the share that both say; 1 where nothing is said."""
        said = self.both + self.only_m + self.only_n
        return self.both / said if said else 1.0


@dataclass(frozen=True, slots=True)
class Queue:
    """Suggestions that people would be shown because of N and not of M, and the other way round."""

    added: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class TagComparison:
    """One tag under both versions."""

    tag: Tag
    agreement: Agreement
    queue: Queue
    paired: Paired


@dataclass(frozen=True, slots=True)
class TypeComparison:
    """All tags of a type under both versions."""

    type: TagType
    agreement: Agreement
    queue: Queue
    paired: Paired


@dataclass(frozen=True, slots=True)
class Drift:
    """How the scores of labels moved from M to N, 0 … 1, over images where either is stored; a score below
    the storage floor counts as 0. `change`: the mean of N less M; `spread`: the mean of its amount."""

    pairs: int
    change: float
    spread: float


@dataclass(frozen=True, slots=True)
class LabelDrift:
    """The drift of a label that both versions have. `tag`: what M's rules make of it, None for nothing."""

    name: str
    category: LabelCategory
    tag: Tag | None
    drift: Drift


@dataclass(frozen=True, slots=True)
class CategoryDrift:
    """The drift of a category's labels. `histogram`: pairs by N less M in steps of 0.05 from -1 to 1, 40 of
    them. `only_m`, `only_n`: labels that the other version does not have."""

    category: LabelCategory
    drift: Drift
    histogram: tuple[int, ...]
    only_m: int
    only_n: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Both versions if one floor (0 … 1) held for every label. None: nothing judged reaches it."""

    threshold: float
    precision_m: float | None
    recall_m: float | None
    precision_n: float | None
    recall_n: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision and recall by threshold, of the tags of a type; None: of all."""

    type: TagType | None
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True)
class ChangedTag:
    """A tag that only one of the versions says of an image, with its confidence in ten-thousandths, and what
    people said of it, None for nothing."""

    tag: Tag
    confidence: int
    said: Kind | None


@dataclass(frozen=True, slots=True)
class ChangedImage:
    """An image, the tags that only N says, and those that only M says, the surest first."""

    image_id: int
    added: tuple[ChangedTag, ...]
    dropped: tuple[ChangedTag, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Versions M and N of a model on `images`, that both have looked at.

    `same`: images of which both say the same. `tags`: of which either says something or people judged
    something, those that differ most first. `changed`: images that differ most, those first. How quality is
    measured, and what it cannot tell, is in docs/comparing-models.md.
    """

    name: str
    m: int
    n: int
    images: int
    same: int
    agreement: Agreement
    queue: Queue
    paired: Paired
    types: tuple[TypeComparison, ...]
    tags: tuple[TagComparison, ...]
    categories: tuple[CategoryDrift, ...]
    labels: tuple[LabelDrift, ...]
    curves: tuple[Curve, ...]
    changed: tuple[ChangedImage, ...]

    @property
    def judged(self) -> int:
        """Images with a tag that people judged and one of the versions can say."""
        return self.paired.judged

    @property
    def f1_m(self) -> Estimate | None:
        """F1 of M; None where there is nothing to say it by."""
        return self.paired.m.f1

    @property
    def f1_n(self) -> Estimate | None:
        """F1 of N; None where there is nothing to say it by."""
        return self.paired.n.f1

    @property
    def f1_difference(self) -> Estimate | None:
        """F1 of N less M's on the same images."""
        return self.paired.f1_difference
