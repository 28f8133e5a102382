"""Single calls that become calls for many: what waits while one is under way goes together with the next.

Nobody waits for company: a call that finds nothing under way begins at once, alone. The busier it is, the
more go together.
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
    answer: asyncio.Future[R]


class Coalescer(Generic[T, R]):
    """Gathers items for `work`, which returns as many answers, in order. Belongs to one event loop.

    `most`: says how many items the next call may have, at least one. `parallel`: calls under way at a time.
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
    ) -> None:
        self._work = work
        self._most = most
        self._parallel = parallel
        self._shared = shared
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def submit(self, item: T, *, alone: bool = False) -> R:
        """Return the answer to `item`; raise what `work` raised for it. `alone`: it keeps no company.

        Who is cancelled while waiting takes its item back; a call under way goes on for the others.
        """
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(item, alone, answer)
        self._waiting.append(waiting)
        self._begin()
        return await answer

    def _begin(self) -> None:
        while len(self._under_way) < self._parallel and (batch := self._next()):
            # In no submitter's context: what is logged there concerns more than its image.
            task = asyncio.get_running_loop().create_task(self._answer(batch), context=Context())
            self._under_way.add(task)
            task.add_done_callback(self._ended)

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
