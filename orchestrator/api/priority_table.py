"""The operations on priorities of models."""

from collections.abc import Mapping

from orchestrator.accounts import Action
from orchestrator.api import examples, priorities
from orchestrator.api.operations import Answer, Operation
from orchestrator.wire.effects import EffectAnswer
from orchestrator.wire.priorities import (
    PrioritiesAnswer,
    PrioritiesChange,
    PrioritiesChanged,
    PrioritiesPreview,
    PrioritiesRollBack,
    PriorityChangePage,
    PriorityChangesQuery,
)

_GROUP = "Models"
_ORDER = ["custom_theme", "wd14"]
_CHANGE = {
    "id": 9,
    "at": "2026-01-05T10:02:00.000Z",
    "actor": "eri",
    "back_to": None,
    "rules": [
        {"type": "character", "tag_id": None, "title": None, "before": [], "after": ["wd14", "custom_theme"]}
    ],
}


def priority_operations(prefix: str, *, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    """Return the operations, below `prefix`. `tag`: an example of one."""
    path = f"{prefix}/model-priorities"
    asked = {"rules": [{"type": "character", "models": ["wd14", "custom_theme"]}]}
    shown = {
        "order": _ORDER,
        "items": [{"type": None, "tag": tag, "models": ["wd14"]}],
        "next_cursor": None,
    }
    changed = {200: Answer("The change", PrioritiesChanged, example={"change": _CHANGE})}
    return (
        Operation(
            method="GET",
            path=path,
            name="showPriorities",
            group=_GROUP,
            summary="Show which model goes first where several speak of one tag",
            description=(
                "What is said of the tag counts, else what is said of its type, else `order`: the board's "
                "own models before general ones. A version that is in use always goes before a retired one."
            ),
            handler=priorities.show_priorities,
            action=Action.MANAGE_MODELS,
            answers={200: Answer("All that is said", PrioritiesAnswer, example=shown)},
        ),
        Operation(
            method="POST",
            path=path,
            name="setPriorities",
            group=_GROUP,
            summary="Say which model goes first, for types of tags or single tags",
            description=(
                "Score and confidence come from the first one above its threshold; the evidence of all is "
                "kept. Pending suggestions follow some seconds after the last change. Doing so again changes "
                "nothing."
            ),
            handler=priorities.set_priorities,
            action=Action.MANAGE_MODELS,
            body=PrioritiesChange,
            body_example=asked,
            answers=changed,
        ),
        Operation(
            method="POST",
            path=f"{path}/preview",
            name="previewPriorities",
            group=_GROUP,
            summary="Say what a change of priorities would do to the pending queue",
            handler=priorities.preview,
            action=Action.MANAGE_MODELS,
            body=PrioritiesPreview,
            body_example=asked,
            answers={200: Answer("What would change", EffectAnswer, example=examples.effect(tag))},
        ),
        Operation(
            method="POST",
            path=f"{path}/rollback",
            name="rollBackPriorities",
            group=_GROUP,
            summary="Bring an earlier state of the priorities back",
            description="As it was after the change that is named; 0: before all changes. A change, too.",
            handler=priorities.roll_back,
            action=Action.MANAGE_MODELS,
            body=PrioritiesRollBack,
            body_example={"back_to": 8},
            problems=(404,),
            answers=changed,
        ),
        Operation(
            method="GET",
            path=f"{prefix}/priority-changes",
            name="listPriorityChanges",
            group=_GROUP,
            summary="Say who changed which priorities when",
            handler=priorities.list_changes,
            action=Action.MANAGE_MODELS,
            query=PriorityChangesQuery,
            answers={
                200: Answer(
                    "A page, the newest first",
                    PriorityChangePage,
                    example={"items": [_CHANGE], "next_cursor": None},
                )
            },
        ),
    )
