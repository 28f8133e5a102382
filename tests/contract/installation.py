"""An installation for these tests: real processes, with people, tags, a model and pictures behind them."""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import services
from pydantic import SecretStr

from orchestrator import accounts
from orchestrator.demo.portraits import draw_portrait
from orchestrator.inference.client import TritonClient
from orchestrator.records import MappingAction, Role, TagType, VersionState
from orchestrator.registry.labels import read_labels
from orchestrator.registry.manifest import read_manifest
from orchestrator.registry.register import register_folder
from orchestrator.registry.served import new_version
from orchestrator.settings import Settings
from orchestrator.store import mappings, models, tags
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

READY_WITHIN = 90.0
STOP_WITHIN = 30.0
MAX_IMAGE_BYTES = 200_000

UNMAPPED = "solo"
"""A label of wd14 that no mapping speaks of here."""

SPARE, FUZZED, CLIENTS = ("spare", 1), ("fuzzed", 1), ("clients", 1)
"""Model versions without files, to be taken out of use and removed: by roles, fuzzing and the client."""

OTHER = "another uploader"
"""Somebody whose images nobody else uploaded."""


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment that makes a process load these settings."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("TAGDESK_")}
    for name, value in settings:
        match value:
            case None:
                continue
            case SecretStr():
                text = value.get_secret_value()
            case tuple():
                text = ",".join(str(part) for part in value)
            case _:
                text = str(value)
        found[f"TAGDESK_{name.upper()}"] = text
    return found


def until(condition: Callable[[], bool], what: str, *, timeout: float = READY_WITHIN) -> None:
    """Wait until a condition holds. Raises AssertionError when it does not come true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)


class Process:
    """`python -m …`; `lines` is what it logged so far."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as stream:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", *command], env=dict(environment), stdout=stream, stderr=stream
            )

    @property
    def lines(self) -> list[dict[str, object]]:
        """Every complete line logged so far. Raises ValueError for one that is no JSON."""
        text = self._log.read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def logged(self, event: str) -> list[dict[str, object]]:
        """Return the lines whose event starts like this."""
        return [line for line in self.lines if str(line["event"]).startswith(event)]

    def wait_for(self, event: str) -> dict[str, object]:
        """Wait for a line and return it."""

        def there() -> bool:
            assert self._popen.poll() is None, self._log.read_text()
            return bool(self.logged(event))

        until(there, f"{self._popen.args} logs {event!r}")
        return self.logged(event)[0]

    def stop(self) -> int:
        """Ask it to end; returns its exit status."""
        if self._popen.poll() is None:
            self._popen.terminate()
        try:
            return self._popen.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
            raise


@dataclass
class Installation:
    """A board of its own with an API that runs.

    `kept`: an analysed image of everybody's that is not for fuzzing. `suggestions`: the ids of those of each
    image that is, analysed or not. `tag_id`: suggested for all that are kept; `fuzzed_tag_id`: for the rest.
    """

    settings: Settings
    folder: Path
    address: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    user_ids: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    suggestions: dict[int, list[int]] = field(default_factory=dict)
    tag_id: int = 0
    fuzzed_tag_id: int = 0
    processes: dict[str, Process] = field(default_factory=dict)

    def start(self, name: str, *command: str, **more: str) -> Process:
        """Start a process of the installation; its log is named after it."""
        environment = variables(self.settings) | more
        self.processes[name] = Process(command, environment, self.folder / f"{name}.log")
        return self.processes[name]

    def start_api(self, **more: str) -> Process:
        """Start the API on a port that is free, and wait until it serves."""
        serve = ("uvicorn", "orchestrator.api.app:create_app", "--factory", "--no-access-log")
        api = self.start("api", *serve, "--host", "127.0.0.1", "--port", "0", **more)
        self.address = str(api.wait_for("Uvicorn running on ")["event"]).split()[3]
        return api

    def headers(self, who: str | None) -> dict[str, str]:
        """Return the headers of somebody, or of nobody."""
        return {} if who is None else {"Authorization": f"Bearer {self.tokens[who]}"}


def database_of(label: str) -> int:
    """Return the Redis database of an installation of this worker's, among those that nobody else clears."""
    return 15 - 2 * (services.worker_number() % 4) - (label == "observed")


@contextmanager
def installed(
    stack: services.Stack, folder: Path, label: str, *, triton: services.RunningTriton | None = None
) -> Iterator[Installation]:
    """Found an installation on the run's services: migrated, with people, tags, mappings and wd14 active.

    `triton`: one of its own, where a keeper is going to decide what it serves. No process runs yet; what was
    started is ended with the block.
    """
    environment = stack.environment()
    number = services.worker_number()
    redis_url = f"{environment['TAGDESK_REDIS_URL'].rpartition('/')[0]}/{database_of(label)}"
    services.flush(redis_url)
    database = services.TestDatabase(environment["TAGDESK_DATABASE_URL"], f"tagdesk_{label}_{number}")
    for name in ("blobs", "pictures"):
        (folder / name).mkdir()
    served = {
        "triton_url": triton.url if triton else environment["TAGDESK_TRITON_URL"],
        "triton_admin_key": triton.admin_key if triton else environment["TAGDESK_TRITON_ADMIN_KEY"],
        "model_repository": triton.repository if triton else stack.instance.model_repository,
    }
    installation = Installation(
        Settings(
            **served,
            database_url=SecretStr(database.url),
            redis_url=SecretStr(redis_url),
            redis_namespace=f"{label}{number}",
            blob_dir=folder / "blobs",
            image_roots=(folder / "pictures",),
            session_secret=SecretStr("a secret of the tests"),
            decode_processes=1,
            max_image_bytes=MAX_IMAGE_BYTES,
            database_pool=4,
        ),
        folder,
    )
    try:
        asyncio.run(_found(installation))
        yield installation
    finally:
        for process in reversed(installation.processes.values()):
            process.stop()
        database.close()


async def _found(installation: Installation) -> None:
    settings = installation.settings
    model = settings.model_repository / "wd14" / "1"
    names = [label.name for label in read_labels(model, read_manifest(model)) if label.name != UNMAPPED]
    store = await Store.connect(settings)
    try:
        for name, role in [*((str(role), role) for role in Role), (OTHER, Role.UPLOADER)]:
            user = await accounts.create_user(store, name=name, role=role)
            installation.user_ids[name] = user.id
            installation.tokens[name] = await accounts.issue_token(store, user, name="test")

        async def load(tx: Transaction) -> None:
            made = await tags.upsert_many(
                tx, [tags.NewTag(name.replace("_", " "), TagType.THEME) for name in names]
            )
            rows = [
                mappings.NewMapping("danbooru", name, MappingAction.MAP, tag.id)
                for name, tag in zip(names, made, strict=True)
            ]
            await mappings.upsert_many(tx, rows, actor_id=None)

        await store.write(load)
        await register_folder(store, settings, "wd14", 1)
        manifest = read_manifest(model)
        for name, number in (SPARE, FUZZED, CLIENTS):
            renamed = manifest.model_copy(update={"name": name, "version": number})
            new = new_version(renamed, read_labels(model, manifest))
            await store.write(lambda tx, new=new: models.insert_version(tx, new, state=VersionState.STAGED))
    finally:
        await store.close()


async def serve_wd14(settings: Settings) -> None:
    """Have Triton serve the model that is active."""
    async with TritonClient.from_settings(settings) as triton:
        await triton.load("wd14", [1], repository=settings.model_repository)


def portrait(seed: int) -> bytes:
    """Return a drawn portrait as a JPEG file."""
    buffer = io.BytesIO()
    draw_portrait(seed, clean=True, aspect=1.0).image.save(buffer, "JPEG")
    return buffer.getvalue()
