"""While Triton is away, work waits instead of being taken and given back over and over."""

import asyncio
from collections.abc import Sequence

import structlog

from orchestrator.errors import InferenceUnavailable, ModelError
from orchestrator.inference.client import TritonClient
from orchestrator.records import ServedModel

log = structlog.get_logger(__name__)

LONGEST_WAIT = 10.0
PROBE_INTERVAL = 0.5
PROBE_DEADLINE = 2.0


class Outage:
    """Knows whether Triton was away when last asked, and finds out when it is back.

    One coroutine at a time probes; the others wait for what it learns.
    """

    def __init__(self, triton: TritonClient) -> None:
        self._triton = triton
        self._going_on = False
        self._probing = asyncio.Lock()

    def noticed(self) -> None:
        """Say that an inference failed for want of a server."""
        if not self._going_on:
            log.warning("inference is unavailable; images wait")
        self._going_on = True

    async def over(self, models: Sequence[ServedModel], *, patience: float = LONGEST_WAIT) -> bool:
        """Wait `patience` seconds at most for every one of `models` to answer; False when they do not."""
        try:
            async with asyncio.timeout(patience):
                while self._going_on:
                    async with self._probing:
                        if self._going_on and not await self._answers(models):
                            await asyncio.sleep(PROBE_INTERVAL)
        except TimeoutError:
            return False
        return True

    async def _answers(self, models: Sequence[ServedModel]) -> bool:
        try:
            for model in models:
                await self._triton.probe(model, deadline=PROBE_DEADLINE)
        except InferenceUnavailable:
            return False
        except ModelError as error:
            # The server is there; what is wrong with this version, the images' own tries will tell.
            log.warning("a model version refuses its probe", error=str(error))
        log.info("inference is available again")
        self._going_on = False
        return True
