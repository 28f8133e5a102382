"""The operations on raw predictions."""

from orchestrator.accounts import Action
from orchestrator.api import retention
from orchestrator.api.operations import Answer, Operation
from orchestrator.wire.retention import RawAnswer, RawPage, RetentionRequest

_GROUP = "Models"
_RAW = {
    "name": "wd14",
    "version": 1,
    "state": "retired",
    "images": 1_000_000,
    "rows": 24_800_000,
    "bytes": 744_000_000,
    "policy": "newest",
    "newest": 100_000,
    "forced": False,
    "dropped_images": 12_000,
    "dropped_rows": 297_600,
}


def retention_operations(prefix: str) -> tuple[Operation, ...]:
    """Return the operations, below `prefix`."""
    return (
        Operation(
            method="GET",
            path=f"{prefix}/raw-predictions",
            name="listRawPredictions",
            group=_GROUP,
            summary="Say how many raw predictions each version has, and how long they are kept",
            description="Rows are an estimate from a few hundred images; of few images they are exact.",
            handler=retention.list_raw,
            action=Action.READ_RAW,
            answers={
                200: Answer(
                    "Every version",
                    RawPage,
                    example={"items": [_RAW], "next_cursor": None, "bytes_on_disk": 812_646_400},
                )
            },
        ),
        Operation(
            method="PUT",
            path=f"{prefix}/models/{{name}}/versions/{{version}}/raw-retention",
            name="setRawRetention",
            group=_GROUP,
            summary="Say how long a version's raw predictions are kept",
            description=(
                "All, those of the newest images, or none; the keeper drops the others bit by bit. Of a "
                "version that is active or a shadow, and where the active one has not looked yet, nothing is "
                "dropped without `force`. Pending suggestions stay; what is dropped comes back only by "
                "analysing the images again."
            ),
            handler=retention.set_retention,
            action=Action.MANAGE_MODELS,
            body=RetentionRequest,
            body_example={"policy": "newest", "newest": 100_000},
            problems=(409,),
            answers={200: Answer("The version's raw predictions", RawAnswer, example=_RAW)},
        ),
    )
