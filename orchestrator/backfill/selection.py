"""Which images a backfill is for, as people write it: `state=failed`, `uploader=mira`, …"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.errors import InvalidInput
from orchestrator.records import ImageState
from orchestrator.store.backfills import ImageFilter

CONDITIONS = {
    "state": "queued, done, failed or imported; more than one by commas",
    "failure": "failed for this reason, as `tagdesk images failures` shows it; more by commas",
    "uploader": "a user's name",
    "uploaded_since": "a day in UTC, 2026-01-31, or a moment, 2026-01-31T12:00",
    "uploaded_before": "a day or a moment",
    "unseen_by": "a version that has not looked at the image yet: wd14:2",
    "stale": "a model of which only older versions have looked: wd14; the most pending suggestions first",
    "ids": "our ids from … to …: 1-5000",
}
EVERYTHING = "all"


def parse(conditions: Sequence[str]) -> ImageFilter:
    """Read conditions `name=value`, or the one word `all`. Raises InvalidInput (`bad_condition`)."""
    if list(conditions) == [EVERYTHING]:
        return ImageFilter()
    if not conditions:
        raise _bad("say which images: conditions, or `all`")
    found, seen = ImageFilter(), set[str]()
    for condition in conditions:
        name, _, value = (part.strip() for part in condition.partition("="))
        reader = _READERS.get(name)
        if reader is None or not value:
            known = ", ".join(_READERS)
            raise _bad(f"{condition!r} is no condition: write name=value with one of {known}, or `all` alone")
        if name in seen:
            raise _bad(f"{name} is said twice")
        seen.add(name)
        try:
            found = reader(found, value)
        except ValueError as error:
            raise _bad(f"{condition!r}: {CONDITIONS[name]}") from error
    return found


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _version(text: str) -> tuple[str, int]:
    name, _, number = text.partition(":")
    return name, int(number)


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    found = int(first), int(last or first)
    if not 0 < found[0] <= found[1]:
        raise ValueError(text)
    return found


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


_READERS: dict[str, Callable[[ImageFilter, str], ImageFilter]] = {
    "state": lambda s, text: replace(s, states=tuple(ImageState(word) for word in _words(text))),
    "failure": lambda s, text: replace(s, failures=_words(text)),
    "uploader": lambda s, text: replace(s, uploader=text),
    "uploaded_since": lambda s, text: replace(s, uploaded_since=_moment(text)),
    "uploaded_before": lambda s, text: replace(s, uploaded_before=_moment(text)),
    "unseen_by": lambda s, text: replace(s, unseen_by=_version(text)),
    "stale": lambda s, text: replace(s, stale=text),
    "ids": lambda s, text: replace(s, ids=_range(text)),
}


def _bad(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="bad_condition")
