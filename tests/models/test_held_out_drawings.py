"""On drawings that no training has seen the shipped models reach their targets, and mistakes cost dearly."""

import pytest
from versions import REPOSITORY

from orchestrator.demo.portraits.vocabulary import LABELS, THEMES
from orchestrator.demo.training.dataset import HELD_OUT_SEED, TRAINING_SEED
from orchestrator.demo.training.evaluate import Judgement, held_out_drawings, judge
from orchestrator.registry.manifest import read_manifest

pytestmark = pytest.mark.xdist_group("drawings")  # what they share is set up once

DRAWINGS = 500
MISTAKEN = 100
"""Drawings that show what a mistake costs: thrice what is asked for, so that fewer will do."""


@pytest.fixture(scope="module")
def judgement() -> Judgement:
    """The drawings, judged."""
    return judge(REPOSITORY, held_out_drawings(DRAWINGS))


@pytest.fixture(scope="module")
def mistaken() -> Judgement:
    """The first of the drawings, judged rightly and with each mistake."""
    return judge(REPOSITORY, held_out_drawings(MISTAKEN), with_mistakes=True)


def test_the_drawings_are_unseen() -> None:
    # Given the seeds of training, then those of the evaluation lie beyond
    training = read_manifest(REPOSITORY / "wd14" / "1").training
    assert training is not None
    assert training.images is not None
    assert TRAINING_SEED + training.images < HELD_OUT_SEED


def test_wd14_sees_what_is_drawn(judgement: Judgement) -> None:
    # Given 500 unseen drawings, when the served wd14 judges them at 0.5
    scoring = judgement.wd14()
    # Then macro-F1 is at least 0.92, over every label, and no label is under 0.6
    assert scoring.images == DRAWINGS
    assert set(scoring.f1) == set(LABELS)
    assert scoring.macro_f1 >= 0.92
    name, lowest = scoring.weakest
    assert lowest >= 0.6, name


def test_custom_theme_sees_the_boards_themes(judgement: Judgement) -> None:
    # Given 500 unseen drawings, when the served custom_theme judges them at 0.5
    scoring = judgement.custom_theme()
    # Then macro-F1 over all twelve themes is at least 0.80
    assert set(scoring.f1) == {theme.title for theme in THEMES}
    assert scoring.macro_f1 >= 0.80


@pytest.mark.parametrize("mistake", ["channels swapped", "divided by 255", "transposed", "double sigmoid"])
def test_a_preparation_mistake_costs_at_least_three_tenths(mistaken: Judgement, mistake: str) -> None:
    # Given the same drawings, fed or read wrongly
    spoiled = mistaken.wd14_mistaken()[mistake]
    # When both are scored, then the mistake costs at least 0.3 of macro-F1
    assert mistaken.wd14().macro_f1 - spoiled.macro_f1 >= 0.3
