"""Raw predictions of one image → what is suggested for it, what is unmapped, how it is rated.

Pure: the same for the live pipeline and for a re-map of stored scores, whatever order they come in.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from orchestrator.records import (
    SCORE_ONE,
    Evidence,
    ImageContext,
    ProposedSuggestion,
    RawPrediction,
    Resolution,
    TagType,
    UnmappedTag,
    VersionRating,
    VersionState,
)
from orchestrator.tagging import explore
from orchestrator.tagging.plan import LabelRule, Meaning, TaggingPlan, VersionRules
from orchestrator.tagging.redundancy import (
    is_part_of_applied_theme,
    said_by_applied,
    without_superseded,
)

SOURCE_WEIGHT = 9_000
"""What a character's confidence is worth for its source, in ten-thousandths."""


def resolve(plan: TaggingPlan, context: ImageContext, raw: Sequence[RawPrediction]) -> Resolution:
    """Apply the rules of DESIGN 5 to one image's raw predictions, of any versions the plan knows.

    Suggestions come by confidence, then tag id; unmapped tags by score, then name; ratings by version.
    """
    scores = _by_version(plan, raw)
    proposing = _proposing(plan, scores)
    voices = [(version, scores[version.model.id]) for version in proposing]
    detected, unmapped = _read(plan, context, voices)
    applied = plan.board.canonical_of(context.applied)
    said = said_by_applied(plan.board, applied)
    fresh = {
        tag_id: suggestion
        for tag_id, suggestion in detected.items()
        if tag_id not in said and not is_part_of_applied_theme(plan.board, tag_id, applied)
    }
    kept = without_superseded(plan.board, fresh)
    inferred = _inferred_sources(plan, without_superseded(plan.board, detected), said | fresh.keys())
    suggestions = without_superseded(plan.board, kept | inferred)
    return Resolution(
        suggestions=tuple(sorted(suggestions.values(), key=lambda one: (-one.confidence, one.tag_id))),
        unmapped=unmapped,
        ratings=_ratings(plan, scores),
        explorations=_explorations(plan, context, voices, applied, detected.keys() | suggestions.keys()),
    )


def _explorations(
    plan: TaggingPlan,
    context: ImageContext,
    voices: Sequence[tuple[VersionRules, dict[int, int]]],
    applied: frozenset[int],
    heard: AbstractSet[int],
) -> tuple[ProposedSuggestion, ...]:
    """Return the tags just below their thresholds that are to be tried on people, in tag order. `heard`: the
    tags that some version is sure of."""
    if context.sha256 is None:
        return ()
    near, _ = _read(plan, context, voices, below=explore.MARGIN)
    known = said_by_applied(plan.board, frozenset(heard) | applied)
    return tuple(
        replace(near[tag_id], exploration=True)
        for tag_id in sorted(near)
        if tag_id not in known
        and explore.is_chosen(context.sha256, tag_id)
        and not is_part_of_applied_theme(plan.board, tag_id, applied)
    )


def _by_version(plan: TaggingPlan, raw: Iterable[RawPrediction]) -> dict[int, dict[int, int]]:
    """Return version → label → score for the labels that the plan knows, the higher score of doubles."""
    scores: dict[int, dict[int, int]] = {}
    for prediction in raw:
        version = plan.versions.get(prediction.model_version_id)
        if version is None or prediction.label not in version.labels:
            continue
        of_version = scores.setdefault(prediction.model_version_id, {})
        of_version[prediction.label] = max(prediction.score, of_version.get(prediction.label, 0))
    return scores


def _proposing(plan: TaggingPlan, scores: dict[int, dict[int, int]]) -> list[VersionRules]:
    """Return the versions that may suggest, the deciding one first: of each model the foremost that saw
    this image, so that an old version counts only until the new one has run."""
    candidates = sorted(
        (plan.versions[version_id] for version_id in scores if plan.versions[version_id].proposes),
        key=lambda version: version.precedence,
    )
    foremost: dict[str, VersionRules] = {}
    for version in candidates:
        foremost.setdefault(version.model.name, version)
    return list(foremost.values())


def _read(
    plan: TaggingPlan,
    context: ImageContext,
    versions: Sequence[tuple[VersionRules, dict[int, int]]],
    *,
    below: int = 0,
) -> tuple[dict[int, ProposedSuggestion], tuple[UnmappedTag, ...]]:
    """Return what the versions say above their thresholds: tags with merged evidence, unmapped names.

    `below`: what they say in so wide a band below the thresholds instead.
    """
    heard: dict[int, list[tuple[int, int, Evidence, VersionRules]]] = {}
    unmapped: dict[tuple[str, str], int] = {}
    for order, (version, scores) in enumerate(versions):
        for label, score in scores.items():
            rule = version.labels[label]
            if not (rule.threshold - below <= score and (not below or score < rule.threshold)):
                continue
            if context.has_alpha and _is_background(plan, rule):
                continue
            if rule.meaning is Meaning.TAG:
                confidence = _weighted(score, rule.weight)
                evidence = Evidence(version.model.id, label, rule.name, rule.mapping_id, score)
                heard.setdefault(rule.tag_id, []).append((order, -confidence, evidence, version))
            elif rule.meaning is Meaning.UNMAPPED:
                key = (version.model.source, rule.name)
                unmapped[key] = max(score, unmapped.get(key, 0))
    detected = {tag_id: _merged(plan, tag_id, voices) for tag_id, voices in heard.items()}
    named = [UnmappedTag(source, name, score) for (source, name), score in unmapped.items()]
    return detected, tuple(sorted(named, key=lambda one: (-one.score, one.source, one.external_tag)))


def _merged(
    plan: TaggingPlan, tag_id: int, voices: list[tuple[int, int, Evidence, VersionRules]]
) -> ProposedSuggestion:
    """The foremost version decides, by its strongest label; the evidence of all is kept. Foremost is one that
    is in use, then what the tag's priorities put first, then what goes first for all tags."""
    tag_type = plan.board.tags[tag_id].type

    def order(voice: tuple[int, int, Evidence, VersionRules]) -> tuple[bool, int, int, int, int, int]:
        place, confidence, evidence, version = voice
        return (
            version.model.state is not VersionState.ACTIVE,
            plan.priorities.place(tag_id, tag_type, version.model.name),
            place,
            confidence,
            -evidence.score,
            evidence.label,
        )

    _, confidence, deciding, version = min(voices, key=order)
    evidence = sorted(
        (voice[2] for voice in voices), key=lambda one: (-one.score, one.model_version_id, one.label)
    )
    return ProposedSuggestion(
        tag_id=tag_id,
        score=deciding.score,
        confidence=-confidence,
        model_source=version.model.source,
        model_version_id=version.model.id,
        evidence=tuple(evidence),
    )


def _is_background(plan: TaggingPlan, rule: LabelRule) -> bool:
    return rule.background or (rule.meaning is Meaning.TAG and rule.tag_id in plan.background)


def _inferred_sources(
    plan: TaggingPlan, detected: dict[int, ProposedSuggestion], known: Iterable[int]
) -> dict[int, ProposedSuggestion]:
    """Return the sources of the detected characters, applied ones included, that are not `known` yet.

    An applied character counts, lest approving it take its source's suggestion away. Each source comes
    once, from its most confident character.
    """
    known = frozenset(known)
    inferred: dict[int, ProposedSuggestion] = {}
    characters = [one for one in detected.values() if plan.board.tags[one.tag_id].type is TagType.CHARACTER]
    for character in sorted(characters, key=lambda one: (-one.confidence, one.tag_id)):
        for source in plan.board.sources.get(character.tag_id, ()):
            if source in known or source in inferred:
                continue
            inferred[source] = ProposedSuggestion(
                tag_id=source,
                score=character.score,
                confidence=_weighted(character.confidence, SOURCE_WEIGHT),
                model_source=character.model_source,
                model_version_id=character.model_version_id,
                evidence=character.evidence,
                inferred=True,
            )
    return inferred


def _ratings(plan: TaggingPlan, scores: dict[int, dict[int, int]]) -> tuple[VersionRating, ...]:
    """Return every version's arg max over its rating labels, the lower label where two are equal."""
    ratings = []
    for version_id, of_version in sorted(scores.items()):
        labels = plan.versions[version_id].labels
        rated = [
            (-score, label) for label, score in of_version.items() if labels[label].meaning is Meaning.RATING
        ]
        if rated:
            ratings.append(VersionRating(version_id, labels[min(rated)[1]].name))
    return tuple(ratings)


def _weighted(score: int, weight: int) -> int:
    """Multiply ten-thousandths, rounding half up without a float."""
    return (score * weight + SCORE_ONE // 2) // SCORE_ONE
