"""The pipeline: claimed images end done, failed with a reason, or queued for another try."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import structlog

from orchestrator.errors import InferenceUnavailable, StoreUnavailable, TagdeskError
from orchestrator.images.decoder import Decoder
from orchestrator.images.fetch import ImageFetcher
from orchestrator.inference.client import TritonClient
from orchestrator.pipeline.claims import claim, held, let_go
from orchestrator.pipeline.outage import Outage
from orchestrator.pipeline.retries import ATTEMPTS_EXHAUSTED, Verdict, judge
from orchestrator.pipeline.rules import Rules, RulesCache
from orchestrator.pipeline.shadow import Loads, Shadows
from orchestrator.pipeline.stages import Stages, Timings
from orchestrator.pipeline.storing import Look, Storing
from orchestrator.records import (
    ClaimedImage,
    ImageContext,
    ImageFailure,
    Priority,
    ProposedSuggestion,
    Resolution,
    ServedModel,
    Tag,
    UnmappedTag,
    VersionRating,
)
from orchestrator.settings import Settings
from orchestrator.store import images
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import TaggingPlan
from orchestrator.tagging.resolve import resolve
from orchestrator.telemetry import Metrics, Outcome, Stage

log = structlog.get_logger(__name__)

CLAIMED_AT_ONCE = 32
UNDER_WAY = 32
"""Pictures of all messages of a process between being fetched and being seen: what bounds its memory, and
what it has in hand when it is told to end."""

STORE_ALLOWANCE = 20.0
NAMES_LOGGED = 20


@dataclass(frozen=True, slots=True)
class NamedSuggestion:
    """A proposal with the names that people know it by."""

    tag: Tag
    model: ServedModel
    proposal: ProposedSuggestion


@dataclass(frozen=True, slots=True)
class Analysed:
    """What the pipeline makes of a picture that nobody stores. Suggestions surest first."""

    sha256: str
    width: int
    height: int
    has_alpha: bool
    media_type: str
    models: tuple[ServedModel, ...]
    suggestions: tuple[NamedSuggestion, ...]
    unmapped: tuple[UnmappedTag, ...]
    ratings: tuple[VersionRating, ...]


class Pipeline:
    """Composes the stages. One a process, on the loop that its parts belong to."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        fetcher: ImageFetcher,
        decoder: Decoder,
        triton: TritonClient,
        loads: Loads,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._store = store
        self._fetcher = fetcher
        self._metrics = metrics
        self._rules = RulesCache(settings, store)
        self._outage = Outage(triton)
        self._stages = Stages(settings=settings, decoder=decoder, triton=triton, metrics=metrics)
        self._storing = Storing(store)
        self._shadows = Shadows(settings=settings, store=store, triton=triton, loads=loads, metrics=metrics)
        self._room = asyncio.Semaphore(UNDER_WAY)
        self._draining = False

    @property
    def longest_analysis(self) -> float:
        """Seconds after which one image's analysis is given up, whatever keeps it: each stage has its own
        limit, but may have to wait for all that are under way."""
        settings = self._settings
        return settings.fetch_timeout + UNDER_WAY * (settings.decode_timeout + settings.inference_timeout)

    def drain(self) -> None:
        """Claim nothing more; what is begun is finished. May be called from any thread."""
        self._draining = True

    async def warm(self) -> None:
        """Read the rules now, so that the first image need not wait for them. Raises StoreUnavailable."""
        await self._rules.current()
        await self._shadows.refresh()

    async def close(self) -> None:
        """End what goes on beside the images."""
        await self._shadows.close()

    async def plan(self) -> TaggingPlan:
        """Return the rules of now, for scores that are stored already. Raises StoreUnavailable."""
        return (await self._rules.current()).plan

    async def analyse_images(self, image_ids: Sequence[int], priority: Priority) -> Sequence[int]:
        """Analyse those of `image_ids` that are due and that nobody else holds, and settle each.

        Returns those that were not looked at, for Triton is away or this process shuts down: their message
        should be sent again. Never raises for an image's sake; what a database that is away leaves undone
        comes back through the sweeper.
        """
        for start in range(0, len(image_ids), CLAIMED_AT_ONCE):
            ids = image_ids[start : start + CLAIMED_AT_ONCE]
            try:
                rules = await self._rules.current()
                if self._draining or not await self._outage.over(rules.models):
                    return image_ids[start:]
                claimed = await claim(self._store, ids, lease=self._settings.claim_lease)
            except StoreUnavailable as error:
                log.warning("database unavailable; images left to the sweeper", error=str(error))
                return ()
            if not claimed:
                continue
            async with (
                held(self._store, claimed, lease=self._settings.claim_lease),
                asyncio.TaskGroup() as group,
            ):
                begun = [group.create_task(self._settle(image, rules, priority)) for image in claimed]
            left = [image for image, task in zip(claimed, begun, strict=True) if not task.result()]
            if left:
                await let_go(self._store, left)
                return [*(image.id for image in left), *image_ids[start + CLAIMED_AT_ONCE :]]
        return ()

    async def analyze_bytes(self, data: bytes) -> Analysed:
        """Return what the models and rules make of `data`; nothing is stored.

        Raises DecodeError, InferenceUnavailable, InferenceRejected, StoreUnavailable.
        """
        rules = await self._rules.current()
        seen = await self._stages.look(data, rules, priority=Priority.LIVE)
        self._shadows.noticed(Priority.LIVE, seen.timings[Stage.INFER] / 1000)
        prepared = seen.prepared
        context = ImageContext(has_alpha=prepared.has_alpha, applied=frozenset())
        resolution = resolve(rules.plan, context, seen.raw)
        return Analysed(
            sha256=hashlib.sha256(data).hexdigest(),
            width=prepared.width,
            height=prepared.height,
            has_alpha=prepared.has_alpha,
            media_type=prepared.media_type,
            models=rules.models,
            suggestions=tuple(
                NamedSuggestion(rules.plan.tag(one.tag_id), rules.model(one.model_version_id), one)
                for one in resolution.suggestions
            ),
            unmapped=resolution.unmapped,
            ratings=resolution.ratings,
        )

    async def _settle(self, image: ClaimedImage, rules: Rules, priority: Priority) -> bool:
        """Bring one claimed image to its end, or back to the queue. False: not begun, as we end."""
        structlog.contextvars.bind_contextvars(
            image_id=image.id,
            attempt=image.attempts,
            models=[f"{model.name}:{model.version}" for model in rules.models],
        )
        if image.attempts > self._settings.max_attempts:
            # Only workers that died get here: every try that ended by itself was counted and judged.
            failure = ImageFailure(ATTEMPTS_EXHAUSTED, f"{image.attempts - 1} tries ended without a result")
            await self._give_back(image, Verdict(failure, retry_in=None), priority)
            return True
        try:
            async with self._room:
                if self._draining:
                    return False
                start = perf_counter()
                timings: Timings = {}
                async with asyncio.timeout(self.longest_analysis):
                    look = await self._look(image, rules, priority, timings)
            await self._store_look(look, priority, start, timings)
        except Exception as error:
            if isinstance(error, InferenceUnavailable) and rules.ready:
                self._outage.noticed()
            if not isinstance(error, TagdeskError | TimeoutError):
                log.exception("unexpected error in the pipeline")
            verdict = judge(
                error,
                attempts=image.attempts,
                max_attempts=self._settings.max_attempts,
                base=self._settings.retry_base,
            )
            await self._give_back(image, verdict, priority)
        return True

    async def _look(self, image: ClaimedImage, rules: Rules, priority: Priority, timings: Timings) -> Look:
        with self._metrics.timed(Stage.FETCH, timings):
            fetched = await self._fetcher.fetch(image.source)
        # Who failed before keeps to itself: it may be what made others fail that were asked about with it.
        seen = await self._stages.look(fetched.data, rules, priority=priority, alone=image.attempts > 1)
        self._shadows.noticed(priority, seen.timings[Stage.INFER] / 1000)
        timings |= seen.timings
        return Look(image, fetched.sha256, seen, rules)

    async def _store_look(self, look: Look, priority: Priority, start: float, timings: Timings) -> None:
        with self._metrics.timed(Stage.STORE, timings):
            async with asyncio.timeout(STORE_ALLOWANCE):
                resolution = await self._storing.write(look, priority)
        if resolution is None:
            log.warning("claim lost; result dropped")
            self._metrics.images.labels(priority, Outcome.LOST, "").inc()
            return
        self._shadows.offer(look.image.id, look.sha256, look.seen.prepared)
        seconds = perf_counter() - start
        self._metrics.stage_seconds.labels(Stage.TOTAL).observe(seconds)
        self._metrics.images.labels(priority, Outcome.DONE, "").inc()
        self._count(resolution, look.rules)
        log.info(
            "image analysed",
            suggestions=len(resolution.suggestions),
            unmapped=[tag.external_tag for tag in resolution.unmapped[:NAMES_LOGGED]],
            milliseconds=timings | {"total": round(seconds * 1000, 1)},
        )

    def _count(self, resolution: Resolution, rules: Rules) -> None:
        decided = Counter(one.model_version_id for one in resolution.suggestions)
        for version_id, amount in decided.items():
            model = rules.model(version_id)
            self._metrics.suggestions.labels(model.name, model.version).inc(amount)
        for source, amount in Counter(tag.source for tag in resolution.unmapped).items():
            self._metrics.unmapped.labels(source).inc(amount)

    async def _give_back(self, image: ClaimedImage, verdict: Verdict, priority: Priority) -> None:
        """Write a verdict to the image's row. A database that is away leaves the claim to run out."""
        failure, delay = verdict.failure, verdict.retry_in

        async def write(tx: Transaction) -> bool:
            if delay is None:
                return await images.finish_failed(tx, image.id, image.token, failure)
            return await images.release_for_retry(
                tx, image.id, image.token, failure, delay=delay, counted=verdict.counted
            )

        try:
            kept = await self._store.write(write)
        except StoreUnavailable as error:
            log.warning("verdict not stored; the claim runs out", code=failure.code, error=str(error))
            return
        outcome = Outcome.LOST if not kept else Outcome.FAILED if delay is None else Outcome.RETRIED
        self._metrics.images.labels(priority, outcome, failure.code).inc()
        log.warning("image " + outcome, code=failure.code, detail=failure.detail, retry_in=delay)
