"""The demo's pictures: drawn once, then registered over HTTP as the board would."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from orchestrator.demo.portraits.files import PortraitFile, write_portraits
from orchestrator.records import Role

FIRST_EXTERNAL_ID = 9000
_BY_PATH_EVERY = 4
_RECORD = "portraits.json"
_PATIENCE = 60.0

Progress = Callable[[int], None]


def draw(folder: Path, count: int, progress: Progress) -> list[PortraitFile]:
    """Return `count` portraits in `folder`, drawing them unless an earlier run did."""
    record = folder / _RECORD
    if record.exists():
        known = [_from_json(folder, item) for item in json.loads(record.read_text())]
        if len(known) == count and all(portrait.path.exists() for portrait in known):
            progress(count)
            return known
    portraits = write_portraits(folder, count, progress=progress)
    record.write_text(json.dumps([_to_json(portrait) for portrait in portraits]))
    return portraits


async def register(
    url: str, tokens: Mapping[Role, str], portraits: list[PortraitFile], progress: Progress
) -> list[int]:
    """Register every portrait, most by upload, some by path; returns the image ids in the same order.

    External ids make this idempotent. Raises httpx.HTTPError when the API refuses or does not answer.
    """
    ids: list[int] = []
    async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE) as client:
        for number, portrait in enumerate(portraits):
            external_id = FIRST_EXTERNAL_ID + number
            if number % _BY_PATH_EVERY == 0:
                answer = await client.post(
                    "/api/v1/images",
                    headers=_bearer(tokens[Role.ENGINEER]),
                    json={"path": str(portrait.path), "external_id": external_id},
                )
            else:
                answer = await client.post(
                    "/api/v1/images",
                    headers=_bearer(tokens[Role.UPLOADER]),
                    files={"file": (portrait.path.name, portrait.path.read_bytes(), portrait.media_type)},
                    data={"external_id": str(external_id)},
                )
            answer.raise_for_status()
            ids.append(int(answer.json()["id"]))
            progress(number + 1)
    return ids


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


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
