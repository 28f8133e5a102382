"""Portraits as files, in the formats that a board receives."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from orchestrator.demo.portraits.render import Portrait, draw_portrait

DEMO_SEED = 20_000_000
"""First seed of the demo's portraits; apart from training (0 …) and evaluation (10,000,000 …)."""

_MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class PortraitFile:
    """A written portrait. `labels`: Danbooru names; `themes`: titles of the demo board's themes."""

    path: Path
    media_type: str
    has_alpha: bool
    labels: frozenset[str]
    themes: frozenset[str]


def _quiet(_: int) -> None:
    """Report nothing."""


def write_portraits(
    folder: Path, count: int, *, first_seed: int = DEMO_SEED, progress: Callable[[int], None] = _quiet
) -> list[PortraitFile]:
    """Write `count` portraits to `folder`: of every five three JPEG, one PNG with alpha, one WebP.

    The same arguments give the same names and pixels. `folder` is created; files of the same name in it are
    replaced. `progress` hears after each how many are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[PortraitFile] = []
    for index in range(count):
        written.append(_write_one(folder, index, first_seed + index))
        progress(len(written))
    return written


def _write_one(folder: Path, index: int, seed: int) -> PortraitFile:
    suffix = (".jpg", ".jpg", ".png", ".jpg", ".webp")[index % 5]
    transparent = suffix == ".png"
    # A longer side of its own, so that the demo's pictures are of many sizes, some large.
    side = Random(seed).choice((480, 640, 720, 900, 1200))
    portrait = draw_portrait(seed, transparent=transparent, longer_side=side)
    path = folder / f"portrait-{index:03d}{suffix}"
    _save(portrait, path)
    return PortraitFile(path, _MEDIA_TYPES[suffix], transparent, portrait.labels, portrait.themes)


def _save(portrait: Portrait, path: Path) -> None:
    if path.suffix == ".jpg":
        portrait.image.save(path, "JPEG", quality=90)
    elif path.suffix == ".webp":
        portrait.image.save(path, "WEBP", quality=88, method=2)
    else:
        portrait.image.save(path, "PNG")
