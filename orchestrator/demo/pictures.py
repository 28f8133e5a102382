"""The demo's pictures: drawn once, then registered over HTTP as the board would."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.client import Client
from orchestrator.demo.portraits.files import PortraitFile, write_portraits
from orchestrator.records import Role
from orchestrator.wire.requests import RegisterImage

FIRST_EXTERNAL_ID = 9000
_BY_PATH_EVERY = 4
_RECORD = "portraits.json"

Progress = Callable[[int], None]


def draw(folder: Path, count: int, progress: Progress) -> list[PortraitFile]:
    """Return `count` portraits in `folder`, drawing them unless an earlier run did."""
    known = drawn(folder)
    if len(known) == count and all(portrait.path.exists() for portrait in known):
        progress(count)
        return known
    portraits = write_portraits(folder, count, progress=progress)
    (folder / _RECORD).write_text(json.dumps([_to_json(portrait) for portrait in portraits]))
    return portraits


def drawn(folder: Path) -> list[PortraitFile]:
    """Return the portraits that `draw` left in `folder`, in their order; none where it never did."""
    record = folder / _RECORD
    return [_from_json(folder, item) for item in json.loads(record.read_text())] if record.exists() else []


async def register(
    url: str, tokens: Mapping[Role, str], portraits: list[PortraitFile], progress: Progress
) -> list[int]:
    """Register every portrait, most by upload, some by path; returns the image ids in the same order.

    External ids make this idempotent. Raises ApiError, ApiUnavailable.
    """
    ids: list[int] = []
    async with Client(url, tokens[Role.ENGINEER]) as engineer, Client(url, tokens[Role.UPLOADER]) as uploader:
        for number, portrait in enumerate(portraits):
            external_id = FIRST_EXTERNAL_ID + number
            if number % _BY_PATH_EVERY == 0:
                named = RegisterImage(path=str(portrait.path), external_id=external_id)
                answer = await engineer.register_image(named)
            else:
                answer = await uploader.register_image(portrait.path, external_id=external_id)
            ids.append(answer.id)
            progress(number + 1)
    return ids


def _to_json(portrait: PortraitFile) -> dict[str, object]:
    return {
        "name": portrait.path.name,
        "media_type": portrait.media_type,
        "has_alpha": portrait.has_alpha,
        "labels": sorted(portrait.labels),
        "themes": sorted(portrait.themes),
    }


def _from_json(folder: Path, item: Mapping[str, object]) -> PortraitFile:
    labels, themes = item["labels"], item["themes"]
    if not isinstance(labels, list) or not isinstance(themes, list):
        raise TypeError(f"{folder / _RECORD} is damaged: remove it")
    return PortraitFile(
        path=folder / str(item["name"]),
        media_type=str(item["media_type"]),
        has_alpha=bool(item["has_alpha"]),
        labels=frozenset(labels),
        themes=frozenset(themes),
    )
