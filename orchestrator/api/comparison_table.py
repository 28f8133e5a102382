"""The operation that compares versions."""

from collections.abc import Mapping

from orchestrator.accounts import Action
from orchestrator.api import comparing
from orchestrator.api.operations import Answer, Operation
from orchestrator.wire.comparison import ComparisonAnswer, ComparisonQuery

_AGREEMENT = {"both": 880, "only_m": 60, "only_n": 60, "share": 0.88}
_QUEUE = {"added": 41, "dropped": 38}
_DRIFT = {"pairs": 2400, "change": 0.012, "spread": 0.054}


def _estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def _quality(f1: float) -> dict[str, object]:
    names = ("precision", "recall", "unprompted", "f1")
    return {name: _estimate(f1) for name in names}


_PAIRED = {"judged": 412, "m": _quality(0.81), "n": _quality(0.84), "f1_difference": _estimate(0.03)}


def comparison_operations(prefix: str, *, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    """Return the operation, below `prefix`. `tag`: an example of one."""
    of_tag = {"tag": tag, "agreement": _AGREEMENT, "queue": _QUEUE, "quality": _PAIRED}
    changed = {"tag": tag, "confidence": 0.91, "said": "approved"}
    point = {
        "threshold": 0.35,
        "precision_m": 0.8,
        "recall_m": 0.7,
        "precision_n": 0.82,
        "recall_n": 0.74,
    }
    example = {
        "name": "wd14",
        "m": 1,
        "n": 2,
        "images": 1000,
        "same": 610,
        "agreement": _AGREEMENT,
        "queue": _QUEUE,
        "quality": _PAIRED,
        "types": [{"type": "theme", "agreement": _AGREEMENT, "queue": _QUEUE, "quality": _PAIRED}],
        "tags": [of_tag],
        "categories": [
            {"category": "general", "drift": _DRIFT, "histogram": [60] * 40, "only_m": 0, "only_n": 12}
        ],
        "labels": [{"name": "blue_eyes", "category": "general", "tag": tag, "drift": _DRIFT}],
        "curves": [{"type": None, "points": [point]}],
        "changed": [{"image_id": 12, "added": [changed], "dropped": []}],
    }
    return (
        Operation(
            method="GET",
            path=f"{prefix}/models/{{name}}/versions/{{version}}/comparison",
            name="compareModels",
            group="Models",
            summary="Compare a version with the active one",
            description=(
                "Or with another one: `before`. Of images that both have looked at, the newest: do they "
                "agree, how did scores move, what would people be shown, and how good are both against "
                "what people decided and applied. No model looks, and nothing changes. Takes a second for "
                "1,000 images; 503 when it takes longer than 25. An answer may be a minute old."
            ),
            handler=comparing.compare_models,
            action=Action.MANAGE_MODELS,
            query=ComparisonQuery,
            query_example={"before": 1, "images": 1000},
            answers={200: Answer("The comparison", ComparisonAnswer, example=example)},
        ),
    )
