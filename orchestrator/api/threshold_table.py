"""The operations on thresholds."""

from collections.abc import Mapping

from orchestrator.accounts import Action
from orchestrator.api import examples, thresholds
from orchestrator.api.operations import Answer, Operation
from orchestrator.wire.thresholds import (
    FloorsChange,
    PreviewRequest,
    RollBackRequest,
    ThresholdChangePage,
    ThresholdChangesQuery,
    ThresholdEffectAnswer,
    ThresholdsAnswer,
    ThresholdsChanged,
    ThresholdsQuery,
)

_GROUP = "Thresholds"
_CATEGORY = {"category": "general", "floor": 0.4, "said": 0.4, "default": 0.35}
_LABEL = {"category": "general", "external_tag": "smile", "floor": 0.55, "said": 0.55, "advice": None}
_CHANGE = {
    "id": 7,
    "at": "2026-01-05T10:02:00.000Z",
    "actor": "eri",
    "model_name": "wd14",
    "model_version": 2,
    "back_to": None,
    "floors": [{"category": "general", "external_tag": "smile", "before": "default", "after": 0.55}],
}


def threshold_operations(prefix: str, *, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    """Return the operations, below `prefix`. `tag`: an example of one."""
    path = f"{prefix}/models/{{name}}/versions/{{version}}/thresholds"
    asked = {"floors": [{"external_tag": "smile", "floor": 0.55}]}
    changed = {200: Answer("The change", ThresholdsChanged, example={"change": _CHANGE})}
    return (
        Operation(
            method="GET",
            path=path,
            name="showThresholds",
            group=_GROUP,
            summary="Show a version's thresholds",
            description=(
                "`floor` is what counts: what people say of the label, else of its category, else the "
                "version's own advice for the label, for the category, else the settings."
            ),
            handler=thresholds.show_thresholds,
            action=Action.EDIT_THRESHOLDS,
            query=ThresholdsQuery,
            answers={
                200: Answer(
                    "Its categories, and a page of labels",
                    ThresholdsAnswer,
                    example={"categories": [_CATEGORY], "items": [_LABEL], "next_cursor": None},
                )
            },
        ),
        Operation(
            method="POST",
            path=path,
            name="setThresholds",
            group=_GROUP,
            summary="Say thresholds of a version, all that are named or none",
            description=(
                "Of categories, labels, or the labels that lead to a board tag now. `default` says nothing "
                "any more. Pending suggestions follow some seconds after the last change. Doing so again "
                "changes nothing."
            ),
            handler=thresholds.set_thresholds,
            action=Action.EDIT_THRESHOLDS,
            body=FloorsChange,
            body_example=asked,
            problems=(409,),
            answers=changed,
        ),
        Operation(
            method="POST",
            path=f"{path}/preview",
            name="previewThresholds",
            group=_GROUP,
            summary="Say what a change would do to the pending queue",
            description=(
                "The rules of a re-map are applied to stored scores; nothing is written. With more "
                "images than `sample`, the answer is an estimate and says so."
            ),
            handler=thresholds.preview,
            action=Action.EDIT_THRESHOLDS,
            body=PreviewRequest,
            body_example=asked,
            problems=(409,),
            answers={
                200: Answer(
                    "What would come and go",
                    ThresholdEffectAnswer,
                    example={**examples.effect(tag), "floors": 1, "proposes": True},
                )
            },
        ),
        Operation(
            method="POST",
            path=f"{path}/rollback",
            name="rollBackThresholds",
            group=_GROUP,
            summary="Bring an earlier state of a version's thresholds back",
            description="As it was after the change that is named; 0: before all changes. A change, too.",
            handler=thresholds.roll_back,
            action=Action.EDIT_THRESHOLDS,
            body=RollBackRequest,
            body_example={"back_to": 6},
            problems=(409,),
            answers=changed,
        ),
        Operation(
            method="GET",
            path=f"{prefix}/threshold-changes",
            name="listThresholdChanges",
            group=_GROUP,
            summary="Say who changed which thresholds when",
            handler=thresholds.list_changes,
            action=Action.EDIT_THRESHOLDS,
            query=ThresholdChangesQuery,
            problems=(404,),
            answers={
                200: Answer(
                    "A page, the newest first",
                    ThresholdChangePage,
                    example={"items": [_CHANGE], "next_cursor": None},
                )
            },
        ),
    )
