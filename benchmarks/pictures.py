"""Pictures of the size that people upload: portraits of 1 to 4 megapixels as JPEG, no two the same."""

import math
from pathlib import Path
from random import Random

from orchestrator.demo.portraits import draw_portrait

SEED = 30_000_000
DRAWN = 24
_JPEG_END = b"\xff\xd9"


def uploads(folder: Path, count: int) -> list[bytes]:
    """Return `count` JPEG files of 1 to 4 megapixels, all of different bytes, the same in every run.

    DRAWN of them are drawn, once, into `folder`; the others are those with a comment of their own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_drawn(folder / f"upload-{number:03d}.jpg", SEED + number) for number in range(DRAWN)]
    return [_with_comment(drawn[number % DRAWN], number) for number in range(count)]


def posts(folder: Path, count: int) -> list[bytes]:
    """Return `count` JPEG files of 500 pixels on the longer side, as boards show them, made like uploads."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_drawn(folder / f"post-{number:03d}.jpg", SEED + number, side=500) for number in range(DRAWN)]
    return [_with_comment(drawn[number % DRAWN], number) for number in range(count)]


def _drawn(path: Path, seed: int, side: float | None = None) -> bytes:
    if not path.exists():
        random = Random(seed)
        aspect = random.uniform(0.66, 1.5)
        side = side or math.sqrt(random.uniform(1e6, 4e6) * max(aspect, 1 / aspect))
        portrait = draw_portrait(seed, aspect=aspect, longer_side=round(side))
        portrait.image.save(path, "JPEG", quality=92)
    return path.read_bytes()


def _with_comment(jpeg: bytes, number: int) -> bytes:
    """Insert a comment segment behind the start marker: another file of the same picture."""
    text = f"upload {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text + jpeg[2:]
