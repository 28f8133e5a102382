"""A progress bar over any iterable."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import track

T = TypeVar("T")


def progress(rows: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yield from `rows` while a bar on the terminal says how far it is."""
    yield from track(rows, description=what, total=total)
