"""The training's own arithmetic, and its command where PyTorch is missing."""

import importlib.util

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestrator.demo.training.__main__ import app
from orchestrator.demo.training.scores import best_thresholds, score
from orchestrator.demo.training.thresholds import theme_thresholds, wd14_thresholds


def test_f1_counts_hits_misses_and_false_alarms() -> None:
    # Given two labels: one with a hit, a miss and a false alarm, one always right
    truth = np.array([[True, True], [True, False], [False, True]])
    said = np.array([[0.9, 0.8], [0.2, 0.1], [0.7, 0.9]], np.float32)
    # When they are scored
    scoring = score(said, truth, ["half", "whole"])
    # Then F1 is 2 / (2 + 1 + 1) and 1, and the mean lies between
    assert scoring.f1 == {"half": 0.5, "whole": 1.0}
    assert scoring.macro_f1 == 0.75
    assert scoring.weakest == ("half", 0.5)


def test_labels_that_do_not_occur_are_not_scored() -> None:
    # Given a label that is true of nothing, when it is scored, then it has no F1
    truth = np.array([[True, False], [False, False]])
    assert set(score(truth.astype(np.float32), truth, ["there", "absent"]).f1) == {"there"}


def test_the_best_threshold_parts_the_classes() -> None:
    # Given a label whose true rows score 0.6 and more, and whose false ones 0.5 and less
    said = np.array([[0.1], [0.5], [0.6], [0.9]], np.float32)
    truth = np.array([[False], [False], [True], [True]])
    # When its threshold is chosen, then it lies between
    (threshold,) = best_thresholds(said, truth)
    assert 0.5 < threshold < 0.6


def test_advice_for_danbooru_labels_never_undercuts_the_plan() -> None:
    # Given a model that knows everything, when advice is asked for
    truth = np.random.default_rng(0).random((50, 59)) < 0.3
    advice = wd14_thresholds(truth.astype(np.float32), truth)
    # Then the floor for general labels is the plan's, and characters have their own
    assert advice.general == 0.35
    assert advice.character == 0.85


def test_advice_for_themes_is_by_external_id() -> None:
    # Given a theme model, when advice is asked for, then every theme has a floor, by the board's id
    truth = np.random.default_rng(0).random((50, 12)) < 0.3
    advice = theme_thresholds(truth.astype(np.float32), truth)
    assert set(advice.by_label) == {str(external_id) for external_id in range(501, 513)}


def test_training_without_pytorch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an installation without PyTorch
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    # When training is asked for
    result = CliRunner().invoke(app, ["train"])
    # Then it ends with what to install, and without a traceback
    assert result.exit_code == 2
    assert "pip install torch==2.13.0 onnxscript" in " ".join(result.output.split())
