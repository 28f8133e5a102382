"""What the rules of the day would change of one image's pending suggestions: pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.records import ImageContext, ProposedSuggestion, RawPrediction, SuggestionStatus
from orchestrator.store.remaps import Changes, StoredImage, StoredSuggestion, of_evidence
from orchestrator.tagging.plan import TaggingPlan
from orchestrator.tagging.resolve import resolve


@dataclass(frozen=True, slots=True)
class Difference:
    """Tags whose pending suggestion would come, go, or get other scores. `evidence`: only that differs."""

    added: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()
    updated: frozenset[int] = frozenset()
    evidence: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.updated or self.evidence)

    @property
    def changes(self) -> Changes:
        """The same as numbers, of one image."""
        return Changes(int(bool(self)), len(self.added), len(self.removed), len(self.updated))


UNTOUCHED = Difference()


class Seen(Protocol):
    """An image, which versions looked at it, and what they scored."""

    @property
    def seen_by(self) -> frozenset[int]:
        """The versions that looked."""

    @property
    def raw(self) -> tuple[RawPrediction, ...]:
        """What is stored of any versions."""


def proposals(plan: TaggingPlan, image: StoredImage) -> tuple[ProposedSuggestion, ...]:
    """Return what the rules propose on an image, by tag; explorations with them."""
    context = ImageContext(has_alpha=image.has_alpha, applied=image.applied, sha256=image.sha256)
    resolution = resolve(plan, context, heard(plan, image))
    return (*resolution.suggestions, *resolution.explorations)


def heard(plan: TaggingPlan, image: Seen) -> tuple[RawPrediction, ...]:
    """Return the scores that count: of each model those of the foremost version that looked, which is the
    active one if it has. One that looked and saw nothing outdoes an older one that saw something."""
    foremost: dict[str, int] = {}
    known = (plan.versions[one] for one in image.seen_by if one in plan.versions)
    for version in sorted((one for one in known if one.proposes), key=lambda one: one.precedence):
        foremost.setdefault(version.model.name, version.model.id)
    kept = frozenset(foremost.values())
    return tuple(one for one in image.raw if one.model_version_id in kept)


def is_known(plan: TaggingPlan, image: StoredImage) -> bool:
    """Whether a version that the plan knows has looked at the image. What others said of it is left alone:
    the rules can say nothing of it."""
    return not image.seen_by.isdisjoint(plan.versions)


def difference(plan: TaggingPlan, image: StoredImage) -> Difference:
    """Compare what stands with what the rules propose. Decided suggestions ask for nothing."""
    if not is_known(plan, image):
        return UNTOUCHED
    wanted = {one.tag_id: one for one in proposals(plan, image)}
    stored = {one.tag_id: one for one in image.suggestions}
    pending = {tag for tag, one in stored.items() if one.status is SuggestionStatus.PENDING}
    return Difference(
        added=frozenset(wanted.keys() - stored.keys()),
        removed=frozenset(pending - wanted.keys()),
        updated=frozenset(tag for tag in pending & wanted.keys() if _differs(stored[tag], wanted[tag])),
        evidence=any(_lacks(stored[tag], one) for tag, one in wanted.items() if tag in stored),
    )


def _differs(stored: StoredSuggestion, wanted: ProposedSuggestion) -> bool:
    return (
        stored.score,
        stored.confidence,
        stored.model_version_id,
        stored.inferred,
        stored.exploration,
    ) != (wanted.score, wanted.confidence, wanted.model_version_id, wanted.inferred, wanted.exploration)


def _lacks(stored: StoredSuggestion, wanted: ProposedSuggestion) -> bool:
    """Whether evidence is to be stored: pending rows keep what speaks for them now, decided ones all."""
    now = {of_evidence(one) for one in wanted.evidence}
    if stored.status is SuggestionStatus.PENDING:
        return now != stored.evidence
    return not now <= stored.evidence


def total(differences: Iterable[Difference]) -> Changes:
    """Add up."""
    return sum((one.changes for one in differences), Changes())
