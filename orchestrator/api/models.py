"""Model versions for engineers: look at them, put them in use, take them out."""

import json

from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.errors import Conflict, ModelError
from orchestrator.registry import lifecycle
from orchestrator.registry.manifest import parse_manifest
from orchestrator.store import audit, models
from orchestrator.store.models import VersionRow
from orchestrator.store.transaction import Transaction
from orchestrator.wire.models import AuditAnswer, ModelVersion, ModelVersionDetail, ModelVersionPage

PATIENCE = 5.0
"""Seconds that a caller waits for somebody else who is changing the same model."""


async def list_versions(call: Call) -> Reply:
    """List every version."""
    rows = await call.read(models.list_versions)
    return Reply(200, ModelVersionPage(items=tuple(_answer(row) for row in rows), next_cursor=None))


async def show_version(call: Call) -> Reply:
    """Show a version, its manifest and its history."""
    name, version = call.model_version
    row = await lifecycle.find_version(call.resources.store, name, version)

    async def read(tx: Transaction) -> tuple[str, list[audit.AuditEntry]]:
        return await models.manifest(tx, row.id), await audit.of(tx, f"{name}/{version}")

    manifest, history = await call.read(read)
    return Reply(
        200,
        ModelVersionDetail(
            **dict(_answer(row)),
            manifest=parse_manifest(manifest),
            history=tuple(
                AuditAnswer(at=one.at, actor=one.actor, action=one.action, detail=json.loads(one.detail))
                for one in history
            ),
        ),
    )


async def activate_version(call: Call) -> Reply:
    """Put a version in use."""
    name, version = call.model_version
    resources = call.resources
    try:
        row = await lifecycle.activate(
            resources.store,
            resources.settings,
            resources.triton,
            name,
            version,
            actor=call.user.name,
            patience=PATIENCE,
        )
    except ModelError as error:
        raise Conflict(f"the version cannot be used: {error}", code="version_not_serving") from error
    return Reply(200, _answer(row))


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
    return Reply(200, _answer(row))


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
    return Reply(200, _answer(await lifecycle.find_version(resources.store, name, version)))


def _answer(row: VersionRow) -> ModelVersion:
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
    )
