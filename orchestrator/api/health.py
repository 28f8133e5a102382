"""Whether the process lives, and whether every part behind it is ready for work."""

import asyncio
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

import httpx

from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.errors import StoreUnavailable, TagdeskError
from orchestrator.inference.failures import TIMEOUT
from orchestrator.records import ServedModel
from orchestrator.resources import Resources
from orchestrator.store import models, rules_version
from orchestrator.store.transaction import Transaction
from orchestrator.wire.health import InferenceHealth, LiveAnswer, ModelHealth, PartHealth, ReadyAnswer

KEPT = 1.0
"""Seconds that an answer is reused: probes by many must not become load."""

PATIENCE = 1.5
"""Seconds that one part has to answer."""


class Readiness:
    """Asks every part, one question at a time whoever waits, and keeps the answer for a moment."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._asking = asyncio.Lock()
        self._answer: ReadyAnswer | None = None
        self._asked_at = 0.0
        self._models: tuple[int, tuple[ServedModel, ...]] = (-1, ())

    async def ask(self) -> ReadyAnswer:
        """Return the state of every part, at most KEPT seconds old."""
        async with self._asking:
            if self._answer is None or time.monotonic() - self._asked_at > KEPT:
                self._answer = await self._ask_parts()
                self._asked_at = time.monotonic()
            return self._answer

    async def _ask_parts(self) -> ReadyAnswer:
        redis = asyncio.create_task(self._redis())
        provider = asyncio.create_task(self._provider())
        database = await self._database()
        inference = await self._inference(database, await provider)
        answer = await redis
        return ReadyAnswer(
            ready=database.ready and answer.ready and inference.ready,
            database=database,
            redis=answer,
            inference=inference,
        )

    async def _database(self) -> PartHealth:
        """Read the rules' stamp, and the active versions again where it has moved."""

        async def work(tx: Transaction) -> tuple[int, tuple[ServedModel, ...]]:
            stamp = await rules_version.current(tx)
            if stamp == self._models[0]:
                return self._models
            return stamp, tuple(await models.active(tx, self._resources.settings))

        try:
            async with asyncio.timeout(PATIENCE):
                self._models = await self._resources.store.read(work)
        except StoreUnavailable as error:
            return PartHealth(ready=False, detail=error.detail)
        except TimeoutError:
            return PartHealth(ready=False, detail=f"no answer within {PATIENCE:g} s")
        return PartHealth(ready=True)

    async def _redis(self) -> PartHealth:
        try:
            async with asyncio.timeout(PATIENCE):
                ready = await self._resources.queue.is_ready()
        except TimeoutError:
            ready = False
        return PartHealth(ready=ready, detail=None if ready else "Redis does not answer")

    async def _inference(
        self, database: PartHealth, provider: Literal["cpu", "cuda"] | None
    ) -> InferenceHealth:
        active = self._models[1]
        found = await asyncio.gather(*(self._probe(model) for model in active))
        detail = None
        if not active:
            detail = (
                "no model version is active" if database.ready else "which versions are active is unknown"
            )
        expected = self._resources.settings.expect_gpu
        if expected and provider == "cpu":
            detail = "a GPU is expected, but inference runs on the CPU"
        return InferenceHealth(
            ready=bool(active) and all(model.ready for model in found),
            provider=provider,
            expected_gpu=expected,
            models=tuple(found),
            detail=detail,
        )

    async def _probe(self, model: ServedModel) -> ModelHealth:
        code, detail = None, None
        try:
            async with asyncio.timeout(PATIENCE):
                await self._resources.triton.probe(model, deadline=PATIENCE)
        except TimeoutError:
            code, detail = TIMEOUT, f"no answer within {PATIENCE:g} s"
        except TagdeskError as error:
            code, detail = error.code, error.detail
        return ModelHealth(
            name=model.name,
            version=model.version,
            source=model.source,
            ready=code is None,
            code=code,
            detail=detail,
        )

    async def _provider(self) -> Literal["cpu", "cuda"] | None:
        """What Triton's own metrics say: it exports GPU gauges only where it uses a GPU."""
        url = self._resources.settings.triton_metrics_url
        if url is None:
            return None
        try:
            async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
                lines: Sequence[str] = (await client.get(url)).raise_for_status().text.splitlines()
        except (httpx.HTTPError, httpx.InvalidURL):
            return None
        return "cuda" if any(line.startswith("nv_gpu_") for line in lines) else "cpu"


async def live(call: Call) -> Reply:
    """Answer: the process lives."""
    return Reply(200, LiveAnswer(status="ok", version=version("tagdesk")))


async def ready(call: Call) -> Reply:
    """Say part by part whether everything needed for work is there."""
    readiness: Readiness = call.request.app.state.readiness
    answer = await readiness.ask()
    return Reply(200 if answer.ready else 503, answer)
