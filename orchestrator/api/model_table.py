"""The operations on model versions."""

from orchestrator.accounts import Action
from orchestrator.api import models
from orchestrator.api.operations import Answer, Operation
from orchestrator.api.rollout_table import rollout_operations
from orchestrator.wire.models import ModelVersion, ModelVersionDetail, ModelVersionPage

_GROUP = "Models"
_VERSION = {
    "name": "wd14",
    "version": 2,
    "state": "active",
    "loaded": True,
    "source": "danbooru",
    "vocabulary": "danbooru",
    "sha256": "534ef96daf011527191c3faa0f1f301a9e821085fc338c57db4708a5521a406a",
    "created_at": "2026-01-05T10:00:00.000Z",
    "activated_at": "2026-01-05T10:02:00.000Z",
    "retired_at": None,
    "shadow": {
        "share": 0.1,
        "started_at": "2026-01-05T10:01:00.000Z",
        "images": 1240,
        "failures": 0,
        "held_back": None,
    },
}
_MANIFEST = {
    "schema_version": 1,
    "name": "wd14",
    "version": 2,
    "family": "wd14",
    "vocabulary": "danbooru",
    "model_source": "danbooru",
    "geometry": {"size": 448, "pad_colour": [255, 255, 255], "filter": "bicubic"},
    "input": {"name": "input", "layout": "NHWC", "channel_order": "BGR", "value_range": [0.0, 255.0]},
    "output": {"name": "output", "activation": "probabilities"},
    "labels": {
        "file": "selected_tags.csv",
        "sha256": _VERSION["sha256"],
        "format": "wd14_csv",
        "count": 10_861,
    },
    "model": {"file": "original.onnx", "sha256": _VERSION["sha256"]},
    "thresholds": {"general": 0.35, "character": 0.85},
    "batch": {"maximum": 16, "preferred": 8},
    "source": "https://models.example/wd14-v3",
    "licence": "Apache-2.0",
    "created": "2026-01-05",
}
_DETAIL = {
    **_VERSION,
    "manifest": _MANIFEST,
    "history": [
        {
            "at": "2026-01-05T10:02:00.000Z",
            "actor": "eri",
            "action": "model.activated",
            "detail": {"before": 1},
        }
    ],
}


def model_operations(prefix: str) -> tuple[Operation, ...]:
    """Return the operations on model versions, below `prefix`."""
    one = f"{prefix}/models/{{name}}/versions/{{version}}"
    changed = {200: Answer("The version as it stands now", ModelVersion, example=_VERSION)}
    return (
        Operation(
            method="GET",
            path=f"{prefix}/models",
            name="listModels",
            group=_GROUP,
            summary="List the model versions",
            handler=models.list_versions,
            action=Action.MANAGE_MODELS,
            answers={
                200: Answer(
                    "Every version",
                    ModelVersionPage,
                    example={"items": [_VERSION], "next_cursor": None},
                )
            },
        ),
        Operation(
            method="GET",
            path=one,
            name="showModel",
            group=_GROUP,
            summary="Show a version, its manifest and its history",
            handler=models.show_version,
            action=Action.MANAGE_MODELS,
            answers={200: Answer("The version", ModelVersionDetail, example=_DETAIL)},
        ),
        *rollout_operations(prefix, version=_VERSION),
        Operation(
            method="POST",
            path=f"{one}/deactivate",
            name="deactivateModel",
            group=_GROUP,
            summary="Take a version out of use",
            description="As `retire` by force; one that is not in use is unloaded from Triton at once.",
            handler=models.deactivate_version,
            action=Action.MANAGE_MODELS,
            problems=(409,),
            answers=changed,
        ),
        Operation(
            method="DELETE",
            path=one,
            name="removeModel",
            group=_GROUP,
            summary="Give up a version that is not in use",
            description=(
                "It is unloaded, after the seconds that requests under way may take, and its files are "
                "deleted. What it suggested stays, and its number is never used again."
            ),
            handler=models.remove_version,
            action=Action.MANAGE_MODELS,
            problems=(409,),
            answers=changed,
        ),
    )
