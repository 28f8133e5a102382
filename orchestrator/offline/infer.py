"""`tagdesk infer`: looks at the images of a work list, part by part.

A finished part is on the disk and never done again; whatever ends a run, the next one goes on with the parts
that are not there. Pictures, retries and verdicts are the pipeline's: an image fails here for the same
reasons and after as many tries. What is the host's own fault ends the run, or says that the picture is out of
reach.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import structlog

from orchestrator.errors import TagdeskError
from orchestrator.images.codes import FetchCode
from orchestrator.images.decoder import Decoder
from orchestrator.images.fetch import ImageFetcher
from orchestrator.inference.answering import Answering
from orchestrator.inference.client import TritonClient
from orchestrator.offline.arrays import to_arrays
from orchestrator.offline.folder import alone, finished_parts
from orchestrator.offline.models import LocalModels, Versions, find_versions, try_out
from orchestrator.offline.parts import (
    Format,
    Outcome,
    PartHeader,
    SeenImage,
    UnseenImage,
    part_name,
    to_lines,
    write_whole,
)
from orchestrator.offline.pictures import PictureChanged, Pictures
from orchestrator.offline.worklist import WHOLE, Shard, WorkImage, WorkList, mark_of
from orchestrator.pipeline.retries import judge
from orchestrator.pipeline.stages import Seen, Stages
from orchestrator.records import Priority, SourceKind, as_probability
from orchestrator.settings import PictureSettings
from orchestrator.telemetry import Metrics

log = structlog.get_logger(__name__)

PART_IMAGES = 200
"""Images of a part: what a run that is killed has to do again, at most four times."""
STACK_SECONDS = 1.0
"""How long computing a stack may take: nobody else waits here."""
PATIENCE = 300.0
"""Seconds that an image waits for a Triton that is away, before the run ends."""

_OPEN_PARTS = 4  # one whose images are tried again does not keep the others waiting
_UNDER_WAY = 48  # pictures, at least
_STACKS = 3  # of a version: one is computed, one waits, one is filled
_HERE = frozenset(
    {FetchCode.PATH_REFUSED, FetchCode.PATH_UNREADABLE, FetchCode.BLOB_MISSING, FetchCode.PRIVATE_ADDRESS}
)


@dataclass(frozen=True, slots=True)
class Job:
    """What to do. `triton`: host:port; without it ONNX Runtime computes here. `images_from`: a folder with
    copies of the pictures (`pictures`)."""

    work: Path
    out: Path
    repository: Path
    triton: str | None = None
    shard: Shard = WHOLE
    form: Format = Format.JSONL
    images_from: Path | None = None
    part_images: int = PART_IMAGES


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `images`: of the shard; `before`: of parts that were there when it began.

    `failed`: of those that this run looked at, by code; `out_of_reach` ones are not among them.
    """

    images: int
    before: int
    looked: int
    failed: dict[str, int]
    out_of_reach: int


Tell = Callable[[Progress], object]


@dataclass(slots=True)
class _Part:
    header: PartHeader
    images: list[WorkImage]
    outcomes: dict[int, Outcome] = field(default_factory=dict)


async def run(job: Job, settings: PictureSettings, *, tell: Tell, patience: float = PATIENCE) -> Progress:
    """Look at all of a shard that no part answers yet; returns how far it is then.

    Raises InvalidInput (`bad_work_list`, `bad_part`, `other_run`), Conflict (`graph_differs`,
    `shard_busy`), ModelError, InferenceUnavailable after `patience` seconds without an answer, OSError.
    """
    work = await asyncio.to_thread(WorkList.open, job.work)
    versions = await asyncio.to_thread(find_versions, job.repository, work.header.versions)
    settings = settings.model_copy(update={"raw_score_floor": as_probability(work.header.floor)})
    job.out.mkdir(parents=True, exist_ok=True)
    with alone(job.out, job.shard):
        done = await asyncio.to_thread(finished_parts, job.out, work, job.shard, job.part_images)
        async with AsyncExitStack() as stack:
            answering: Answering
            if job.triton is None:
                answering = await asyncio.to_thread(LocalModels.open, job.repository, versions)
            else:
                client = TritonClient(job.triton, timeout=settings.inference_timeout)
                answering = await stack.enter_async_context(client)
            await try_out(answering, job.repository, versions)
            fetcher = await stack.enter_async_context(ImageFetcher(settings))
            decoder = await stack.enter_async_context(Decoder.from_settings(settings))
            stages = Stages(
                settings=settings,
                decoder=decoder,
                triton=answering,
                metrics=Metrics.create(),
                stack_seconds=STACK_SECONDS,
            )
            pictures = Pictures(fetcher, job.images_from, settings.max_image_bytes)
            largest = max([await answering.max_batch(one) for one in versions.models])
            runner = _Runner(
                job=job,
                work=work,
                versions=versions,
                settings=settings,
                stages=stages,
                pictures=pictures,
                tell=tell,
                patience=patience,
                under_way=max(_UNDER_WAY, _STACKS * largest),
            )
            return await runner.run(done)


class _Runner:
    """One run over a shard. Belongs to one event loop."""

    def __init__(
        self,
        *,
        job: Job,
        work: WorkList,
        versions: Versions,
        settings: PictureSettings,
        stages: Stages,
        pictures: Pictures,
        tell: Tell,
        patience: float,
        under_way: int,
    ) -> None:
        self._job = job
        self._work = work
        self._versions = versions
        self._settings = settings
        self._stages = stages
        self._pictures = pictures
        self._tell = tell
        self._patience = patience
        self._room = asyncio.Semaphore(under_way)
        self._parts = asyncio.Semaphore(_OPEN_PARTS)
        self._looked = self._before = self._out_of_reach = 0
        self._failed: dict[str, int] = {}

    async def run(self, done: frozenset[int]) -> Progress:
        try:
            async with asyncio.TaskGroup() as group:
                for part in self._missing(done):
                    await self._parts.acquire()
                    for image in part.images:
                        await self._room.acquire()
                        group.create_task(self._settle(image, part))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        return self._progress()

    def _missing(self, done: frozenset[int]) -> Iterator[_Part]:
        images = self._work.of(self._job.shard)
        size, number = self._job.part_images, 0
        while found := list(islice(images, size)):
            number += 1
            if number in done:
                self._before += len(found)
                self._tell(self._progress())
            else:
                yield _Part(PartHeader.of(self._work, self._job.shard, number, size), found)

    async def _settle(self, image: WorkImage, part: _Part) -> None:
        """Bring one image to its outcome, and its part to the disk when it was the last one."""
        try:
            outcome = await self._outcome(image)
        finally:
            self._room.release()
        part.outcomes[image.id] = outcome
        self._looked += 1
        if isinstance(outcome, UnseenImage):
            if outcome.out_of_reach:
                self._out_of_reach += 1
            else:
                self._failed[outcome.code] = self._failed.get(outcome.code, 0) + 1
        if len(part.outcomes) == len(part.images):
            await asyncio.to_thread(self._write, part)
            self._parts.release()
        self._tell(self._progress())

    async def _outcome(self, image: WorkImage) -> Outcome:
        """Look until there is an answer, or the pipeline would give up. Raises what is no image's fault."""
        loop = asyncio.get_running_loop()
        attempt, waiting_since = 1, loop.time()
        while True:
            try:
                return await self._look(image, alone=attempt > 1)
            except Exception as error:
                if not isinstance(error, TagdeskError | TimeoutError):
                    log.exception("unexpected error", image_id=image.id)
                verdict = judge(
                    error,
                    attempts=attempt,
                    max_attempts=self._settings.max_attempts,
                    base=self._settings.retry_base,
                )
                if verdict.retry_in is None:
                    return UnseenImage(
                        id=image.id,
                        mark=mark_of(image.source),
                        code=verdict.failure.code,
                        detail=verdict.failure.detail,
                        out_of_reach=_is_out_of_reach(image, error),
                    )
                if verdict.counted:
                    attempt, waiting_since = attempt + 1, loop.time()
                elif loop.time() - waiting_since > self._patience:
                    raise
            # Others go on meanwhile.
            self._room.release()
            try:
                await asyncio.sleep(verdict.retry_in)
            finally:
                await self._room.acquire()

    async def _look(self, image: WorkImage, *, alone: bool) -> SeenImage:
        fetched = await self._pictures.fetch(image)
        seen = await self._stages.look(fetched.data, self._versions, priority=Priority.BACKFILL, alone=alone)
        return _seen(image, fetched.sha256, seen, self._versions)

    def _write(self, part: _Part) -> None:
        outcomes = [part.outcomes[image.id] for image in part.images]
        missed = sum(isinstance(one, UnseenImage) and one.out_of_reach for one in outcomes)
        header = part.header.model_copy(update={"out_of_reach": missed})
        pack = to_lines if self._job.form is Format.JSONL else to_arrays
        name = part_name(self._job.shard, header.part, self._job.form)
        write_whole(self._job.out / name, header, pack(header, outcomes))
        for form in Format:  # an earlier run's, with images out of reach
            if form is not self._job.form:
                (self._job.out / part_name(self._job.shard, header.part, form)).unlink(missing_ok=True)

    def _progress(self) -> Progress:
        return Progress(
            images=self._job.shard.size(self._work.images),
            before=self._before,
            looked=self._looked,
            failed=dict(self._failed),
            out_of_reach=self._out_of_reach,
        )


def _seen(image: WorkImage, sha256: str, seen: Seen, versions: Versions) -> SeenImage:
    raw: list[tuple[list[int], list[int]]] = [([], []) for _ in versions.models]
    for one in seen.raw:
        labels, scores = raw[one.model_version_id]
        labels.append(one.label)
        scores.append(one.score)
    prepared = seen.prepared
    return SeenImage(
        id=image.id,
        mark=mark_of(image.source),
        sha256=sha256,
        width=prepared.width,
        height=prepared.height,
        has_alpha=prepared.has_alpha,
        media_type=prepared.media_type,
        raw=raw,
    )


def _is_out_of_reach(image: WorkImage, error: Exception) -> bool:
    """Whether it is this host that does not have the picture, or may not fetch it."""
    if isinstance(error, PictureChanged):
        return True
    code = error.code if isinstance(error, TagdeskError) else None
    return code in _HERE or (code == FetchCode.NOT_FOUND and image.kind is not SourceKind.URL)
