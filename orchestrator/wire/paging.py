"""Walking lists: the pages of a list, and what is on them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from orchestrator.wire.base import PageQuery

ItemT_co = TypeVar("ItemT_co", covariant=True)
QueryT = TypeVar("QueryT", bound=PageQuery)


class Page(Protocol[ItemT_co]):
    """A page of a list, and where the next one begins."""

    @property
    def items(self) -> tuple[ItemT_co, ...]:
        """What is on it; a page may be short although the list goes on."""

    @property
    def next_cursor(self) -> str | None:
        """None on the last page."""


PageT = TypeVar("PageT", bound=Page[object])


async def pages(call: Callable[[QueryT], Awaitable[PageT]], query: QueryT) -> AsyncIterator[PageT]:
    """Yield every page of a list, from the query's cursor on. `call`: the client's method for a page."""
    while True:
        page = await call(query)
        yield page
        if page.next_cursor is None:
            return
        query = query.model_copy(update={"cursor": page.next_cursor})


async def every(
    call: Callable[[QueryT], Awaitable[Page[ItemT_co]]], query: QueryT
) -> AsyncIterator[ItemT_co]:
    """Yield every item of a list, page by page; `query.limit` is how many a page has."""
    async for page in pages(call, query):
        for item in page.items:
            yield item
