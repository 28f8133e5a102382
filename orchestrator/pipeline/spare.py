"""Whether there is capacity to spare beside live work: pure, told what is so and what time it is.

Closed while live images wait, and while live inference is slower than it was at its best lately. It opens
again only well below the level at which it closed, and ever later while that happens again and again.
"""

from dataclasses import dataclass
from enum import StrEnum

SMOOTHING = 0.3
"""How much a new latency counts against those before."""

FORGETTING = 1.002
"""By how much the best latency is forgotten with each that is heard of: what is normal may change."""

RISE, SLACK = 1.5, 0.003
"""Live inference is slower from so many times its best, and so many seconds, on…"""

RELIEF = 1.2
"""…until it is less than so many times its best."""

REST = 0.5
"""Seconds for which nobody must have waited."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
CALM = 30.0
"""Seconds without a pause after which the next one is a short one again."""


class Reason(StrEnum):
    """Why nothing is spared."""

    UNKNOWN = "the queue cannot be asked"
    WAITING = "live images wait"
    SLOWER = "live inference is slower than at its best"
    AWAY = "Triton is away"


@dataclass(frozen=True, slots=True)
class Load:
    """Live work now: images that wait for a worker, and the latest mean time of an inference in seconds; None
    when there was none lately."""

    waiting: int
    latency: float | None


class Spare:
    """Says yes or no, and why not. `now` is in monotonic seconds and never goes back."""

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self._rest_until = 0.0
        self._pause_until = 0.0
        self._pause = FIRST_PAUSE
        self._latency: float | None = None
        self._best: float | None = None

    def admits(self, load: Load | None, now: float) -> bool:
        """Whether something may be done beside live work. `load`: None when nobody knows."""
        if load is None:
            self.reason = Reason.UNKNOWN
        elif load.waiting:
            self.reason, self._rest_until = Reason.WAITING, now + REST
        elif load.latency is None:
            self._latency = None
            self._pause_until = 0.0  # nobody is there who could be slowed
            self._open(now)
        elif self._is_slower(load.latency):
            self._pause_for(now)
        else:
            self._open(now)
        return self.reason is None

    def away(self, now: float) -> None:
        """Hear that Triton does not answer at all."""
        self.reason, self._rest_until = Reason.AWAY, now + FIRST_PAUSE

    def _open(self, now: float) -> None:
        if now >= max(self._rest_until, self._pause_until):
            self.reason = None
            if now >= self._pause_until + CALM:
                self._pause = FIRST_PAUSE

    def _pause_for(self, now: float) -> None:
        if now >= self._pause_until:
            self._pause_until = now + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        self.reason = Reason.SLOWER

    def _is_slower(self, latency: float) -> bool:
        before = self._latency
        self._latency = latency if before is None else before + SMOOTHING * (latency - before)
        self._best = self._latency if self._best is None else min(self._latency, self._best * FORGETTING)
        factor = RELIEF if self.reason is Reason.SLOWER else RISE
        return self._latency > self._best * factor + SLACK
