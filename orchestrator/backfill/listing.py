"""Lists of images in files: an id a line, or JSON objects with an `image_id`, a line each."""

import json
from collections.abc import Iterable
from pathlib import Path

from orchestrator.errors import InvalidInput

SHOWN = 5
_LARGEST = 2**63


def read_ids(path: Path) -> list[int]:
    """Return the ids of a list in its order. Empty lines and what follows a `#` do not count.

    Raises InvalidInput (`bad_list`), naming bad lines by number; OSError.
    """
    with path.open(encoding="utf-8") as lines:
        found, bad = _read(lines)
    if bad:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise InvalidInput(
            f"{path}: no image's id in line {'; line '.join(bad[:SHOWN])}{more}; nothing was started",
            code="bad_list",
        )
    if not found:
        raise InvalidInput(f"{path} lists no image", code="bad_list")
    return found


def _read(lines: Iterable[str]) -> tuple[list[int], list[str]]:
    found: list[int] = []
    bad: list[str] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text.startswith("{"):
            text = text.partition("#")[0].strip()
        if not text:
            continue
        image_id = _id(text)
        if image_id is None:
            bad.append(f"{number} ({text[:40]})")
        else:
            found.append(image_id)
    return found, bad


def _id(text: str) -> int | None:
    if text.startswith("{"):
        try:
            value = json.loads(text).get("image_id")
        except ValueError:
            return None
        return value if type(value) is int and 0 < value < _LARGEST else None
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text) < _LARGEST else None
