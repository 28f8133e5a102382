"""Model versions: what is registered, which one of each name is active, and how workers see them.

Where a version's floors come from is in `floors`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.records import (
    Floor,
    Geometry,
    Label,
    LabelCategory,
    ServedModel,
    VersionState,
    Vocabulary,
)
from orchestrator.settings import Settings
from orchestrator.store import floors as said
from orchestrator.store import rules_version
from orchestrator.store.floors import FloorKey, Overrides
from orchestrator.store.rows import moment, moment_or_none
from orchestrator.store.transaction import DuplicateKey, Row, Transaction

DRAIN = 20
"""Seconds after which no request can be under way any more to a version that was taken out of use."""

LOOKING_STATES = frozenset({VersionState.ACTIVE, VersionState.SHADOW})


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version as registration found it. Floors in ten-thousandths; None: no opinion.

    `sha256`: of the graph that Triton serves, in hex. `manifest`: its JSON text. `label_floors`: by index.
    """

    name: str
    version: int
    source: str
    vocabulary: Vocabulary
    priority: int
    sha256: str
    geometry: Geometry
    labels: tuple[Label, ...]
    general_floor: int | None
    board_floor: int | None
    label_floors: dict[int, int]
    manifest: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A registered version without its labels, as lists show it. `loaded`: Triton shall serve it."""

    id: int
    name: str
    version: int
    state: VersionState
    loaded: bool
    source: str
    vocabulary: Vocabulary
    sha256: str
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    replaced_id: int | None
    """The version that was active before this one became so."""


async def insert_version(tx: Transaction, new: NewVersion, *, state: VersionState) -> int:
    """Add a version with its labels; returns its id. Raises Conflict when name and version are taken."""
    red, green, blue = new.geometry.pad_colour
    try:
        version_id = await tx.insert(
            "model_versions",
            name=new.name,
            version=new.version,
            state=state,
            loaded=state in LOOKING_STATES,
            source=new.source,
            vocabulary=new.vocabulary,
            priority=new.priority,
            sha256=bytes.fromhex(new.sha256),
            input_size=new.geometry.size,
            pad_colour=red << 16 | green << 8 | blue,
            resize_filter=new.geometry.filter,
            general_floor=new.general_floor,
            board_floor=new.board_floor,
            manifest=new.manifest,
        )
        if state is VersionState.ACTIVE:
            await tx.execute(
                "UPDATE model_versions SET activated_at = UTC_TIMESTAMP(6) WHERE id = :id", id=version_id
            )
    except DuplicateKey as error:
        raise Conflict(f"{new.name} {new.version} is registered already", code="version_exists") from error
    await tx.insert_many(
        "labels",
        ("model_version_id", "label", "name", "category", "floor"),
        [
            (version_id, lab.index, lab.name, lab.category, new.label_floors.get(lab.index))
            for lab in new.labels
        ],
    )
    await rules_version.bump(tx)
    return version_id


async def find(tx: Transaction, name: str, version: int) -> VersionRow | None:
    """Return the version of this name and number, or None."""
    row = await tx.fetch_one(
        "SELECT * FROM model_versions WHERE name = :name AND version = :version", name=name, version=version
    )
    return None if row is None else _version_row(row)


async def list_versions(tx: Transaction) -> list[VersionRow]:
    """Return every version by name, the newest first."""
    rows = await tx.fetch_all("SELECT * FROM model_versions ORDER BY name, version DESC")
    return [_version_row(row) for row in rows]


async def ids_of_name(tx: Transaction, name: str) -> tuple[int, ...]:
    """Return the ids of every version that the name ever had. Raises InvalidInput for an unknown name."""
    rows = await tx.fetch_rows("SELECT id FROM model_versions WHERE name = :name ORDER BY id", name=name)
    if not rows:
        raise InvalidInput(f"no model is called {name}", code="unknown_model")
    return tuple(row[0] for row in rows)


async def newest_number(tx: Transaction, name: str) -> int:
    """Return the highest version number that the name ever had, removed versions included; 0 for none."""
    row = await tx.fetch_one(
        "SELECT MAX(version) AS newest FROM model_versions WHERE name = :name", name=name
    )
    return int(row["newest"]) if row is not None and row["newest"] is not None else 0


async def manifest(tx: Transaction, version_id: int) -> str:
    """Return a version's manifest as it was registered, JSON text. Raises NotFound."""
    row = await tx.fetch_one("SELECT manifest FROM model_versions WHERE id = :id", id=version_id)
    if row is None:
        raise _unknown(version_id)
    return str(row["manifest"])


async def set_prepared(tx: Transaction, version_id: int, *, sha256: str, manifest: str) -> None:
    """Note that a version's graph was prepared anew: its hash in hex, and the manifest that names it."""
    await tx.execute(
        "UPDATE model_versions SET sha256 = :sha256, manifest = :manifest WHERE id = :id",
        sha256=bytes.fromhex(sha256),
        manifest=manifest,
        id=version_id,
    )


async def active_number(tx: Transaction, name: str) -> int | None:
    """Return the number of the active version of this name, None when there is none."""
    rows = await tx.fetch_rows("SELECT version FROM model_versions WHERE active_name = :name", name=name)
    return int(rows[0][0]) if rows else None


async def has_active(tx: Transaction, name: str) -> bool:
    """Whether a version of this name is active."""
    return await active_number(tx, name) is not None


async def set_active(tx: Transaction, version_id: int) -> None:
    """Make a version the active one of its name. Raises NotFound.

    The one before is retired and stays loaded, so that going back costs nothing; older ones that nobody can
    be using any more (`DRAIN`) are let go.
    """
    named = await tx.fetch_one("SELECT name FROM model_versions WHERE id = :id", id=version_id)
    if named is None:
        raise _unknown(version_id)
    rows = await lock_name(tx, named["name"])
    before = next((row for row in rows if row.state is VersionState.ACTIVE), None)
    if before is not None and before.id == version_id:
        return
    await tx.execute(
        "UPDATE model_versions SET loaded = FALSE WHERE name = :name AND state = 'retired' AND id <> :id"
        " AND retired_at < UTC_TIMESTAMP(6) - INTERVAL :drain SECOND",
        name=rows[0].name,
        id=version_id,
        drain=DRAIN,
    )
    await _take_over(tx, version_id, before)
    # It leaves its old place in the line that roll backs follow, or that would become a circle.
    await tx.execute(
        "UPDATE model_versions SET replaced_id = :further WHERE replaced_id = :id",
        further=next(row.replaced_id for row in rows if row.id == version_id),
        id=version_id,
    )
    await tx.execute(
        "UPDATE model_versions SET replaced_id = :before WHERE id = :id",
        before=None if before is None else before.id,
        id=version_id,
    )
    await rules_version.bump(tx)


async def roll_back(tx: Transaction, name: str) -> tuple[VersionRow, VersionRow]:
    """Make the version before the active one of a name active again; returns the one that was active until
    now, and the one that is.

    What that one had replaced stays as it was, so that going back again goes further back. Raises Conflict
    (`nothing_before`) with no version to go back to.
    """
    rows = {row.id: row for row in await lock_name(tx, name)}
    active = next((row for row in rows.values() if row.state is VersionState.ACTIVE), None)
    before = None if active is None or active.replaced_id is None else rows[active.replaced_id]
    if active is None or before is None or before.state is VersionState.REMOVED:
        raise nothing_before(name)
    await _take_over(tx, before.id, active)
    await rules_version.bump(tx)
    return active, before


def nothing_before(name: str) -> Conflict:
    """Return what is said of a model that cannot go back."""
    return Conflict(f"{name} has no version to go back to", code="nothing_before")


def unknown_name(name: str) -> NotFound:
    """Return what is said of a model that has no version at all."""
    return NotFound(f"no version of {name} is registered", code="version_not_found")


async def lock_name(tx: Transaction, name: str) -> list[VersionRow]:
    """Return every version of a name by id, that nobody else changes meanwhile."""
    rows = await tx.fetch_all(
        "SELECT * FROM model_versions WHERE name = :name ORDER BY id FOR UPDATE", name=name
    )
    return [_version_row(row) for row in rows]


async def lock_one(tx: Transaction, version_id: int) -> VersionRow:
    """Return a version that nobody else changes meanwhile. Raises NotFound."""
    await _locked(tx, version_id)
    row = await tx.fetch_one("SELECT * FROM model_versions WHERE id = :id", id=version_id)
    assert row is not None  # noqa: S101 (it is locked)
    return _version_row(row)


async def _take_over(tx: Transaction, version_id: int, before: VersionRow | None) -> None:
    """Retire the active version and make another active."""
    if before is not None:
        await tx.execute(
            "UPDATE model_versions SET state = 'retired', retired_at = UTC_TIMESTAMP(6) WHERE id = :id",
            id=before.id,
        )
    await tx.execute(
        "UPDATE model_versions SET state = 'active', loaded = TRUE, activated_at = UTC_TIMESTAMP(6),"
        " retired_at = NULL WHERE id = :id",
        id=version_id,
    )


async def retire(tx: Transaction, version_id: int) -> None:
    """Take a version out of use; it stays loaded. Raises NotFound."""
    await _locked(tx, version_id)
    await tx.execute(
        "UPDATE model_versions SET state = 'retired', retired_at = UTC_TIMESTAMP(6) WHERE id = :id",
        id=version_id,
    )
    await rules_version.bump(tx)


async def set_loaded(tx: Transaction, version_id: int, loaded: bool) -> None:
    """Say whether Triton shall serve a version. Raises NotFound, Conflict (`version_in_use`) when one that is
    in use, again perhaps, shall not be."""
    row = await _locked(tx, version_id)
    if not loaded:
        _expect_unused(row)
    await tx.execute(
        "UPDATE model_versions SET loaded = :loaded WHERE id = :id", loaded=loaded, id=version_id
    )


async def mark_removed(tx: Transaction, version_id: int) -> None:
    """Give a version up for good. Its row and labels stay: predictions and verdicts speak of them.

    Raises NotFound, Conflict (`version_in_use`).
    """
    _expect_unused(await _locked(tx, version_id))
    await tx.execute(
        "UPDATE model_versions SET state = 'removed', loaded = FALSE WHERE id = :id", id=version_id
    )
    await rules_version.bump(tx)


def _expect_unused(row: Row) -> None:
    if row["state"] in LOOKING_STATES:
        raise Conflict(
            f"{row['name']} {row['version']} is {row['state']}: promote another version or retire this one"
            " first",
            code="version_in_use",
        )


async def _locked(tx: Transaction, version_id: int) -> Row:
    row = await tx.fetch_one(
        "SELECT name, version, state FROM model_versions WHERE id = :id FOR UPDATE", id=version_id
    )
    if row is None:
        raise _unknown(version_id)
    return row


def _unknown(version_id: int) -> NotFound:
    return NotFound(f"no model version has the id {version_id}", code="version_not_found")


async def loaded(tx: Transaction, settings: Settings) -> list[ServedModel]:
    """Return the versions that Triton shall serve, with labels and effective thresholds, by priority."""
    return await _where(tx, settings, "loaded")


async def active(tx: Transaction, settings: Settings) -> list[ServedModel]:
    """Return the active version of every name, the one that goes first in front."""
    return await by_state(tx, settings, {VersionState.ACTIVE})


async def by_state(
    tx: Transaction, settings: Settings, states: Collection[VersionState] = LOOKING_STATES
) -> list[ServedModel]:
    """Return the versions in these states with labels and effective thresholds, by priority; of retired ones
    those that were active once: others only looked. One of these that is a shadow now counts as retired: what
    it said stays said."""
    if VersionState.RETIRED not in states:
        return await _where(tx, settings, "state IN :states", states=sorted(states))
    found = await _where(
        tx,
        settings,
        "(state IN :states AND (state <> 'retired' OR activated_at IS NOT NULL)) OR id IN :shadows",
        states=sorted(states),
        shadows=(shadows := await _shadows_that_spoke(tx)) or [0],
    )
    return [replace(one, state=VersionState.RETIRED) if one.id in shadows else one for one in found]


async def _shadows_that_spoke(tx: Transaction) -> list[int]:
    rows = await tx.fetch_rows(
        "SELECT id FROM model_versions WHERE state = 'shadow' AND activated_at IS NOT NULL"
    )
    return [row[0] for row in rows]


async def _where(
    tx: Transaction, settings: Settings, condition: str, **parameters: object
) -> list[ServedModel]:
    rows = await tx.fetch_all(
        f"SELECT * FROM model_versions WHERE {condition} ORDER BY priority, name, version",  # noqa: S608
        **parameters,
    )
    overrides = await said.load_all(tx)
    return [await _served(tx, row, settings, overrides.get(row["id"], Overrides())) for row in rows]


async def get(
    tx: Transaction, settings: Settings, version_id: int, *, floors: Mapping[FloorKey, Floor] | None = None
) -> ServedModel:
    """Return one version as workers would see it, if people said `floors`, too. Raises NotFound."""
    row = await tx.fetch_one("SELECT * FROM model_versions WHERE id = :id", id=version_id)
    if row is None:
        raise _unknown(version_id)
    overrides = (await said.load_all(tx)).get(version_id, Overrides())
    return await _served(tx, row, settings, overrides.changed(floors or {}))


async def _served(tx: Transaction, row: Row, settings: Settings, overrides: Overrides) -> ServedModel:
    labels = await tx.fetch_rows(
        "SELECT label, name, category, floor FROM labels WHERE model_version_id = :id ORDER BY label",
        id=row["id"],
    )
    pad = row["pad_colour"]
    return ServedModel(
        id=row["id"],
        name=row["name"],
        version=row["version"],
        state=VersionState(row["state"]),
        source=row["source"],
        vocabulary=Vocabulary(row["vocabulary"]),
        geometry=Geometry(
            row["input_size"], (pad >> 16 & 255, pad >> 8 & 255, pad & 255), row["resize_filter"]
        ),
        labels=tuple(Label(index, name, LabelCategory(category)) for index, name, category, _ in labels),
        thresholds=said.effective(
            said.defaults(settings, row["general_floor"], row["board_floor"]),
            {index: (LabelCategory(category), floor) for index, _, category, floor in labels},
            overrides,
        ),
        priority=row["priority"],
        retired_at=moment_or_none(row["retired_at"]),
    )


def _version_row(row: Row) -> VersionRow:
    return VersionRow(
        id=row["id"],
        name=row["name"],
        version=row["version"],
        state=VersionState(row["state"]),
        loaded=bool(row["loaded"]),
        source=row["source"],
        vocabulary=Vocabulary(row["vocabulary"]),
        sha256=row["sha256"].hex(),
        created_at=moment(row["created_at"]),
        activated_at=moment_or_none(row["activated_at"]),
        retired_at=moment_or_none(row["retired_at"]),
        replaced_id=row["replaced_id"],
    )
