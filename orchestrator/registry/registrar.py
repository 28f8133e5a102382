"""The registrar: dropping a folder suffices.

An engineer copies `<name>/<N>/` into the repository and an empty file `READY` last. The registrar publishes
it as the command would. What is refused stays unserved, with the reasons beside it in `REFUSED.txt`; after
mending, another `READY` asks again.
"""

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import structlog

from orchestrator.errors import Conflict, InvalidInput, ModelError, TagdeskError, TransientError
from orchestrator.inference.client import TritonClient
from orchestrator.records import VersionState
from orchestrator.registry.publish import REPORT, ModelRefused, Publisher
from orchestrator.registry.staging import READY, REFUSED, STAGING, Staging, remove_folder
from orchestrator.settings import Settings
from orchestrator.store import audit, models
from orchestrator.store.named_lock import model_lock
from orchestrator.store.unit_of_work import Store

log = structlog.get_logger(__name__)

ACTOR = "registrar"
_STALE = 3600.0


class Registrar:
    """Looks for dropped folders, and for what publishers left behind. Only the leading keeper runs one."""

    def __init__(self, settings: Settings, store: Store, triton: TritonClient) -> None:
        self._settings = settings
        self._store = store
        self._publisher = Publisher(store, settings, triton, ACTOR, say=_say)
        self._waiting: set[Path] = set()

    async def look(self) -> int:
        """Tidy up, then publish what was dropped; returns how many versions were published.

        Raises StoreUnavailable. A Triton that is away leaves dropped folders for later.
        """
        await self._recover()
        await self._bury()
        published = 0
        for folder in await asyncio.to_thread(self._dropped):
            published += await self._take(folder)
        return published

    def _dropped(self) -> list[Path]:
        ready = self._settings.model_repository.glob(f"*/*/{READY}")
        return sorted(path.parent for path in ready if not path.parent.parent.name.startswith("."))

    async def _take(self, folder: Path) -> bool:
        name, number = folder.parent.name, folder.name
        try:
            if not number.isdecimal() or not 1 <= int(number) < 2**31 or number != str(int(number)):
                raise InvalidInput(f"'{number}' is no version number", code="bad_version")
            await self._publisher.publish_dropped(name, int(number))
        except TransientError as error:
            if folder not in self._waiting:
                log.warning("a dropped version waits", folder=f"{name}/{number}", error=str(error))
            self._waiting.add(folder)
            return False
        except (ModelError, Conflict, InvalidInput, OSError) as error:
            await self._refuse(folder, error)
            return False
        finally:
            if not (folder / READY).exists():
                self._waiting.discard(folder)
        log.info("dropped version published", model=name, version=int(number))
        return True

    async def _refuse(self, folder: Path, error: TagdeskError | OSError) -> None:
        """Say why on disk, in the log and in the audit log, and do not try again by ourselves."""
        subject = f"{folder.parent.name}/{folder.name}"
        code = error.code if isinstance(error, TagdeskError) else "unreadable"
        log.error("a dropped version is refused", folder=subject, code=code, error=str(error))

        def write() -> None:
            lines = [f"{subject} is refused ({code}): {error}", ""]
            if isinstance(error, ModelRefused):
                lines += [f"- {one.what}\n  {one.remedy}" for one in error.report.failures]
                (folder / REPORT).write_text(error.report.to_json(), encoding="utf-8")
            else:
                (folder / REPORT).write_text(
                    json.dumps({"subject": subject, "code": code, "detail": str(error)}, indent=2)
                )
            lines += ["", f"Mend it, then put an empty {READY} here again."]
            (folder / REFUSED).write_text("\n".join(lines) + "\n", encoding="utf-8")
            (folder / READY).unlink(missing_ok=True)

        await asyncio.to_thread(write)
        await self._store.write(
            lambda tx: audit.add(
                tx,
                actor=ACTOR,
                action="model.refused",
                subject=subject.encode("ascii", "replace").decode()[-128:],
                detail={"code": code, "why": str(error)[:1000]},
            )
        )

    async def _recover(self) -> None:
        """Finish or undo what dead publishers left; those at work hold their model's lock."""
        attempts = await asyncio.to_thread(Staging.left_behind, self._settings.model_repository)
        for name in sorted({attempt.journal.name for attempt in attempts}):
            await self._if_free(name, partial(self._publisher.recover, name))
        await asyncio.to_thread(self._sweep)

    def _sweep(self) -> None:
        """Delete what was cut off before it had a journal, or while it was being deleted."""
        for folder in (self._settings.model_repository / STAGING).glob("*"):
            if not (folder / "journal.json").exists() and time.time() - folder.stat().st_mtime > _STALE:
                shutil.rmtree(folder, ignore_errors=True)

    async def _bury(self) -> None:
        """Delete the folders of removed versions that whoever removed them could not delete."""
        repository = self._settings.model_repository
        for row in await self._store.read(models.list_versions):
            if row.state is VersionState.REMOVED and (repository / row.name / str(row.version)).exists():
                remove = partial(asyncio.to_thread, remove_folder, repository, row.name, row.version)
                await self._if_free(row.name, remove)

    async def _if_free(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        lock = model_lock(self._settings, name)
        try:
            if await lock.hold():
                await work()
        finally:
            await lock.release()


def _say(text: str) -> None:
    log.info("registrar", step=text)
