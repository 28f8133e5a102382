"""The smaller parts of the rules: storage of scores, titles, and how quick it all is."""

import time
from dataclasses import replace

import numpy as np
import pytest
from rule_samples import DANBOORU, INPUTS, TAGS, danbooru_model

from orchestrator.records import ImageContext, ModelScores, RawPrediction, Tag, TagType
from orchestrator.tagging.plan import TaggingPlan
from orchestrator.tagging.raw import to_raw
from orchestrator.tagging.redundancy import is_whole_word_part
from orchestrator.tagging.resolve import resolve


def test_scores_are_stored_from_the_floor_on_rounded_first() -> None:
    probabilities = np.array([0.0, 0.04994, 0.04996, 0.05, 0.123456, 0.99996, 1.0], np.float32)

    assert to_raw(ModelScores(danbooru_model(), probabilities), 500) == (
        RawPrediction(DANBOORU, 2, 500),
        RawPrediction(DANBOORU, 3, 500),
        RawPrediction(DANBOORU, 4, 1235),
        RawPrediction(DANBOORU, 5, 10_000),
        RawPrediction(DANBOORU, 6, 10_000),
    )


@pytest.mark.parametrize(
    ("part", "whole", "answer"),
    [
        ("kimono", "short kimono", True),
        ("Kimono", "SHORT KIMONO", True),
        ("short kimono", "very short kimono dress", True),
        ("shirt", "t-shirt", True),
        ("kimono", "short_kimono", True),
        ("cat", "catgirl", False),
        ("girl", "catgirl", False),
        ("cat", "catgirl cat", True),
        ("kimono", "kimono", False),
        ("short dress", "short kimono dress", False),
        ("short kimono", "kimono", False),
        ("日本", "日本 刀", True),
        ("日本", "日本刀", False),
        (":)", "a :) face", True),
        ("", "anything", False),
    ],
)
def test_whole_word_parts(part, whole, answer) -> None:
    assert is_whole_word_part(part, whole) is answer


def test_the_plan_names_tags_through_their_aliases() -> None:
    plan = TaggingPlan.build(INPUTS)

    assert plan.tag(17).title == "long hair"
    with pytest.raises(KeyError):
        plan.tag(999)


def test_a_board_of_two_hundred_thousand_tags_is_planned_and_asked_quickly() -> None:
    # Given a board of the real one's size
    many = tuple(
        Tag(1_000 + index, 10**6 + index, f"tag {index}", TagType.THEME, parent_id=1_000 + index // 2 or None)
        for index in range(227_000)
    )
    inputs = replace(INPUTS, tags=(*TAGS, *many))
    raw = [RawPrediction(DANBOORU, label, 4_000 + label) for label in range(12)]

    started = time.process_time()
    plan = TaggingPlan.build(inputs)
    built = time.process_time()
    for _ in range(2_000):
        resolve(plan, ImageContext(False, frozenset({11, 14})), raw)
    asked = time.process_time()

    # Then both stay far below what a worker would notice, with room for slow machines
    assert built - started < 6
    assert (asked - built) / 2_000 < 0.001
