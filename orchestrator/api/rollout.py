"""Rolling versions out, for engineers: shadow, promote, roll back, retire."""

from collections.abc import Awaitable
from typing import TypeVar

from orchestrator.api.call import Call
from orchestrator.api.models import PATIENCE, answer_of
from orchestrator.api.operations import Reply
from orchestrator.errors import Conflict, ModelError
from orchestrator.registry.lifecycle import find_version
from orchestrator.rollout import shadowing, switching
from orchestrator.rollout.guard import Guard
from orchestrator.rollout.switching import Place, Promoted
from orchestrator.wire.models import (
    MeasuredAnswer,
    PromotionAnswer,
    PromotionRequest,
    RetireRequest,
    ShadowRequest,
)

T = TypeVar("T")


async def activate_version(call: Call) -> Reply:
    """Promote a version, or go back to the one before."""
    name, version = call.model_version
    row = await _served(switching.activate(_place(call), name, version))
    return Reply(200, await answer_of(call, row))


async def shadow_version(call: Call) -> Reply:
    """Have a version look at a share of the images."""
    body = await call.json(ShadowRequest)
    name, version = call.model_version
    await _served(shadowing.shadow(_place(call), name, version, body.share))
    return Reply(200, await answer_of(call, await find_version(call.resources.store, name, version)))


async def end_shadow(call: Call) -> Reply:
    """Have a version look no more."""
    name, version = call.model_version
    await shadowing.end_shadow(_place(call), name, version)
    return Reply(200, await answer_of(call, await find_version(call.resources.store, name, version)))


async def promote_version(call: Call) -> Reply:
    """Promote a version, if what is known of it lets it."""
    body = await call.json(PromotionRequest)
    name, version = call.model_version
    done = await _served(
        switching.promote(
            _place(call),
            name,
            version,
            guard=Guard(body.min_images, body.margin),
            force=body.force,
            reason=body.reason,
            restale=body.restale,
        )
    )
    return Reply(200, await _promotion(call, done))


async def roll_back(call: Call) -> Reply:
    """Go back to the version before the active one."""
    return Reply(
        200, await _promotion(call, await _served(switching.roll_back(_place(call), call.model_name)))
    )


async def retire_version(call: Call) -> Reply:
    """Take a version out of use."""
    body = await call.json(RetireRequest)
    name, version = call.model_version
    row = await switching.retire(_place(call), name, version, force=body.force)
    return Reply(200, await answer_of(call, row))


def _place(call: Call) -> Place:
    resources = call.resources
    return Place(resources.store, resources.settings, resources.triton, call.user.name, patience=PATIENCE)


async def _served(work: Awaitable[T]) -> T:
    """Await what tries a version; one that does not answer rightly is a conflict."""
    try:
        return await work
    except ModelError as error:
        raise Conflict(f"the version cannot be used: {error}", code="version_not_serving") from error


async def _promotion(call: Call, done: Promoted) -> PromotionAnswer:
    found = done.measured
    return PromotionAnswer(
        model=await answer_of(call, done.row),
        before=done.before,
        measured=None
        if found is None
        else MeasuredAnswer(images=found.images, judged=found.judged, f1=found.f1, change=found.change),
        forced=done.forced,
        backfill=done.backfill,
    )
