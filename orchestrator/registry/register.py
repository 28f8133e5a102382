"""Register a version folder: check it, then give it a row that workers can pin."""

import asyncio
from pathlib import Path

from orchestrator.errors import Conflict, ManifestError
from orchestrator.records import Label, LabelCategory, ServedModel, VersionState
from orchestrator.registry.labels import read_labels
from orchestrator.registry.manifest import Manifest, check_files, parse_manifest, read_manifest
from orchestrator.registry.served import new_version
from orchestrator.settings import Settings
from orchestrator.store import audit, models, outbox, tags
from orchestrator.store.models import NewVersion
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store


async def register_folder(
    store: Store, settings: Settings, name: str, version: int, *, repository: Path | None = None
) -> ServedModel:
    """Register `<repository>/<name>/<version>` (the served repository unless given); idempotent.

    The version becomes active when its name has none, staged otherwise. Raises ManifestError when a file is
    missing or not the one the manifest vouches for, or a board label names no tag (load tags first), Conflict
    (`version_changed`) when the version is registered with another graph.
    """
    folder = (repository or settings.model_repository) / name / str(version)
    manifest, labels = await asyncio.to_thread(_read, folder)
    new = new_version(manifest, labels)
    return await store.write(lambda tx: _register(tx, settings, new))


async def enter_staged(tx: Transaction, settings: Settings, new: NewVersion, *, actor: str) -> ServedModel:
    """Enter a version that Triton serves already as staged, with its audit entry and event.

    Raises Conflict (`version_exists`), ManifestError as `register_folder`.
    """
    await check_board_labels(tx, new)
    version_id = await models.insert_version(tx, new, state=VersionState.STAGED)
    await models.set_loaded(tx, version_id, True)
    await record(tx, "published", new.name, new.version, actor=actor, sha256=new.sha256)
    return await models.get(tx, settings, version_id)


async def record(
    tx: Transaction, what: str, name: str, version: int, *, actor: str, **detail: object
) -> None:
    """Put an act on a version into the audit log and among the events."""
    await audit.add(tx, actor=actor, action=f"model.{what}", subject=f"{name}/{version}", detail=detail)
    await outbox.add(tx, f"model.{what}", {"name": name, "version": version, "actor": actor, **detail})


def _read(folder: Path) -> tuple[Manifest, tuple[Label, ...]]:
    """Read and check the folder; hashing a real model takes seconds, so this runs in a thread."""
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    return manifest, read_labels(folder, manifest)


async def _register(tx: Transaction, settings: Settings, new: NewVersion) -> ServedModel:
    await check_board_labels(tx, new)
    known = await models.find(tx, new.name, new.version)
    if known is not None:
        if known.sha256 != new.sha256:
            registered = parse_manifest(await models.manifest(tx, known.id))
            if _identity(registered) != _identity(parse_manifest(new.manifest)):
                raise Conflict(
                    f"{new.name} {new.version} is registered with another graph; number a changed model anew",
                    code="version_changed",
                )
            # The same weights and labels, prepared anew by a later release of ours.
            await models.set_prepared(tx, known.id, sha256=new.sha256, manifest=new.manifest)
        return await models.get(tx, settings, known.id)
    version_id = await models.insert_version(tx, new, state=VersionState.STAGED)
    if not await models.has_active(tx, new.name):
        await models.set_active(tx, version_id)
    return await models.get(tx, settings, version_id)


def _identity(manifest: Manifest) -> tuple[str, str]:
    """What makes two versions the same: the original graph and its labels."""
    return manifest.model.sha256, manifest.labels.sha256


async def check_board_labels(tx: Transaction, new: NewVersion) -> None:
    """Raise ManifestError (`unknown_board_labels`) when a label names no tag of this board."""
    wanted = {int(label.name) for label in new.labels if label.category is LabelCategory.BOARD}
    unknown = sorted(wanted - (await tags.by_external_ids(tx, sorted(wanted))).keys())
    if unknown:
        raise ManifestError(
            f"{new.name} {new.version} has labels that name no tag of this board: "
            + ", ".join(str(label) for label in unknown[:10])
            + ("" if len(unknown) <= 10 else f" and {len(unknown) - 10} more"),
            code="unknown_board_labels",
        )
