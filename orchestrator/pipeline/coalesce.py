"""Single calls that become calls for many: what waits while one is under way goes together with the next.

Without a time to linger nobody waits for company: a call that finds nothing under way begins at once, alone,
and the busier it is, the more go together.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T, R]):
    item: T
    alone: bool
    until: float
    answer: asyncio.Future[R]


class Coalescer(Generic[T, R]):
    """Gathers items for `work`, which returns as many answers, in order. Belongs to one event loop.

    `most`: says how many items the next call may have, at least one. `parallel`: calls under way at a time.
    `linger`: seconds that an item waits at most for others to fill the call.
    `shared`: whether an error of `work` concerns every item of its call; else each is tried alone after it,
    so that nobody suffers for another's item.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        most: Callable[[], int],
        parallel: int,
        shared: Callable[[Exception], bool],
        linger: float = 0.0,
    ) -> None:
        self._work = work
        self._most = most
        self._parallel = parallel
        self._shared = shared
        self._linger = linger
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None

    async def submit(self, item: T, *, alone: bool = False) -> R:
        """Return the answer to `item`; raise what `work` raised for it. `alone`: it keeps no company.

        Who is cancelled while waiting takes its item back; a call under way goes on for the others.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        until = loop.time() + (0.0 if alone else self._linger)
        self._waiting.append(_Waiting(item, alone, until, answer))
        self._begin()
        return await answer

    def _begin(self) -> None:
        while len(self._under_way) < self._parallel and self._is_due() and (batch := self._next()):
            # In no submitter's context: what is logged there concerns more than its image.
            task = asyncio.get_running_loop().create_task(self._answer(batch), context=Context())
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _is_due(self) -> bool:
        """Whether the next call should begin; if not yet, it is looked at again in time."""
        while self._waiting and self._waiting[0].answer.done():  # its caller has left
            self._waiting.popleft()
        if not self._waiting or len(self._waiting) >= self._most():
            return bool(self._waiting)
        loop = asyncio.get_running_loop()
        until = min(one.until for one in self._waiting)
        if until <= loop.time():
            return True
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = loop.call_at(until, self._begin, context=Context())
        return False

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._begin()

    def _next(self) -> list[_Waiting[T, R]]:
        batch: list[_Waiting[T, R]] = []
        most = self._most()
        while self._waiting and len(batch) < most:
            if self._waiting[0].answer.done():  # its caller has left
                self._waiting.popleft()
            elif not batch or not (batch[0].alone or self._waiting[0].alone):
                batch.append(self._waiting.popleft())
            else:
                break
        return batch

    async def _answer(self, batch: Sequence[_Waiting[T, R]]) -> None:
        try:
            answers = await self._work([one.item for one in batch])
        except Exception as error:
            if len(batch) > 1 and not self._shared(error):
                for one in batch:
                    await self._answer([one])
                return
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        except BaseException:
            for one in batch:
                one.answer.cancel()
            raise
        for one, answer in zip(batch, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)
