"""What becomes of a published version: in use, out of use, gone. One database row decides; Triton is made
ready before, and the row is switched in one transaction with its audit entry."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.errors import Conflict, InferenceUnavailable, ModelError, NotFound
from orchestrator.inference.client import TritonClient
from orchestrator.records import ServedModel, VersionState
from orchestrator.registry.manifest import parse_manifest
from orchestrator.registry.register import record
from orchestrator.registry.serving import PATIENCE, Say, alone, check_golden, silent
from orchestrator.registry.staging import remove_folder
from orchestrator.settings import Settings
from orchestrator.store import models
from orchestrator.store.models import DRAIN, VersionRow
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store


@dataclass(frozen=True, slots=True)
class Switch:
    """What a switch is put on record as. `instead_of`: the version, by id, that must still be the active one
    then, None for none; not asked unless given. `also`: done in the same transaction; what it returns is
    recorded, too."""

    what: str = "activated"
    detail: Mapping[str, object] = field(default_factory=dict)
    instead_of: tuple[int | None] | None = None
    also: Callable[[Transaction], Awaitable[Mapping[str, object]]] | None = None


ACTIVATED = Switch()


async def find_version(store: Store, name: str, version: int) -> VersionRow:
    """Return a version's row. Raises NotFound (`version_not_found`)."""
    row = await store.read(lambda tx: models.find(tx, name, version))
    if row is None:
        raise NotFound(
            f"no version {version} of {name} is registered (`tagdesk models list` shows which are)",
            code="version_not_found",
        )
    return row


async def activate(
    store: Store,
    settings: Settings,
    triton: TritonClient,
    name: str,
    version: int,
    *,
    actor: str,
    say: Say = silent,
    patience: float = PATIENCE,
) -> VersionRow:
    """Make a version the one that looks at pictures from now on; the one before stays loaded.

    What is under way finishes with the version it began with. Doing so again changes nothing. Raises
    NotFound, Conflict (`version_removed`, `model_busy`), ModelError when it does not answer rightly,
    InferenceUnavailable, StoreUnavailable; nothing has changed then.
    """
    async with alone(settings, name, say=say, patience=patience):
        row = await find_version(store, name, version)
        if row.state is not VersionState.ACTIVE:
            await switch_to(store, settings, triton, row.id, actor=actor, say=say)
    return await find_version(store, name, version)


async def switch_to(
    store: Store,
    settings: Settings,
    triton: TritonClient,
    version_id: int,
    *,
    actor: str,
    say: Say = silent,
    switch: Switch = ACTIVATED,
) -> None:
    """Do what `activate` does, for who holds the model's lock.

    Raises also Conflict (`active_changed`) when another version has become active than `switch` expects.
    """
    model = await bring_in(store, settings, triton, version_id, say=say)

    async def work(tx: Transaction) -> None:
        rows = await models.lock_name(tx, model.name)
        before = next((row for row in rows if row.state is VersionState.ACTIVE), None)
        if switch.instead_of is not None and switch.instead_of != (None if before is None else before.id,):
            raise Conflict(
                f"another version of {model.name} has become active meanwhile: look again",
                code="active_changed",
            )
        await models.set_active(tx, version_id)
        detail = {"before": None if before is None else before.version, **switch.detail}
        if switch.also is not None:
            detail |= await switch.also(tx)
        await record(tx, switch.what, model.name, model.version, actor=actor, **detail)

    await store.write(work)
    say(f"{model.name} {model.version} is active")


async def bring_in(
    store: Store, settings: Settings, triton: TritonClient, version_id: int, *, say: Say = silent
) -> ServedModel:
    """Have Triton serve a version that may be put in use, and try it, for who holds the model's lock."""
    model = await store.read(lambda tx: models.get(tx, settings, version_id))
    expect_present(model.state, model.name, model.version)
    loaded = await _loaded(store, model.name)
    if model.version not in loaded:
        say(f"loading {model.name} {model.version} into Triton")
        await triton.load(model.name, [*loaded, model.version], repository=settings.model_repository)
    await _check(store, settings, triton, model)
    return model


async def deactivate(
    store: Store,
    settings: Settings,
    triton: TritonClient,
    name: str,
    version: int,
    *,
    actor: str,
    say: Say = silent,
    patience: float = PATIENCE,
) -> VersionRow:
    """Take a version out of use. One that is not in use is unloaded from Triton; its files stay.

    Raises NotFound, Conflict (`version_removed`, `version_draining`, `model_busy`), StoreUnavailable.
    """
    async with alone(settings, name, say=say, patience=patience):
        row = await find_version(store, name, version)
        expect_present(row.state, name, version)
        if row.state in models.LOOKING_STATES:

            async def retire(tx: Transaction) -> None:
                await models.retire(tx, row.id)
                await record(tx, "deactivated", name, version, actor=actor)

            await store.write(retire)
            say(f"{name} {version} is out of use, and stays loaded")
        elif row.loaded:
            await unload(store, settings, triton, row, actor=actor, say=say)
        return await find_version(store, name, version)


async def unload(
    store: Store, settings: Settings, triton: TritonClient, row: VersionRow, *, actor: str, say: Say = silent
) -> None:
    """Take a version that is not in use out of Triton, for who holds the model's lock; its files stay.

    Raises Conflict (`version_in_use`) when it has been put in use meanwhile, StoreUnavailable.
    """
    await _drained(row, say)

    async def work(tx: Transaction) -> None:
        await models.set_loaded(tx, row.id, False)
        await record(tx, "unloaded", row.name, row.version, actor=actor)

    await store.write(work)
    await _follow(store, settings, triton, row.name)
    say(f"{row.name} {row.version} is unloaded; its files stay")


async def remove(
    store: Store,
    settings: Settings,
    triton: TritonClient,
    name: str,
    version: int,
    *,
    actor: str,
    say: Say = silent,
    patience: float = PATIENCE,
) -> None:
    """Give a version up: unloaded, its folder deleted, its number never used again.

    What it suggested and what people said of that stays. Raises NotFound, Conflict (`version_in_use`,
    `model_busy`), StoreUnavailable.
    """
    async with alone(settings, name, say=say, patience=patience):
        row = await find_version(store, name, version)
        if row.state in models.LOOKING_STATES:
            raise Conflict(
                f"{name} {version} is {row.state}: promote another version or retire this one first",
                code="version_in_use",
            )
        if row.state is not VersionState.REMOVED:
            await _drained(row, say)

            async def give_up(tx: Transaction) -> None:
                await models.mark_removed(tx, row.id)
                await record(tx, "removed", name, version, actor=actor)

            await store.write(give_up)
            await _follow(store, settings, triton, name)
        try:
            await asyncio.to_thread(remove_folder, settings.model_repository, name, version)
        except OSError as error:
            say(f"the folder is left to the keeper, which may delete it: {error}")
    say(f"{name} {version} is removed")


def folder_of(settings: Settings, name: str, version: int) -> Path:
    """Return a version's folder."""
    return settings.model_repository / name / str(version)


def expect_present(state: VersionState, name: str, version: int) -> None:
    """Raise Conflict (`version_removed`) for a version that was removed."""
    if state is VersionState.REMOVED:
        raise Conflict(f"{name} {version} was removed; publish it anew", code="version_removed")


async def _check(store: Store, settings: Settings, triton: TritonClient, model: ServedModel) -> None:
    manifest = parse_manifest(await store.read(lambda tx: models.manifest(tx, model.id)))
    await check_golden(triton, model, folder_of(settings, model.name, model.version), manifest)


async def _loaded(store: Store, name: str) -> list[int]:
    rows = await store.read(models.list_versions)
    return [row.version for row in rows if row.name == name and row.loaded]


async def _drained(row: VersionRow, say: Say) -> None:
    """Wait until no request can be under way to a version that was in use. One to a shadow may fail."""
    if row.retired_at is None or row.activated_at is None:
        return
    left = (row.retired_at + timedelta(seconds=DRAIN) - datetime.now(UTC)).total_seconds()
    if left > 0:
        say(f"waiting {left:.0f} s for requests that are under way")
        await asyncio.sleep(left)


async def _follow(store: Store, settings: Settings, triton: TritonClient, name: str) -> None:
    """Have Triton serve what the rows say; when it is away the keeper does it later."""
    loaded = await _loaded(store, name)
    try:
        if loaded:
            await triton.load(name, loaded, repository=settings.model_repository)
        else:
            await triton.unload(name)
    except (ModelError, InferenceUnavailable):
        return
