"""Asking versions for real answers, and judging what comes back: well, passing trouble, or to be reloaded.

| what a probe meets | fault | reload |
|---|---|---|
| scores that are not finite, misshapen or no probabilities | the error's code | yes |
| a dead backend process | `inference_internal` | yes |
| silence, and nothing computed for long by Triton's own count | `model_hung` | yes |
| silence of one that computes, or of Triton itself | the error's code | no: it is slow, busy or away |
| any other refusal | the error's code | no: it would be refused again |
"""

import time
from dataclasses import dataclass

from orchestrator.errors import InferenceUnavailable, ModelError
from orchestrator.inference.client import TritonClient
from orchestrator.inference.failures import BROKEN_SCORES, DEAD_BACKEND, NOT_SERVED
from orchestrator.inference.progress import Progress
from orchestrator.records import ServedModel


@dataclass(frozen=True, slots=True)
class Pace:
    """How often versions are asked, and how long they may be silent. All in seconds.

    `patience`: without a computed batch, until a silent version counts as hung. `first_patience`: the same
    for one that computed nothing yet, for a GPU may be building its engine.
    """

    interval: float = 5.0
    deadline: float = 5.0
    patience: float = 30.0
    first_patience: float = 600.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a version. `code`: see docs/errors.md. `reload`: whether a fresh start may help."""

    code: str
    detail: str
    reload: bool


@dataclass(frozen=True, slots=True)
class _Silence:
    """A version that owes an answer. `since`: monotonic seconds when `progress` was read."""

    since: float
    progress: Progress


class Watch:
    """Remembers, from question to question, which versions have been silent and since when."""

    def __init__(self, triton: TritonClient, pace: Pace | None = None) -> None:
        self._triton = triton
        self._pace = pace or Pace()
        self._silent: dict[int, _Silence] = {}

    async def look(self, model: ServedModel) -> Fault | None:
        """Ask a version for one real answer; None when it was good. Never raises for the version's sake."""
        try:
            await self._triton.probe(model, deadline=self._pace.deadline)
        except InferenceUnavailable as error:
            if error.code in {DEAD_BACKEND, NOT_SERVED}:
                self.forget(model)
                return Fault(error.code, error.detail, reload=error.code == DEAD_BACKEND)
            return await self._silence(model, error)
        except ModelError as error:
            self.forget(model)
            return Fault(error.code, error.detail, reload=error.code in BROKEN_SCORES)
        self.forget(model)
        return None

    def forget(self, model: ServedModel) -> None:
        """Begin anew with a version: it answered, was reloaded or is gone."""
        self._silent.pop(model.id, None)

    async def _silence(self, model: ServedModel, error: InferenceUnavailable) -> Fault:
        """Judge a version that did not answer in time: hung, or only slow?"""
        fault = Fault(error.code, error.detail, reload=False)
        try:
            progress = await self._triton.progress(model, deadline=self._pace.deadline)
        except (InferenceUnavailable, ModelError):
            self.forget(model)  # Triton itself is away: its silence says nothing about the version
            return fault
        now = time.monotonic()
        silence = self._silent.get(model.id)
        if silence is None or silence.progress.executions != progress.executions:
            self._silent[model.id] = _Silence(now, progress)
            return fault
        patience = self._pace.patience if progress.executions else self._pace.first_patience
        silent_for = now - silence.since
        if not progress.is_stuck(silence.progress, silent_for, patience=patience):
            return fault
        detail = f"{model.name} version {model.version} computed nothing for {silent_for:.0f} s"
        return Fault(code="model_hung", detail=detail, reload=True)
