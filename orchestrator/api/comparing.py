"""Two versions of a model beside each other, for engineers."""

from dataclasses import asdict

from orchestrator.api import answers
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.comparison.asking import Asked
from orchestrator.comparison.estimate import Kind, Paired
from orchestrator.comparison.report import Agreement, ChangedTag, Comparison, TagComparison, TypeComparison
from orchestrator.records import Tag, as_probability
from orchestrator.wire.comparison import (
    AgreementAnswer,
    CategoryDriftAnswer,
    ChangedImageAnswer,
    ChangedTagAnswer,
    ComparisonAnswer,
    ComparisonQuery,
    CurveAnswer,
    DriftAnswer,
    LabelDriftAnswer,
    PairedAnswer,
    QueueDifference,
    TagComparisonAnswer,
    TypeComparisonAnswer,
)
from orchestrator.wire.schemas import TagAnswer

_SAID = {Kind.APPROVED: "approved", Kind.APPLIED: "applied", Kind.REJECTED: "rejected"}


async def compare_models(call: Call) -> Reply:
    """Compare a version with another one, the active one unless said."""
    query = call.query(ComparisonQuery)
    name, version = call.model_version
    asked = Asked(name, query.before, version, images=query.images, shown=query.changed)
    found = await call.resources.comparisons.ask(asked)
    return Reply(200, comparison(found, tags=query.tags))


def comparison(found: Comparison, *, tags: int | None = None) -> ComparisonAnswer:
    """Return a comparison. `tags`: only so many tags and labels, those that differ most."""
    return ComparisonAnswer(
        name=found.name,
        m=found.m,
        n=found.n,
        images=found.images,
        same=found.same,
        agreement=_agreement(found.agreement),
        queue=QueueDifference(**asdict(found.queue)),
        quality=_paired(found.paired),
        types=tuple(_type(one) for one in found.types),
        tags=tuple(_tag(one) for one in found.tags[:tags]),
        categories=tuple(
            CategoryDriftAnswer(
                category=one.category,
                drift=DriftAnswer(**asdict(one.drift)),
                histogram=one.histogram,
                only_m=one.only_m,
                only_n=one.only_n,
            )
            for one in found.categories
        ),
        labels=tuple(
            LabelDriftAnswer(
                name=one.name,
                category=one.category,
                tag=_of_board(one.tag),
                drift=DriftAnswer(**asdict(one.drift)),
            )
            for one in found.labels[:tags]
        ),
        curves=tuple(CurveAnswer.model_validate(asdict(one)) for one in found.curves),
        changed=tuple(
            ChangedImageAnswer(
                image_id=one.image_id,
                added=tuple(_changed(tag) for tag in one.added),
                dropped=tuple(_changed(tag) for tag in one.dropped),
            )
            for one in found.changed
        ),
    )


def _paired(found: Paired) -> PairedAnswer:
    return PairedAnswer.model_validate(asdict(found))


def _agreement(found: Agreement) -> AgreementAnswer:
    return AgreementAnswer(**asdict(found), share=found.share)


def _type(found: TypeComparison) -> TypeComparisonAnswer:
    return TypeComparisonAnswer(
        type=found.type,
        agreement=_agreement(found.agreement),
        queue=QueueDifference(**asdict(found.queue)),
        quality=_paired(found.paired),
    )


def _tag(found: TagComparison) -> TagComparisonAnswer:
    return TagComparisonAnswer(
        tag=answers.tag(found.tag),
        agreement=_agreement(found.agreement),
        queue=QueueDifference(**asdict(found.queue)),
        quality=_paired(found.paired),
    )


def _changed(found: ChangedTag) -> ChangedTagAnswer:
    return ChangedTagAnswer.model_validate(
        {
            "tag": answers.tag(found.tag),
            "confidence": as_probability(found.confidence),
            "said": None if found.said is None else _SAID[found.said],
        }
    )


def _of_board(tag: Tag | None) -> TagAnswer | None:
    return None if tag is None else answers.tag(tag)
