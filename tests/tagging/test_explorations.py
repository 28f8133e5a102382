"""Explorations: which tags just below their thresholds are put before people."""

from dataclasses import replace

import pytest
from rule_samples import (
    HAIR,
    INPUTS,
    KIMONO,
    LONG_HAIR,
    SHORT_KIMONO,
    SMILE,
    WHITE,
    custom,
    danbooru,
    danbooru_model,
)

from orchestrator.records import ImageContext, RawPrediction, Resolution, VersionState
from orchestrator.tagging import explore
from orchestrator.tagging.plan import TaggingPlan
from orchestrator.tagging.resolve import resolve

THRESHOLD = 3_500
PICTURES = [f"{number:064x}" for number in range(1, 400)]
PLAN = TaggingPlan.build(INPUTS)


def resolved(
    picture: str | None,
    *raw: RawPrediction,
    plan: TaggingPlan = PLAN,
    applied: frozenset[int] = frozenset(),
    has_alpha: bool = False,
) -> Resolution:
    return resolve(plan, ImageContext(has_alpha, applied, picture), raw)


def explored(*raw: RawPrediction, **more: object) -> set[int]:
    """Every tag that is tried on at least one of many images."""
    return {
        one.tag_id
        for picture in PICTURES
        for one in resolved(picture, *raw, **more).explorations  # type: ignore[arg-type]
    }


@pytest.mark.parametrize(
    ("score", "tried"),
    [(THRESHOLD, False), (THRESHOLD - 1, True), (THRESHOLD - explore.MARGIN, True), (2_499, False)],
)
def test_only_what_lies_just_below_the_threshold_is_tried(score: int, tried: bool) -> None:
    assert explored(*danbooru(smile=score)) == ({SMILE} if tried else set())


def test_an_exploration_says_what_it_rests_on() -> None:
    picture = next(one for one in PICTURES if explore.is_chosen(one, HAIR))
    found = resolved(picture, *danbooru(hair=3_000))
    assert found.suggestions == ()
    (one,) = found.explorations
    assert (one.tag_id, one.score, one.confidence, one.exploration) == (HAIR, 3_000, 2_400, True)
    assert [evidence.external_tag for evidence in one.evidence] == ["hair"]


def test_one_in_so_many_is_tried_and_always_the_same() -> None:
    tried = [bool(resolved(picture, *danbooru(smile=3_000)).explorations) for picture in PICTURES]
    assert 0.7 / explore.ONE_IN < sum(tried) / len(tried) < 1.3 / explore.ONE_IN
    again = [bool(resolved(picture, *danbooru(smile=3_400)).explorations) for picture in PICTURES]
    assert again == tried


def test_nothing_is_tried_on_a_picture_that_is_not_stored() -> None:
    raw = danbooru(smile=3_000, hair=3_000, kimono=3_000, long_hair=3_000)
    assert explored(*raw) == {SMILE, HAIR, KIMONO, LONG_HAIR}
    assert resolved(None, *raw).explorations == ()


def test_what_people_or_another_model_say_already_is_not_tried() -> None:
    assert explored(*danbooru(long_hair=3_000), applied=frozenset({LONG_HAIR})) == set()
    assert explored(*danbooru(hair=3_000), applied=frozenset({LONG_HAIR})) == set()
    assert explored(*danbooru(kimono=3_000), applied=frozenset({SHORT_KIMONO})) == set()
    assert explored(*danbooru(smile=3_000), *custom({SMILE: 9_000})) == set()
    assert explored(*danbooru(hair=3_000, long_hair=5_000)) == set()


def test_a_transparent_picture_has_no_background_to_try() -> None:
    assert explored(*danbooru(white_background=3_000)) == {WHITE}
    assert explored(*danbooru(white_background=3_000), has_alpha=True) == set()


def test_a_version_without_a_say_tries_nothing() -> None:
    shadow = TaggingPlan.build(replace(INPUTS, models=(danbooru_model(state=VersionState.SHADOW),)))
    assert explored(*danbooru(smile=3_000), plan=shadow) == set()


def test_explorations_change_no_suggestion() -> None:
    raw = danbooru(smile=8_000, hair=3_000, long_hair=3_000, kimono=3_400)
    assert {resolved(picture, *raw).suggestions for picture in PICTURES} == {resolved(None, *raw).suggestions}
