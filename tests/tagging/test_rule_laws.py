"""Laws that hold for every board, every picture and every order of things."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from rule_samples import CUSTOM, DANBOORU, custom_model, danbooru_model

from orchestrator.records import (
    SCORE_ONE,
    ImageContext,
    Label,
    LabelCategory,
    MappingAction,
    RawPrediction,
    RuleInputs,
    Tag,
    TagMapping,
    TagType,
    Thresholds,
)
from orchestrator.tagging.plan import TaggingPlan
from orchestrator.tagging.redundancy import is_whole_word_part
from orchestrator.tagging.resolve import resolve

LABELS = 12
TAG_IDS = list(range(1, 15))
WORDS = ["cat", "catgirl", "short", "kimono", "hair", "long", "blue"]

scores = st.integers(0, SCORE_ONE)
titles = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)


@st.composite
def boards(draw: st.DrawFn) -> RuleInputs:
    """Any board, circles and dangling references included, and two models over it."""
    maybe_tag = st.none() | st.sampled_from([*TAG_IDS, 99])
    tags = tuple(
        Tag(
            tag_id,
            1_000 + tag_id,
            draw(titles),
            draw(st.sampled_from([TagType.THEME, TagType.THEME, TagType.CHARACTER, TagType.SOURCE])),
            alias_of=draw(st.none() | st.none() | maybe_tag),
            parent_id=draw(maybe_tag),
        )
        for tag_id in TAG_IDS
    )
    names = [f"tag_{index}" + ("_background" if index % 5 == 0 else "") for index in range(LABELS)]
    mappings = tuple(
        TagMapping(
            index + 1,
            "danbooru",
            name,
            MappingAction.MAP if target is not None else MappingAction.IGNORE,
            target,
            draw(st.integers(1, SCORE_ONE)),
        )
        for index, name in enumerate(names)
        if draw(st.booleans())
        for target in [draw(maybe_tag)]
    )
    categories = st.sampled_from([LabelCategory.GENERAL, LabelCategory.GENERAL, LabelCategory.CHARACTER])
    of_danbooru = tuple(Label(index, name, draw(categories)) for index, name in enumerate(names))
    of_board = tuple(
        Label(index, str(1_000 + draw(st.sampled_from([*TAG_IDS, 99]))), LabelCategory.BOARD)
        for index in range(LABELS)
    )
    return RuleInputs(
        version=1,
        tags=tags,
        mappings=mappings,
        character_sources=tuple(
            draw(st.lists(st.tuples(st.sampled_from(TAG_IDS), st.sampled_from(TAG_IDS)), max_size=6))
        ),
        models=(
            danbooru_model(labels=of_danbooru, thresholds=Thresholds(3_500, draw(st.none() | scores), None)),
            custom_model(labels=of_board),
        ),
    )


pictures = st.lists(
    st.builds(RawPrediction, st.sampled_from([DANBOORU, CUSTOM]), st.integers(0, LABELS - 1), scores),
    max_size=20,
    unique_by=lambda one: (one.model_version_id, one.label),
)
contexts = st.builds(
    ImageContext, has_alpha=st.booleans(), applied=st.frozensets(st.sampled_from(TAG_IDS), max_size=4)
)


@given(boards(), contexts, pictures, st.randoms(use_true_random=False))
def test_the_order_of_things_does_not_matter(inputs, context, raw, chance: random.Random) -> None:
    def shuffled(things):
        return tuple(chance.sample(things, len(things)))

    other = replace(
        inputs,
        tags=shuffled(inputs.tags),
        mappings=shuffled(inputs.mappings),
        character_sources=shuffled(inputs.character_sources),
        models=shuffled(inputs.models),
    )

    first = resolve(TaggingPlan.build(inputs), context, raw)

    assert resolve(TaggingPlan.build(other), context, shuffled(raw)) == first


@given(boards(), contexts, pictures)
def test_only_canonical_tags_and_never_what_is_applied_or_above_it(inputs, context, raw) -> None:
    plan = TaggingPlan.build(inputs)
    by_id = {tag.id: tag for tag in inputs.tags}

    for suggestion in resolve(plan, context, raw).suggestions:
        tag = by_id[suggestion.tag_id]
        assert tag.alias_of is None
        for applied in plan.board.canonical_of(context.applied):
            assert tag.id != applied
            assert tag.id not in plan.board.ancestors(applied)
            if tag.type is TagType.THEME and by_id[applied].type is TagType.THEME:
                assert not is_whole_word_part(tag.title, by_id[applied].title)


@given(boards(), contexts, pictures)
def test_each_tag_once_with_consistent_numbers(inputs, context, raw) -> None:
    suggestions = resolve(TaggingPlan.build(inputs), context, raw).suggestions

    assert len({one.tag_id for one in suggestions}) == len(suggestions)
    assert list(suggestions) == sorted(suggestions, key=lambda one: (-one.confidence, one.tag_id))
    for one in suggestions:
        assert 0 <= one.confidence <= one.score <= SCORE_ONE
        assert one.score in {evidence.score for evidence in one.evidence}
        assert one.model_version_id in {evidence.model_version_id for evidence in one.evidence}
        assert [evidence.score for evidence in one.evidence] == sorted(
            (evidence.score for evidence in one.evidence), reverse=True
        )


@given(boards(), contexts, pictures)
def test_resolving_again_what_was_said_twice_changes_nothing(inputs, context, raw) -> None:
    plan = TaggingPlan.build(inputs)

    assert resolve(plan, context, [*raw, *raw]) == resolve(plan, context, raw)


@given(boards(), contexts, pictures)
def test_what_is_accepted_is_not_suggested_again_and_brings_nothing_new_above_it(
    inputs, context, raw
) -> None:
    plan = TaggingPlan.build(inputs)
    before = {one.tag_id for one in resolve(plan, context, raw).suggestions}

    accepted = replace(context, applied=context.applied | before)
    after = {one.tag_id for one in resolve(plan, accepted, raw).suggestions}

    # Only what a sure child had superseded could come back, and its child's acceptance says it already.
    assert after == set()


@given(boards(), contexts, pictures, st.integers(0, SCORE_ONE), st.integers(0, SCORE_ONE))
def test_higher_thresholds_bring_nothing_but_what_was_superseded(inputs, context, raw, low, high) -> None:
    low, high = min(low, high), max(low, high)

    def suggested(floor: int):
        models = tuple(replace(model, thresholds=Thresholds(floor, floor, floor)) for model in inputs.models)
        plan = TaggingPlan.build(replace(inputs, models=models))
        return plan, {one.tag_id for one in resolve(plan, context, raw).suggestions}

    plan, many = suggested(low)
    _, few = suggested(high)

    above_many = {ancestor for tag_id in many for ancestor in plan.board.ancestors(tag_id)}
    assert few <= many | above_many


@given(boards(), contexts, pictures)
@settings(max_examples=50)
def test_a_raised_score_keeps_its_tag_or_is_said_by_a_more_special_one(inputs, context, raw) -> None:
    plan = TaggingPlan.build(inputs)
    before = {one.tag_id for one in resolve(plan, context, raw).suggestions if not one.inferred}

    raised = [replace(one, score=SCORE_ONE) for one in raw]
    after = {one.tag_id for one in resolve(plan, context, raised).suggestions}

    said = after | {ancestor for tag_id in after for ancestor in plan.board.ancestors(tag_id)}
    assert before <= said


@given(titles, titles)
def test_whole_word_parts_are_runs_of_words(part: str, whole: str) -> None:
    words, wanted = whole.split(), part.split()
    runs = [words[i : i + len(wanted)] for i in range(len(words) - len(wanted) + 1)]

    assert is_whole_word_part(part, whole) is (wanted in runs and len(wanted) < len(words))
