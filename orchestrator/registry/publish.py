"""Publishing: a version goes from a folder to being served and known, or nothing has changed.

    stage → check → prepare → move in → load → that version ready, golden pictures right → registered

Every step can fail, and the process can die at any of them. What was moved is written down before it is
moved (staging), the row is entered last, and the reconciler makes Triton follow the rows.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import Conflict, InferenceUnavailable, ModelError, StoreUnavailable
from orchestrator.inference.client import TritonClient
from orchestrator.records import ServedModel
from orchestrator.registry.check import CheckReport, prepare_folder
from orchestrator.registry.config import ConfigOptions, merge_config, render_config
from orchestrator.registry.labels import read_labels
from orchestrator.registry.lifecycle import switch_to
from orchestrator.registry.manifest import Manifest, read_manifest, read_manifest_file
from orchestrator.registry.names import SERVED_FILE
from orchestrator.registry.register import check_board_labels, enter_staged
from orchestrator.registry.served import new_version, served_model
from orchestrator.registry.serving import Say, alone, check_golden, compare_with_runtime, silent
from orchestrator.registry.staging import Staging, newest_folder, source_folder
from orchestrator.settings import Settings
from orchestrator.store import models
from orchestrator.store.models import NewVersion
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

REPORT = "report.json"
"""What the checks found, kept beside the version."""


class ModelRefused(ModelError):
    """The version did not pass its checks; `report` says why."""

    code = "model_refused"

    def __init__(self, report: CheckReport) -> None:
        failures = report.failures
        first = failures[0] if failures else None
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        super().__init__(f"{report.subject} is refused: {first.what if first else 'no reason given'}{more}")
        self.report = report


@dataclass(frozen=True, slots=True)
class Published:
    """A version that Triton serves and the database knows, and what its checks found."""

    model: ServedModel
    report: CheckReport


@dataclass(frozen=True, slots=True)
class Publisher:
    """Brings versions into one installation. `actor`: who is on record for it."""

    store: Store
    settings: Settings
    triton: TritonClient
    actor: str
    say: Say = silent
    options: ConfigOptions | None = None

    async def publish(
        self,
        source: Path,
        *,
        name: str | None = None,
        version: int | None = None,
        activate: bool = False,
    ) -> Published:
        """Publish the version in the folder `source`, which stays as it is.

        `name` and `version` stand above the manifest's; without `version` the next free number is taken.
        `activate`: make it the active one at once, where its name has none; else it is to be promoted.

        Raises ModelRefused when a check fails, ManifestError and other ModelErrors when something does not
        fit this installation, Conflict (`version_exists`, `model_busy`), InvalidInput, InferenceUnavailable,
        StoreUnavailable. The former state has been restored then, on disk, in Triton and in the database.
        """
        folder = source_folder(source)
        manifest = await asyncio.to_thread(read_manifest_file, folder)
        name = name or manifest.name
        async with alone(self.settings, name, say=self.say):
            await self.recover(name)
            number = version or await self._next_number(name)
            await self._expect_free(name, number)
            renamed = manifest.renamed(name, number)
            published = await self._bring_in(renamed, folder, dropped=False)
            if activate and await self.store.read(lambda tx: models.has_active(tx, name)):
                self.say(f"another version of {name} is active: let this one shadow it, then promote it")
            elif activate:
                await switch_to(
                    self.store, self.settings, self.triton, published.model.id, actor=self.actor, say=self.say
                )
                model = await self.store.read(lambda tx: models.get(tx, self.settings, published.model.id))
                published = Published(model, published.report)
            return published

    async def publish_dropped(self, name: str, version: int) -> Published:
        """Publish a folder that somebody dropped into the repository; it is replaced by its prepared self.

        Raises as `publish`; the folder is then as it was dropped.
        """
        async with alone(self.settings, name, say=self.say):
            await self.recover(name)
            folder = self.settings.model_repository / name / str(version)
            manifest = await asyncio.to_thread(read_manifest, folder)
            if await self._is_registered(name, version):
                raise Conflict(f"{name} {version} is registered already", code="version_exists")
            return await self._bring_in(manifest, folder, dropped=True)

    async def recover(self, name: str) -> None:
        """Finish or undo what earlier publishers of the model left behind. The model's lock must be held."""
        for attempt in Staging.left_behind(self.settings.model_repository):
            journal = attempt.journal
            if journal.name != name:
                continue
            if not await self._is_registered(name, journal.version):
                self.say(f"undoing an attempt to publish {name} {journal.version} that was cut off")
                await asyncio.to_thread(attempt.undo)
            else:
                await asyncio.to_thread(attempt.keep)

    async def _is_registered(self, name: str, version: int) -> bool:
        return await self.store.read(lambda tx: models.find(tx, name, version)) is not None

    async def _next_number(self, name: str) -> int:
        known = await self.store.read(lambda tx: models.newest_number(tx, name))
        return 1 + max(known, newest_folder(self.settings.model_repository, name))

    async def _expect_free(self, name: str, number: int) -> None:
        taken = await self._is_registered(name, number)
        if taken or (self.settings.model_repository / name / str(number)).exists():
            raise Conflict(
                f"{name} {number} is there already: leave --version out to get the next number",
                code="version_exists",
            )

    async def _bring_in(self, manifest: Manifest, source: Path, *, dropped: bool) -> Published:
        repository = self.settings.model_repository
        self.say(f"staging {manifest.name} {manifest.version}")
        staging = await asyncio.to_thread(Staging.begin, repository, manifest, source, dropped=dropped)
        try:
            self.say("checking and preparing: in a process of its own, with limits")
            report = await asyncio.to_thread(prepare_folder, staging.folder)
            report = report.model_copy(update={"subject": f"{manifest.name} {manifest.version}"})
            if not report.passed:
                raise ModelRefused(report)
            await asyncio.to_thread((staging.folder / REPORT).write_text, report.to_json(), "utf-8")
            prepared = await asyncio.to_thread(read_manifest, staging.folder)
            new = new_version(prepared, await asyncio.to_thread(read_labels, staging.folder, prepared))
            await self.store.read(lambda tx: check_board_labels(tx, new))
            before = staging.journal.config_before
            config = (
                render_config(prepared, self.options) if before is None else merge_config(before, prepared)
            )
        except BaseException:
            await asyncio.to_thread(staging.undo)
            raise
        model = await self._serve(staging, prepared, new, config)
        await asyncio.to_thread(staging.keep)
        return Published(model, report)

    async def _serve(self, staging: Staging, manifest: Manifest, new: NewVersion, config: str) -> ServedModel:
        """Move the version in, have Triton serve it, try it there, and register it; or undo all that."""
        name, version = manifest.name, manifest.version
        try:
            await asyncio.to_thread(staging.enter, config)
            others = await self._loaded(name)
            self.say(f"loading {name} {version} into Triton")
            await self.triton.load(name, [*others, version], repository=self.settings.model_repository)
            probed = served_model(new)
            self.say("asking Triton about golden and generated pictures")
            await check_golden(self.triton, probed, staging.place, manifest)
            await compare_with_runtime(self.triton, probed, staging.place / SERVED_FILE)
        except BaseException:
            await asyncio.to_thread(staging.undo)
            await self._restore(name)
            raise
        try:
            return await self.store.write(lambda tx: enter_staged(tx, self.settings, new, actor=self.actor))
        except StoreUnavailable:
            raise  # it may have been stored: whoever holds the lock next looks, and keeps or undoes
        except BaseException:
            await asyncio.to_thread(staging.undo)
            await self._restore(name)
            raise

    async def _loaded(self, name: str) -> list[int]:
        async def read(tx: Transaction) -> list[int]:
            return [row.version for row in await models.list_versions(tx) if row.name == name and row.loaded]

        return await self.store.read(read)

    async def _restore(self, name: str) -> None:
        """Have Triton serve what it served before; the reconciler would, too, if this fails."""
        try:
            others = await self._loaded(name)
            if others:
                await self.triton.load(name, others, repository=self.settings.model_repository)
            else:
                await self.triton.unload(name)
        except (ModelError, InferenceUnavailable, StoreUnavailable) as error:
            self.say(f"Triton could not be brought back just now, the keeper will do it: {error}")
