"""Model versions for engineers: look at them, take them out of use."""

import json

from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.records import VersionState, as_probability
from orchestrator.registry import lifecycle
from orchestrator.registry.manifest import parse_manifest
from orchestrator.store import audit, models, shadows
from orchestrator.store.models import VersionRow
from orchestrator.store.shadows import Shadow
from orchestrator.store.transaction import Transaction
from orchestrator.wire.models import (
    AuditAnswer,
    ModelVersion,
    ModelVersionDetail,
    ModelVersionPage,
    ShadowAnswer,
)

PATIENCE = 5.0
"""Seconds that a caller waits for somebody else who is changing the same model."""


async def list_versions(call: Call) -> Reply:
    """List every version."""

    async def read(tx: Transaction) -> tuple[list[VersionRow], dict[int, Shadow]]:
        return await models.list_versions(tx), await shadows.all_shadows(tx)

    rows, shadowed = await call.read(read)
    items = tuple(version_answer(row, shadowed.get(row.id)) for row in rows)
    return Reply(200, ModelVersionPage(items=items, next_cursor=None))


async def show_version(call: Call) -> Reply:
    """Show a version, its manifest and its history."""
    name, version = call.model_version
    row = await lifecycle.find_version(call.resources.store, name, version)

    async def read(tx: Transaction) -> tuple[str, list[audit.AuditEntry], Shadow | None]:
        shadowed = await shadows.all_shadows(tx)
        return (
            await models.manifest(tx, row.id),
            await audit.of(tx, f"{name}/{version}"),
            shadowed.get(row.id),
        )

    manifest, history, shadow = await call.read(read)
    return Reply(
        200,
        ModelVersionDetail(
            **dict(version_answer(row, shadow)),
            manifest=parse_manifest(manifest),
            history=tuple(
                AuditAnswer(at=one.at, actor=one.actor, action=one.action, detail=json.loads(one.detail))
                for one in history
            ),
        ),
    )


async def deactivate_version(call: Call) -> Reply:
    """Take a version out of use, or unload one that is not in use."""
    name, version = call.model_version
    resources = call.resources
    row = await lifecycle.deactivate(
        resources.store,
        resources.settings,
        resources.triton,
        name,
        version,
        actor=call.user.name,
        patience=PATIENCE,
    )
    return Reply(200, await answer_of(call, row))


async def remove_version(call: Call) -> Reply:
    """Give a version up."""
    name, version = call.model_version
    resources = call.resources
    await lifecycle.remove(
        resources.store,
        resources.settings,
        resources.triton,
        name,
        version,
        actor=call.user.name,
        patience=PATIENCE,
    )
    return Reply(200, await answer_of(call, await lifecycle.find_version(resources.store, name, version)))


async def answer_of(call: Call, row: VersionRow) -> ModelVersion:
    """Return a version as answers show it."""
    return version_answer(row, (await call.read(shadows.all_shadows)).get(row.id))


def version_answer(row: VersionRow, shadow: Shadow | None) -> ModelVersion:
    """Return a version, and its shadowing if it has any, as answers show it."""
    return ModelVersion(
        name=row.name,
        version=row.version,
        state=row.state,
        loaded=row.loaded,
        source=row.source,
        vocabulary=row.vocabulary,
        sha256=row.sha256,
        created_at=row.created_at,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
        shadow=None
        if shadow is None
        else ShadowAnswer(
            share=as_probability(shadow.share),
            started_at=shadow.started_at,
            images=shadow.images,
            failures=shadow.failures,
            held_back=shadow.held_back if row.state is VersionState.SHADOW else None,
        ),
    )
