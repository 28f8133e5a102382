"""The operations that roll versions out."""

from collections.abc import Mapping

from orchestrator.accounts import Action
from orchestrator.api import rollout
from orchestrator.api.operations import Answer, Operation
from orchestrator.wire.models import (
    ModelVersion,
    PromotionAnswer,
    PromotionRequest,
    RetireRequest,
    ShadowRequest,
)

_GROUP = "Models"
_MEASURED = {"images": 1240, "judged": 310, "f1": [0.712, 0.731], "change": [-0.004, 0.041]}


def rollout_operations(prefix: str, *, version: Mapping[str, object]) -> tuple[Operation, ...]:
    """Return the operations, below `prefix`. `version`: an example of one."""
    one = f"{prefix}/models/{{name}}/versions/{{version}}"
    changed = {200: Answer("The version as it stands now", ModelVersion, example=version)}
    promoted = {"model": version, "before": 1, "measured": _MEASURED, "forced": False, "backfill": 7}
    back = {**promoted, "measured": None, "before": 3, "backfill": None}
    return (
        Operation(
            method="POST",
            path=f"{one}/shadow",
            name="shadowModel",
            group=_GROUP,
            summary="Have a version look at a share of the images, without a say",
            description=(
                "Live and backfill images alike, in spare capacity: after the suggestions of the active "
                "version are stored, and only while nobody waits. Again, to change the share."
            ),
            handler=rollout.shadow_version,
            action=Action.MANAGE_MODELS,
            body=ShadowRequest,
            body_example={"share": 0.1},
            problems=(409,),
            answers=changed,
        ),
        Operation(
            method="DELETE",
            path=f"{one}/shadow",
            name="endShadow",
            group=_GROUP,
            summary="Have a version look no more",
            description="What it scored stays.",
            handler=rollout.end_shadow,
            action=Action.MANAGE_MODELS,
            answers=changed,
        ),
        Operation(
            method="POST",
            path=f"{one}/promote",
            name="promoteModel",
            group=_GROUP,
            summary="Use a version from the next picture on, if what is known of it lets it",
            description=(
                "Both versions must have looked at `min_images`, and F1 against people's verdicts must not "
                "be lower for sure by more than `margin`: else 409 says what was measured. The first version "
                "of a name passes. What is under way finishes with the version before, which stays loaded. "
                "Pending suggestions follow by themselves; decisions stay."
            ),
            handler=rollout.promote_version,
            action=Action.MANAGE_MODELS,
            body=PromotionRequest,
            body_example={"restale": True},
            problems=(409,),
            answers={200: Answer("What was done", PromotionAnswer, example=promoted)},
        ),
        Operation(
            method="POST",
            path=f"{prefix}/models/{{name}}/rollback",
            name="rollBackModel",
            group=_GROUP,
            summary="Use the version before the active one again",
            description="It was kept loaded. Again, to go back further.",
            handler=rollout.roll_back,
            action=Action.MANAGE_MODELS,
            problems=(409,),
            answers={200: Answer("What was done", PromotionAnswer, example=back)},
        ),
        Operation(
            method="POST",
            path=f"{one}/retire",
            name="retireModel",
            group=_GROUP,
            summary="Take a version out of use, or give up one that was to be",
            description=(
                "The active version only by `force`: its name then has none. It stays loaded; again, to "
                "unload it. Its pending suggestions stay until another version has looked."
            ),
            handler=rollout.retire_version,
            action=Action.MANAGE_MODELS,
            body=RetireRequest,
            body_example={"force": False},
            problems=(409,),
            answers=changed,
        ),
        Operation(
            method="POST",
            path=f"{one}/activate",
            name="activateModel",
            group=_GROUP,
            summary="Promote a version, or go back to the one before",
            description="As `promote` without a word more; the version before the active one as `rollback`.",
            handler=rollout.activate_version,
            action=Action.MANAGE_MODELS,
            problems=(409,),
            answers=changed,
        ),
    )
