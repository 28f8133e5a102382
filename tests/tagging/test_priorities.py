"""Which model decides where several speak of one tag; what all of them said is kept."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from rule_samples import (
    CUSTOM,
    DANBOORU,
    HAIR,
    INPUTS,
    LOCKS,
    LONG_HAIR,
    MIKU,
    SMILE,
    Case,
    custom,
    custom_model,
    danbooru,
    danbooru_model,
)

from orchestrator.records import PriorityRule, RawPrediction, RuleInputs, TagType, VersionState

WD14_FIRST = ("wd14", "custom_theme")
THIRD = 3


def deciding(inputs: RuleInputs, *raw: RawPrediction) -> dict[int, int]:
    return {one.tag_id: one.model_version_id for one in Case(inputs=inputs).resolve(*raw).suggestions}


def said(*rules: PriorityRule) -> RuleInputs:
    return replace(INPUTS, priorities=rules)


SMILES = (*danbooru(smile=9_500), *custom({SMILE: 6_500}))
HAIRS = (*danbooru(hair=9_500), *custom({HAIR: 6_500}))


def test_custom_themes_go_first_where_nothing_is_said() -> None:
    assert deciding(INPUTS, *SMILES) == {SMILE: CUSTOM}


def test_a_type_and_more_so_a_tag_has_an_order_of_its_own() -> None:
    themes = PriorityRule(WD14_FIRST, tag_type=TagType.THEME)
    assert deciding(said(themes), *SMILES, *HAIRS) == {SMILE: DANBOORU, HAIR: DANBOORU}
    characters = PriorityRule(WD14_FIRST, tag_type=TagType.CHARACTER)
    mikus = (*danbooru(miku=9_000), *custom({MIKU: 9_900}))
    assert deciding(said(characters), *SMILES, *mikus)[MIKU] == DANBOORU
    assert deciding(said(characters), *SMILES)[SMILE] == CUSTOM
    smile = PriorityRule(("custom_theme",), tag_id=SMILE)
    assert deciding(said(themes, smile), *SMILES, *HAIRS) == {SMILE: CUSTOM, HAIR: DANBOORU}


def test_what_is_said_of_an_alias_counts_for_its_tag_unless_that_has_a_rule() -> None:
    hairs = (*danbooru(long_hair=9_500), *custom({LONG_HAIR: 6_500}))
    alias = PriorityRule(WD14_FIRST, tag_id=LOCKS)
    assert deciding(said(alias), *hairs) == {LONG_HAIR: DANBOORU}
    itself = PriorityRule(("custom_theme",), tag_id=LONG_HAIR)
    assert deciding(said(alias, itself), *hairs) == {LONG_HAIR: CUSTOM}


def test_a_model_below_its_threshold_has_no_say_whatever_its_place() -> None:
    themes = PriorityRule(WD14_FIRST, tag_type=TagType.THEME)
    assert deciding(said(themes), *danbooru(smile=3_000), *custom({SMILE: 6_500})) == {SMILE: CUSTOM}


def test_a_version_in_use_goes_before_a_retired_one() -> None:
    retired = replace(
        said(PriorityRule(WD14_FIRST, tag_type=TagType.THEME)),
        models=(custom_model(), danbooru_model(state=VersionState.RETIRED)),
    )
    assert deciding(retired, *SMILES) == {SMILE: CUSTOM}


names = st.permutations(["wd14", "custom_theme", "third", "nobody"])
orders = st.integers(1, 4).flatmap(lambda count: names.map(lambda found: tuple(found[:count])))
rules = st.builds(
    lambda of_type, of_tag: tuple(
        rule
        for rule in (
            of_type and PriorityRule(of_type, tag_type=TagType.THEME),
            of_tag and PriorityRule(of_tag, tag_id=SMILE),
        )
        if rule
    ),
    st.none() | orders,
    st.none() | orders,
)
scores = st.fixed_dictionaries(
    {}, optional={name: st.integers(0, 10_000) for name in ("wd14", "custom_theme", "third")}
)
FLOORS = {"wd14": 3_500, "custom_theme": 6_000, "third": 3_500}
BY_NAME = {"wd14": DANBOORU, "custom_theme": CUSTOM, "third": THIRD}


@settings(max_examples=100)
@given(rules, scores)
def test_the_first_of_those_that_are_sure_decides_and_all_of_them_are_evidence(
    rules: tuple[PriorityRule, ...], scores: dict[str, int]
) -> None:
    """Given any rules and what three models say of one tag, then the suggestion's numbers are those of the
    first model of the narrowest rule that is above its threshold, and its evidence names every such model."""
    third = danbooru_model(id=THIRD, name="third", priority=30)
    inputs = replace(INPUTS, models=(*INPUTS.models, third), priorities=rules)
    (of_smile,) = danbooru(smile=0)
    (of_board,) = custom({SMILE: 0})
    raw = [
        replace(of_board if name == "custom_theme" else of_smile, model_version_id=BY_NAME[name], score=score)
        for name, score in scores.items()
    ]

    suggestions = Case(inputs=inputs).resolve(*raw).suggestions

    sure = {name for name, score in scores.items() if score >= FLOORS[name]}
    if not sure:
        assert suggestions == ()
        return
    (suggestion,) = suggestions
    named = rules[-1].models if rules else ()
    order = [*named, *(name for name in ("custom_theme", "wd14", "third") if name not in named)]
    first = next(name for name in order if name in sure)
    assert suggestion.model_version_id == BY_NAME[first]
    assert suggestion.score == suggestion.confidence == scores[first]
    assert {one.model_version_id: one.score for one in suggestion.evidence} == {
        BY_NAME[name]: scores[name] for name in sure
    }
