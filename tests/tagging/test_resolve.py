"""The rules of suggestion, one by one. DESIGN 5."""

from dataclasses import replace

import pytest
from rule_samples import (
    CUSTOM,
    DANBOORU,
    HAIR,
    INPUTS,
    KIMONO,
    LOCKS,
    LONG_HAIR,
    MAPPINGS,
    MIKU,
    MUSIC,
    SHORT_KIMONO,
    SMILE,
    TAGS,
    VERY_LONG_HAIR,
    VOCALOID,
    WHITE,
    Case,
    custom,
    custom_model,
    danbooru,
    danbooru_model,
)

from orchestrator.records import (
    Evidence,
    Label,
    LabelCategory,
    MappingAction,
    ProposedSuggestion,
    RawPrediction,
    Tag,
    TagMapping,
    TagType,
    Thresholds,
    UnmappedTag,
    VersionRating,
    VersionState,
)


def only(case: Case, *raw: RawPrediction) -> ProposedSuggestion:
    (suggestion,) = case.resolve(*raw).suggestions
    return suggestion


class TestMappings:
    def test_an_external_tag_becomes_the_boards_with_its_evidence(self) -> None:
        assert only(Case(), *danbooru(smile=7_000)) == ProposedSuggestion(
            tag_id=SMILE,
            score=7_000,
            confidence=7_000,
            model_source="danbooru",
            model_version_id=DANBOORU,
            evidence=(Evidence(DANBOORU, 4, "smile", 3, 7_000),),
        )

    def test_confidence_is_score_times_weight_and_the_threshold_applies_to_the_score(self) -> None:
        suggestion = only(Case(), *danbooru(hair=4_000))

        assert (suggestion.score, suggestion.confidence) == (4_000, 3_200)

    def test_an_ignored_tag_is_neither_suggested_nor_counted(self) -> None:
        resolution = Case().resolve(*danbooru(solo=9_900))

        assert resolution.suggestions == ()
        assert resolution.unmapped == ()

    def test_an_unmapped_tag_is_counted_when_above_its_threshold(self) -> None:
        assert Case().resolve(*danbooru(unknown_thing=3_500)).unmapped == (
            UnmappedTag("danbooru", "unknown_thing", 3_500),
        )
        assert Case().resolve(*danbooru(unknown_thing=3_499)).unmapped == ()

    def test_a_mapping_of_another_source_does_not_apply(self) -> None:
        foreign = replace(INPUTS, mappings=(TagMapping(1, "other", "smile", MappingAction.MAP, SMILE),))

        assert Case(inputs=foreign).tags(*danbooru(smile=9_000)) == set()

    def test_a_mapping_to_a_tag_that_is_gone_counts_as_none(self) -> None:
        dangling = replace(INPUTS, mappings=(TagMapping(1, "danbooru", "smile", MappingAction.MAP, 999),))

        resolution = Case(inputs=dangling).resolve(*danbooru(smile=9_000))

        assert resolution.suggestions == ()
        assert [one.external_tag for one in resolution.unmapped] == ["smile"]

    def test_of_several_external_tags_of_one_tag_the_strongest_decides(self) -> None:
        doubled = replace(
            INPUTS,
            mappings=(
                *MAPPINGS,
                TagMapping(50, "danbooru", "unknown_thing", MappingAction.MAP, SMILE, weight=5_000),
            ),
        )

        suggestion = only(Case(inputs=doubled), *danbooru(smile=6_000, unknown_thing=9_000))

        assert (suggestion.score, suggestion.confidence) == (6_000, 6_000)
        assert [one.external_tag for one in suggestion.evidence] == ["unknown_thing", "smile"]

    def test_board_labels_need_no_mapping(self) -> None:
        suggestion = only(Case(), *custom({SMILE: 7_000}))

        assert (suggestion.tag_id, suggestion.model_source) == (SMILE, "custom_theme")
        assert suggestion.evidence[0].mapping_id is None

    def test_a_board_label_that_names_no_tag_is_unmapped(self) -> None:
        model = custom_model(labels=(Label(0, "4711", LabelCategory.BOARD),))

        resolution = Case(inputs=replace(INPUTS, models=(model,))).resolve(RawPrediction(CUSTOM, 0, 9_000))

        assert resolution.unmapped == (UnmappedTag("custom_theme", "4711", 9_000),)


class TestAliases:
    def test_an_alias_is_suggested_as_its_canonical_tag(self) -> None:
        through_alias = replace(
            INPUTS, mappings=(TagMapping(1, "danbooru", "long_hair", MappingAction.MAP, LOCKS),)
        )

        assert Case(inputs=through_alias).tags(*danbooru(long_hair=8_000)) == {LONG_HAIR}

    def test_chains_are_followed_to_their_end(self) -> None:
        chain = (
            Tag(50, None, "l", TagType.THEME, alias_of=51),
            Tag(51, None, "ll", TagType.THEME, alias_of=LOCKS),
        )
        inputs = replace(
            INPUTS,
            tags=(*TAGS, *chain),
            mappings=(TagMapping(1, "danbooru", "smile", MappingAction.MAP, 50),),
        )

        assert Case(inputs=inputs).tags(*danbooru(smile=8_000)) == {LONG_HAIR}

    def test_a_circle_of_aliases_is_no_tag(self) -> None:
        circle = (
            Tag(50, None, "a", TagType.THEME, alias_of=51),
            Tag(51, None, "b", TagType.THEME, alias_of=50),
        )
        inputs = replace(
            INPUTS,
            tags=(*TAGS, *circle),
            mappings=(TagMapping(1, "danbooru", "smile", MappingAction.MAP, 50),),
        )

        assert Case(inputs=inputs).tags(*danbooru(smile=8_000)) == set()

    def test_a_board_label_may_name_an_alias(self) -> None:
        model = custom_model(labels=(Label(0, "117", LabelCategory.BOARD),))

        assert Case(inputs=replace(INPUTS, models=(model,))).tags(RawPrediction(CUSTOM, 0, 9_000)) == {
            LONG_HAIR
        }


class TestThresholds:
    @pytest.mark.parametrize(("score", "suggested"), [(3_499, False), (3_500, True)])
    def test_general_tags(self, score, suggested) -> None:
        assert (SMILE in Case().tags(*danbooru(smile=score))) is suggested

    @pytest.mark.parametrize(("score", "suggested"), [(5_999, False), (6_000, True)])
    def test_board_tags(self, score, suggested) -> None:
        assert (SMILE in Case().tags(*custom({SMILE: score}))) is suggested

    @pytest.mark.parametrize(("score", "suggested"), [(8_499, False), (8_500, True)])
    def test_characters(self, score, suggested) -> None:
        assert (MIKU in Case().tags(*danbooru(miku=score))) is suggested

    def test_characters_switched_off_stay_off_whatever_a_label_says(self) -> None:
        off = danbooru_model(
            thresholds=Thresholds(general=3_500, character=None, board=None, by_label={10: 1_000})
        )

        resolution = Case(inputs=replace(INPUTS, models=(off,))).resolve(*danbooru(miku=9_999))

        assert resolution.suggestions == ()
        assert resolution.unmapped == ()

    def test_a_label_may_have_its_own(self) -> None:
        own = danbooru_model(
            thresholds=Thresholds(general=3_500, character=None, board=None, by_label={4: 8_000})
        )
        case = Case(inputs=replace(INPUTS, models=(own,)))

        assert case.tags(*danbooru(smile=7_999, kimono=4_000)) == {KIMONO}
        assert case.tags(*danbooru(smile=8_000)) == {SMILE}


class TestSeveralModels:
    def test_one_suggestion_the_foremost_model_decides_and_all_evidence_is_kept(self) -> None:
        suggestion = only(Case(), *danbooru(smile=9_500), *custom({SMILE: 6_500}))

        assert (suggestion.score, suggestion.confidence) == (6_500, 6_500)
        assert (suggestion.model_source, suggestion.model_version_id) == ("custom_theme", CUSTOM)
        assert [(one.model_version_id, one.score) for one in suggestion.evidence] == [
            (DANBOORU, 9_500),
            (CUSTOM, 6_500),
        ]

    def test_a_model_below_its_own_threshold_has_no_say(self) -> None:
        suggestion = only(Case(), *danbooru(smile=4_000), *custom({SMILE: 5_999}))

        assert (suggestion.model_source, suggestion.score, len(suggestion.evidence)) == ("danbooru", 4_000, 1)

    @pytest.mark.parametrize("state", [VersionState.SHADOW, VersionState.STAGED])
    def test_versions_on_trial_suggest_nothing(self, state) -> None:
        inputs = replace(INPUTS, models=(danbooru_model(), custom_model(state=state)))

        assert Case(inputs=inputs).tags(*custom({SMILE: 9_000})) == set()

    def test_an_old_version_counts_until_the_new_one_has_seen_the_image(self) -> None:
        old = danbooru_model(id=7, state=VersionState.RETIRED)
        inputs = replace(INPUTS, models=(danbooru_model(version=2), old))
        of_old = RawPrediction(7, 4, 9_000)

        assert Case(inputs=inputs).tags(of_old) == {SMILE}
        assert Case(inputs=inputs).tags(of_old, *danbooru(kimono=9_000)) == {KIMONO}

    def test_scores_of_versions_that_nobody_knows_are_left_alone(self) -> None:
        assert (
            Case().resolve(RawPrediction(99, 4, 9_000), RawPrediction(DANBOORU, 999, 9_000))
            == Case().resolve()
        )


class TestRedundancy:
    def test_an_applied_tag_is_not_suggested_nor_are_its_ancestors(self) -> None:
        scores = custom({HAIR: 9_000, LONG_HAIR: 8_000, SMILE: 7_000})

        assert Case(applied=frozenset({LONG_HAIR})).tags(*scores) == {SMILE}

    def test_an_applied_alias_counts_as_its_canonical_tag(self) -> None:
        assert Case(applied=frozenset({LOCKS})).tags(*custom({HAIR: 9_000, LONG_HAIR: 8_000})) == set()

    def test_a_child_of_an_applied_tag_is_news(self) -> None:
        assert Case(applied=frozenset({LONG_HAIR})).tags(*custom({VERY_LONG_HAIR: 8_000})) == {VERY_LONG_HAIR}

    def test_part_of_an_applied_themes_title_is_not_suggested(self) -> None:
        assert Case(applied=frozenset({SHORT_KIMONO})).tags(*danbooru(kimono=9_000)) == set()
        assert Case(applied=frozenset({KIMONO})).tags(*danbooru(short_kimono=9_000)) == {SHORT_KIMONO}

    def test_titles_of_other_types_are_not_compared(self) -> None:
        winter_theme = Tag(60, None, "winter miku cosplay", TagType.THEME)
        inputs = replace(INPUTS, tags=(*TAGS, winter_theme))

        assert MIKU in Case(applied=frozenset({60}), inputs=inputs).tags(*danbooru(miku=9_000))

    @pytest.mark.parametrize(("child", "suggested"), [(8_999, {HAIR, LONG_HAIR}), (9_000, {LONG_HAIR})])
    def test_a_sure_child_supersedes_its_ancestors(self, child, suggested) -> None:
        assert Case().tags(*custom({HAIR: 9_900, LONG_HAIR: child})) == suggested

    def test_a_sure_grandchild_supersedes_all_above(self) -> None:
        assert Case().tags(*custom({HAIR: 9_900, LONG_HAIR: 9_900, VERY_LONG_HAIR: 9_100})) == {
            VERY_LONG_HAIR
        }

    def test_parents_of_another_type_are_no_ancestors(self) -> None:
        tags = tuple(replace(tag, parent_id=VOCALOID) if tag.id == SMILE else tag for tag in TAGS)
        case = Case(applied=frozenset({SMILE}), inputs=replace(INPUTS, tags=tags))

        assert VOCALOID in case.tags(*danbooru(miku=9_000))

    def test_a_circle_of_parents_ends(self) -> None:
        tags = tuple(replace(tag, parent_id=VERY_LONG_HAIR) if tag.id == HAIR else tag for tag in TAGS)
        case = Case(inputs=replace(INPUTS, tags=tags))

        assert LONG_HAIR in case.tags(*custom({LONG_HAIR: 8_000}))


class TestTransparentPictures:
    def test_the_background_of_a_transparent_picture_is_not_suggested(self) -> None:
        assert Case(has_alpha=False).tags(*danbooru(white_background=9_000)) == {WHITE}
        assert Case(has_alpha=True).tags(*danbooru(white_background=9_000)) == set()

    def test_nor_by_a_model_that_speaks_of_the_same_tag_by_its_board_id(self) -> None:
        assert Case(has_alpha=True).tags(*custom({WHITE: 9_000, SMILE: 9_000})) == {SMILE}

    def test_nor_is_an_unmapped_background_counted(self) -> None:
        unmapped = replace(INPUTS, mappings=())

        assert Case(has_alpha=True, inputs=unmapped).resolve(*danbooru(white_background=9_000)).unmapped == ()


class TestSources:
    def test_a_characters_source_is_inferred_once_and_marked(self) -> None:
        resolution = Case().resolve(*danbooru(miku=8_600, miku_winter=8_800))

        (source,) = [one for one in resolution.suggestions if one.tag_id == VOCALOID]
        assert source.inferred
        assert (source.score, source.confidence) == (8_800, 7_920)
        assert source.evidence[0].external_tag == "miku_(winter)"
        assert not any(one.inferred for one in resolution.suggestions if one.tag_id != VOCALOID)

    def test_not_when_it_is_applied(self) -> None:
        assert Case(applied=frozenset({VOCALOID})).tags(*danbooru(miku=9_000)) == {MIKU}

    def test_not_when_something_more_special_is_applied(self) -> None:
        tags = (*TAGS, Tag(61, None, "Vocaloid V2", TagType.SOURCE, parent_id=VOCALOID))
        case = Case(applied=frozenset({61}), inputs=replace(INPUTS, tags=tags))

        assert case.tags(*danbooru(miku=9_000)) == {MIKU}

    def test_not_when_a_model_suggests_it_itself(self) -> None:
        seen = TagMapping(70, "danbooru", "unknown_thing", MappingAction.MAP, VOCALOID)
        case = Case(inputs=replace(INPUTS, mappings=(*MAPPINGS, seen)))

        (source,) = [
            one
            for one in case.resolve(*danbooru(miku=9_000, unknown_thing=4_000)).suggestions
            if one.tag_id == VOCALOID
        ]
        assert not source.inferred
        assert source.confidence == 4_000

    def test_accepting_the_character_does_not_take_the_source_away(self) -> None:
        assert Case(applied=frozenset({MIKU})).tags(*danbooru(miku=9_000)) == {VOCALOID}

    def test_nothing_else_is_inferred(self) -> None:
        assert MUSIC not in Case().tags(*danbooru(miku=9_900))


class TestRatings:
    def test_the_arg_max_of_each_version_is_stored_and_never_suggested(self) -> None:
        resolution = Case().resolve(*danbooru(safe=3_000, questionable=6_000))

        assert resolution.ratings == (VersionRating(DANBOORU, "questionable"),)
        assert resolution.suggestions == ()
        assert resolution.unmapped == ()

    def test_of_equals_the_first_label(self) -> None:
        assert Case().resolve(*danbooru(questionable=5_000, safe=5_000)).ratings == (
            VersionRating(DANBOORU, "safe"),
        )

    def test_a_model_without_ratings_has_none(self) -> None:
        assert Case().resolve(*custom({SMILE: 9_000})).ratings == ()


def test_suggestions_come_by_confidence_then_tag() -> None:
    suggestions = Case().resolve(*danbooru(smile=8_000, kimono=8_000, hair=9_000)).suggestions

    assert [(one.tag_id, one.confidence) for one in suggestions] == [
        (SMILE, 8_000),
        (KIMONO, 8_000),
        (HAIR, 7_200),
    ]
