"""Promote, roll back, retire: one database transaction decides, with its audit entry and its event.

Workers read the stamp of the rules before each image, so every one takes the new version from its next image
on; what is under way finishes with the version it began with, which stays loaded.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from orchestrator.backfill.runs import start_stale
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.inference.client import TritonClient
from orchestrator.records import VersionState
from orchestrator.registry import lifecycle
from orchestrator.registry.lifecycle import Switch, expect_present, find_version, switch_to, unload
from orchestrator.registry.register import record
from orchestrator.registry.serving import PATIENCE, Say, alone, silent
from orchestrator.rollout.guard import Guard, Measured, faults
from orchestrator.rollout.measuring import measure
from orchestrator.settings import Settings
from orchestrator.store import models
from orchestrator.store.models import VersionRow
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

Measure = Callable[[Store, Settings, VersionRow, VersionRow], Awaitable[Measured]]
"""Compares the active version with another."""

READY_DEADLINE = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """An installation, and who is on record for what is done to it."""

    store: Store
    settings: Settings
    triton: TritonClient
    actor: str
    say: Say = silent
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True)
class Promoted:
    """What a promotion did. `before`: the number of the version that was active, None for none or when there
    was nothing to do; `measured`: None where there was nothing to compare with; `backfill`: its id."""

    row: VersionRow
    before: int | None = None
    measured: Measured | None = None
    forced: bool = False
    backfill: int | None = None


async def promote(
    place: Place,
    name: str,
    version: int,
    *,
    guard: Guard | None = None,
    force: bool = False,
    reason: str | None = None,
    restale: bool = False,
    compare: Measure = measure,
) -> Promoted:
    """Make a version the active one of its name, if what is known of it lets it.

    The first of a name has nothing to be compared with and passes. `force` passes in any case, with a
    `reason`, which is recorded in any case. `restale`: queue what only older versions have looked at.
    Promoting the active version changes nothing. Raises InvalidInput (`reason_missing`), Conflict
    (`promotion_refused`, `active_changed`), and as `lifecycle.activate`; nothing has changed then.
    """
    if force and not (reason or "").strip():
        raise InvalidInput("forcing needs a reason for the record", code="reason_missing")
    row = await find_version(place.store, name, version)
    expect_present(row.state, name, version)
    if row.state is VersionState.ACTIVE:
        place.say(f"{name} {version} is active already")
        return Promoted(row)
    before = await _active(place.store, name)
    if before is not None:
        place.say(f"comparing {name} {before.version} and {version} on what both have looked at")
    measured = None if before is None else await compare(place.store, place.settings, before, row)
    found = () if measured is None else faults(measured, guard or Guard())
    if before is not None and found and not force:
        raise Conflict(
            f"{name} {version} is not promoted over {before.version}: {'; '.join(found)}. Let it shadow and"
            " people review for longer, or force it with a reason (--force --reason)",
            code="promotion_refused",
        )
    backfill: list[int] = []

    async def also(tx: Transaction) -> Mapping[str, object]:
        backfill[:] = [await start_stale(tx, name)] if restale else []
        return {"backfill": backfill[0]} if backfill else {}

    rails = guard or Guard()
    detail: dict[str, object] = {
        "measured": None if measured is None else measured.as_detail(),
        "guard": {"min_images": rails.min_images, "margin": rails.margin},
    }
    if found:
        detail["forced"] = list(found)
    if (reason or "").strip():
        detail["reason"] = reason
    switch = Switch("promoted", detail, instead_of=(None if before is None else before.id,), also=also)
    async with alone(place.settings, name, say=place.say, patience=place.patience):
        await switch_to(
            place.store,
            place.settings,
            place.triton,
            row.id,
            actor=place.actor,
            say=place.say,
            switch=switch,
        )
    return Promoted(
        row=await find_version(place.store, name, version),
        before=None if before is None else before.version,
        measured=measured,
        forced=bool(found),
        backfill=backfill[0] if backfill else None,
    )


async def activate(place: Place, name: str, version: int) -> VersionRow:
    """Promote a version, or, when it is the one before the active one, go back to it. Raises as these do."""
    active = await _active(place.store, name)
    row = await find_version(place.store, name, version)
    if active is not None and active.replaced_id == row.id:
        return (await roll_back(place, name)).row
    return (await promote(place, name, version)).row


async def roll_back(place: Place, name: str) -> Promoted:
    """Make the version before the active one active again.

    It was kept loaded, so one transaction is all; if Triton does not serve it any more, it is loaded and
    tried first. Raises NotFound (`version_not_found`) for an unknown name, Conflict (`nothing_before`,
    `active_changed`), StoreUnavailable, and as `lifecycle.activate` when it has to be loaded.
    """
    active, before = await _one_before(place, name)
    if await _is_served(place, before):
        done = await place.store.write(lambda tx: _go_back(tx, name, active, place.actor))
        place.say(f"{name} {done.row.version} is active again")
        return done
    place.say(f"{name} {before.version} is not loaded any more")
    async with alone(place.settings, name, say=place.say, patience=place.patience):
        await lifecycle.bring_in(place.store, place.settings, place.triton, before.id, say=place.say)
        return await place.store.write(lambda tx: _go_back(tx, name, active, place.actor))


async def _go_back(tx: Transaction, name: str, expected: VersionRow, actor: str) -> Promoted:
    left, now = await models.roll_back(tx, name)
    if left.id != expected.id:
        raise Conflict(
            f"another version of {name} has become active meanwhile: look again", code="active_changed"
        )
    await record(tx, "rolled_back", name, now.version, actor=actor, before=left.version)
    row = await models.find(tx, name, now.version)
    return Promoted(row or now, before=left.version)


async def retire(place: Place, name: str, version: int, *, force: bool = False) -> VersionRow:
    """Take a version out of use, or give up one that was to be; it stays loaded. Again: out of Triton.

    Pending suggestions by it stay until another version has looked. Raises NotFound, Conflict
    (`version_active`: without it its name would have none; `force` does so all the same, `version_removed`,
    `model_busy`), StoreUnavailable.
    """
    async with alone(place.settings, name, say=place.say, patience=place.patience):
        row = await find_version(place.store, name, version)
        expect_present(row.state, name, version)
        if row.state is VersionState.RETIRED:
            if row.loaded:
                await unload(place.store, place.settings, place.triton, row, actor=place.actor, say=place.say)
            return await find_version(place.store, name, version)

        async def work(tx: Transaction) -> None:
            rows = await models.lock_name(tx, name)
            if not force and any(one.id == row.id and one.state is VersionState.ACTIVE for one in rows):
                raise Conflict(
                    f"{name} {version} is active: promote another version or roll back instead, or force it"
                    f" to leave {name} without one",
                    code="version_active",
                )
            await models.retire(tx, row.id)
            await record(tx, "retired", name, version, actor=place.actor, was=row.state)

        await place.store.write(work)
        place.say(f"{name} {version} is retired, and stays loaded")
        return await find_version(place.store, name, version)


async def _active(store: Store, name: str) -> VersionRow | None:
    rows = await store.read(models.list_versions)
    return next((row for row in rows if row.name == name and row.state is VersionState.ACTIVE), None)


async def _one_before(place: Place, name: str) -> tuple[VersionRow, VersionRow]:
    """Return the active version and the one before it. Raises NotFound, Conflict (`nothing_before`)."""
    rows = [row for row in await place.store.read(models.list_versions) if row.name == name]
    if not rows:
        raise models.unknown_name(name)
    active = next((row for row in rows if row.state is VersionState.ACTIVE), None)
    before = next((row for row in rows if active is not None and row.id == active.replaced_id), None)
    if active is None or before is None or before.state is VersionState.REMOVED:
        raise models.nothing_before(name)
    return active, before


async def _is_served(place: Place, row: VersionRow) -> bool:
    """Whether going back needs nothing of Triton. One that is away does not keep anybody from going back."""
    if not row.loaded:
        return False
    model = await place.store.read(lambda tx: models.get(tx, place.settings, row.id))
    triton = place.triton
    return await triton.is_ready(model, deadline=READY_DEADLINE) or not await triton.is_live(
        deadline=READY_DEADLINE
    )
