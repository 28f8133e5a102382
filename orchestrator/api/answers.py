"""From records to what goes over the wire."""

from collections.abc import Collection, Sequence

from pydantic import TypeAdapter

from orchestrator.pipeline.analyse import Analysed, NamedSuggestion
from orchestrator.records import (
    Image,
    ReviewOutcome,
    SuggestionCounts,
    SuggestionView,
    Tag,
    UndoOutcome,
    VerdictResult,
    as_probability,
)
from orchestrator.wire.schemas import (
    AnalysisAnswer,
    Counts,
    EvidenceAnswer,
    Failure,
    ImageAnswer,
    ImageDetail,
    ImageLinks,
    ListedImage,
    ModelAnswer,
    ProposedTag,
    RatingAnswer,
    ReviewAnswer,
    ReviewResult,
    StatusAnswer,
    SuggestionAnswer,
    TagAnswer,
    UndoAnswer,
    UndoneSuggestion,
    UnmappedAnswer,
)

PREFIX = "/api/v1"

_TAGS = TypeAdapter(list[TagAnswer])


def links(image_id: int) -> ImageLinks:
    """Return where to go on from an image."""
    base = f"{PREFIX}/images/{image_id}"
    return ImageLinks(
        self=base,
        file=f"{base}/file",
        suggestions=f"{base}/tag-suggestions",
        status=f"{base}/tag-suggestions/status",
    )


def failure(image: Image) -> Failure | None:
    """Return why an image failed, or `None`."""
    found = image.failure
    return None if found is None else Failure(code=found.code, detail=found.detail)


def image(found: Image) -> ImageAnswer:
    """Return an image; its address stays inside, for paths and keys are nobody's business."""
    return ImageAnswer(
        id=found.id,
        external_id=found.external_id,
        source=found.source.kind,
        uploader=found.uploader_name,
        eligibility=found.eligibility,
        status=found.state,
        attempts=found.attempts,
        failure=failure(found),
        sha256=found.sha256,
        width=found.width,
        height=found.height,
        has_alpha=found.has_alpha,
        media_type=found.media_type,
        created_at=found.created_at,
        analysed_at=found.analysed_at,
        links=links(found.id),
    )


def listed_image(found: Image, pending: int) -> ListedImage:
    """Return an image of a list."""
    return ListedImage(**dict(image(found)), pending=pending)


def image_detail(found: Image, tags: Sequence[Tag]) -> ImageDetail:
    """Return an image with its tags."""
    return ImageDetail(**dict(image(found)), tags=tuple(tag(one) for one in tags))


def status(found: Image) -> StatusAnswer:
    """Return how far an image's analysis is."""
    return StatusAnswer(
        id=found.id,
        status=found.state,
        attempts=found.attempts,
        failure=failure(found),
        created_at=found.created_at,
        analysed_at=found.analysed_at,
    )


def tag(found: Tag) -> TagAnswer:
    """Return a tag."""
    return TagAnswer(id=found.id, external_id=found.external_id, title=found.title, type=found.type)


def tags(found: Collection[Tag]) -> list[TagAnswer]:
    """Return many tags; half the time of as many calls of `tag`."""
    return _TAGS.validate_python(found, from_attributes=True)


def suggestion(found: SuggestionView) -> SuggestionAnswer:
    """Return a suggestion with its evidence."""
    return SuggestionAnswer(
        id=found.id,
        tag=tag(found.tag),
        status=found.status,
        confidence=as_probability(found.confidence),
        score=as_probability(found.score),
        model_source=found.model_source,
        model_name=found.model_name,
        model_version=found.model_version,
        version=found.version,
        inferred=found.inferred,
        evidence=tuple(
            EvidenceAnswer(
                model_name=one.model_name,
                model_version=one.model_version,
                external_tag=one.external_tag,
                score=as_probability(one.score),
                decides=one.decides,
            )
            for one in found.evidence
        ),
        decided_by=found.decided_by,
        decided_at=found.decided_at,
    )


def counts(found: SuggestionCounts) -> Counts:
    """Return the counts by state."""
    return Counts(pending=found.pending, approved=found.approved, rejected=found.rejected)


def counts_or_none(found: SuggestionCounts | None) -> Counts | None:
    """Return the counts by state where there are any."""
    return None if found is None else counts(found)


def result(found: VerdictResult) -> ReviewResult:
    """Return what became of one decision."""
    return ReviewResult(
        suggestion_id=found.suggestion_id,
        outcome=found.outcome,
        status=found.status,
        version=found.version,
        tag=None if found.tag is None else tag(found.tag),
        linked=found.linked,
        already_linked=found.already_linked,
        alias_resolved=found.alias_resolved,
        cleared=found.cleared,
        decided_by=found.decided_by,
        decided_at=found.decided_at,
    )


def review(found: ReviewOutcome) -> ReviewAnswer:
    """Return what became of a review."""
    return ReviewAnswer(
        batch_id=found.batch_id,
        results=tuple(result(one) for one in found.results),
        counts=counts_or_none(found.counts),
    )


def undo(found: UndoOutcome) -> UndoAnswer:
    """Return what became of an undone batch."""
    return UndoAnswer(
        batch_id=found.batch_id,
        undone_batch_id=found.undone_batch_id,
        results=tuple(
            UndoneSuggestion(
                suggestion_id=one.suggestion_id,
                outcome=one.outcome,
                status=one.status,
                version=one.version,
                unlinked=one.unlinked,
                decided_by=one.decided_by,
                decided_at=one.decided_at,
            )
            for one in found.results
        ),
    )


def analysis(found: Analysed) -> AnalysisAnswer:
    """Return what models and rules make of a picture."""
    names = {model.id: model for model in found.models}
    return AnalysisAnswer(
        sha256=found.sha256,
        width=found.width,
        height=found.height,
        has_alpha=found.has_alpha,
        media_type=found.media_type,
        models=tuple(
            ModelAnswer(name=model.name, version=model.version, source=model.source) for model in found.models
        ),
        suggestions=tuple(_proposed(one) for one in found.suggestions),
        unmapped=tuple(
            UnmappedAnswer(source=one.source, external_tag=one.external_tag, score=as_probability(one.score))
            for one in found.unmapped
        ),
        ratings=tuple(
            RatingAnswer(
                model_name=names[one.model_version_id].name,
                model_version=names[one.model_version_id].version,
                rating=one.rating,
            )
            for one in found.ratings
        ),
    )


def _proposed(found: NamedSuggestion) -> ProposedTag:
    return ProposedTag(
        tag=tag(found.tag),
        confidence=as_probability(found.proposal.confidence),
        score=as_probability(found.proposal.score),
        model_source=found.proposal.model_source,
        model_name=found.model.name,
        model_version=found.model.version,
        inferred=found.proposal.inferred,
    )
