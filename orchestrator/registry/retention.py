"""How long raw predictions of a version are kept, as engineers handle it. The keeper does it."""

from dataclasses import dataclass

from orchestrator.errors import Conflict, InvalidInput
from orchestrator.records import RawPolicy, VersionState
from orchestrator.registry.lifecycle import find_version
from orchestrator.store import audit, models, outbox, raw_retention
from orchestrator.store.models import VersionRow
from orchestrator.store.raw_retention import PROTECTED, ROW_BYTES, Retention, Stored
from orchestrator.store.rule_changes import Author
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

CHANGED = "model.retention_changed"


@dataclass(frozen=True, slots=True)
class RawOf:
    """A version's raw predictions. `rows`, `bytes`: about; `replaced`: by the active version of its name, so
    that a roll back goes to it."""

    row: VersionRow
    stored: Stored
    retention: Retention | None
    replaced: bool

    @property
    def policy(self) -> RawPolicy:
        """What is said of it; all is kept where nothing is."""
        return RawPolicy.KEEP if self.retention is None else self.retention.policy

    @property
    def bytes(self) -> int:
        """About what they take on disk."""
        return self.stored.rows * ROW_BYTES


async def list_raw(store: Store) -> tuple[list[RawOf], int]:
    """Return every version that is there or has rows, and what all take on disk, in bytes."""
    rows = await store.read(models.list_versions)
    said = await store.read(raw_retention.load)
    rolled_to = {row.replaced_id for row in rows if row.state is VersionState.ACTIVE}
    found = []
    for row in rows:
        stored = await store.read(lambda tx, id_=row.id: raw_retention.stored(tx, id_))  # type: ignore[misc]
        if stored.images or row.state is not VersionState.REMOVED:
            found.append(RawOf(row, stored, said.get(row.id), row.id in rolled_to))
    return found, await store.read(raw_retention.bytes_on_disk)


async def raw_of(store: Store, name: str, version: int) -> RawOf:
    """Return one version's. Raises NotFound (`version_not_found`)."""
    row = await find_version(store, name, version)
    stored = await store.read(lambda tx: raw_retention.stored(tx, row.id))
    said = await store.read(raw_retention.load)
    rows = await store.read(models.list_versions)
    replaced = any(one.replaced_id == row.id and one.state is VersionState.ACTIVE for one in rows)
    return RawOf(row, stored, said.get(row.id), replaced)


def expect_not_needed(name: str, version: int, state: VersionState) -> None:
    """Raise Conflict (`raw_in_use`) for a version of whose raw predictions none should be dropped."""
    if state in PROTECTED:
        raise Conflict(
            f"{name} {version} is {state}: what it said is needed for re-maps; insist with --force",
            code="raw_in_use",
        )


async def set_policy(
    store: Store,
    name: str,
    version: int,
    policy: RawPolicy,
    *,
    newest: int | None = None,
    force: bool = False,
    author: Author,
) -> None:
    """Say how long a version's raw predictions are kept. Doing so again changes nothing.

    `newest`: images, for that policy. `force`: also while the version is active or a shadow, and where no
    newer one has looked. Raises NotFound, InvalidInput (`bad_retention`), Conflict (`raw_in_use`).
    """
    if (policy is RawPolicy.NEWEST) != (newest is not None) or (newest is not None and newest < 1):
        raise InvalidInput("the newest of how many images, 1 or more?", code="bad_retention")
    row = await find_version(store, name, version)

    async def work(tx: Transaction) -> None:
        before = await raw_retention.lock(tx, row.id)
        state = (await models.lock_one(tx, row.id)).state
        if policy is not RawPolicy.KEEP and not force:
            expect_not_needed(name, version, state)
        forced = force and policy is not RawPolicy.KEEP
        was: tuple[RawPolicy, int | None, bool] = (RawPolicy.KEEP, None, False)
        if before is not None:
            was = (before.policy, before.newest, before.forced)
        if was == (policy, newest, forced):
            return
        await raw_retention.put(tx, row.id, policy, newest=newest, forced=forced)
        detail = {"policy": policy, "newest": newest, "forced": forced, "before": was[0]}
        await audit.add(
            tx, actor=author.name, action="model.raw_retention", subject=f"{name}/{version}", detail=detail
        )
        told = {"model_name": name, "model_version": version, "user_id": author.user_id, **detail}
        await outbox.add(tx, CHANGED, told)

    await store.write(work)
