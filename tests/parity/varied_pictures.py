"""Varied pictures for the parity of preparation: every format, mode, orientation and kind of size."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from orchestrator.demo.portraits import draw_portrait

ORIENTATION = 0x0112


@dataclass(frozen=True)
class Varied:
    """A file. `exact`: whether it is decoded at full size."""

    name: str
    make: Callable[[], bytes]
    exact: bool = True


def scene(width: int, height: int, seed: int) -> Image.Image:
    """A picture as a camera or a painter makes it: soft grounds, shapes with outlines, some grain."""
    chance = np.random.default_rng(seed)
    ground = Image.fromarray(chance.integers(0, 256, (7, 9, 3), np.uint8))
    image = ground.resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    reach = max(width, height)
    for _ in range(14):
        x, y = int(chance.integers(0, width)), int(chance.integers(0, height))
        size = int(chance.integers(reach // 40 + 2, reach // 5 + 4))
        fill = tuple(int(part) for part in chance.integers(0, 256, 3))
        pen.ellipse((x, y, x + size, y + size * 2), fill=fill, outline=(20, 10, 40), width=1 + reach // 300)
    return image.filter(ImageFilter.GaussianBlur(0.6))


def with_alpha(image: Image.Image, seed: int) -> Image.Image:
    """The picture with a soft hole and an empty corner."""
    y, x = np.mgrid[0 : image.height, 0 : image.width].astype(np.float32)
    hole = np.hypot(x - image.width * (0.3 + seed % 5 / 10), y - image.height * 0.4) / max(image.size)
    alpha = np.clip(hole * 700, 0, 255)
    alpha[-image.height // 4 :, : image.width // 4] = 0
    image = image.convert("RGBA")
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _exif(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


_OPTIONS = {
    "JPEG": {"quality": 90},
    "PNG": {"compress_level": 1},
    "WEBP": {"quality": 85, "method": 0},
    "GIF": {},
    "AVIF": {"quality": 80, "speed": 10},
}


def _sizes(count: int) -> Iterator[tuple[int, int]]:
    """Sizes of every shape: from 16 pixels up, mostly below the model's square or a little above it."""
    chance = np.random.default_rng(2026)
    yield from (
        (16, 16),
        (16, 17),
        (17, 16),
        (16, 800),
        (800, 16),
        (448, 448),
        (447, 448),
        (449, 448),
        (896, 896),
    )
    for _ in range(count - 9):
        longer = int(np.exp(chance.uniform(np.log(20), np.log(1_000))))
        shorter = max(16, int(longer / np.exp(chance.uniform(0, 1.6))))
        longer = max(longer, shorter)
        yield (longer, shorter) if chance.random() < 0.5 else (shorter, longer)


def _plain(number: int, width: int, height: int) -> Varied:
    kind = tuple(_OPTIONS)[number % 5]
    return Varied(
        f"{number}-{kind.lower()}-{width}x{height}",
        lambda: encoded(scene(width, height, number), kind, **_OPTIONS[kind]),
    )


def _transparent(number: int, width: int, height: int) -> Varied:
    kind = ("PNG", "WEBP", "AVIF")[number % 3]
    return Varied(
        f"{number}-{kind.lower()}-alpha-{width}x{height}",
        lambda: encoded(with_alpha(scene(width, height, number), number), kind, **_OPTIONS[kind]),
    )


def _turned(number: int, value: int, width: int, height: int) -> Varied:
    kind = ("JPEG", "PNG", "WEBP")[number % 3]
    return Varied(
        f"{number}-{kind.lower()}-exif{value}-{width}x{height}",
        lambda: encoded(scene(width, height, number), kind, exif=_exif(value), **_OPTIONS[kind]),
    )


def _odd_modes() -> Iterator[Varied]:
    def image(seed: int) -> Image.Image:
        return scene(333, 251, seed)

    yield Varied("grey-jpeg", lambda: encoded(image(1).convert("L"), "JPEG"))
    yield Varied("cmyk-jpeg", lambda: encoded(image(2).convert("CMYK"), "JPEG"))
    yield Varied("progressive-jpeg", lambda: encoded(image(3), "JPEG", progressive=True))
    yield Varied("full-colour-jpeg", lambda: encoded(image(4), "JPEG", subsampling=0))
    yield Varied("bilevel-png", lambda: encoded(image(5).convert("1"), "PNG"))
    yield Varied("grey-alpha-png", lambda: encoded(with_alpha(image(6), 6).convert("LA"), "PNG"))
    yield Varied("palette-png", lambda: encoded(image(7).quantize(64), "PNG"))
    yield Varied("palette-key-png", lambda: encoded(image(8).quantize(64), "PNG", transparency=3))
    ramp = bytes(range(0, 256, 4))
    yield Varied("palette-alpha-png", lambda: encoded(image(9).quantize(64), "PNG", transparency=ramp))
    yield Varied("key-gif", lambda: encoded(image(10).quantize(64), "GIF", transparency=5))
    yield Varied("lossless-webp", lambda: encoded(image(11), "WEBP", lossless=True))
    for number in range(6):
        yield Varied(f"portrait-{number}", lambda n=number: encoded(draw_portrait(n).image, "PNG"))


def _big_jpegs() -> Iterator[Varied]:
    """JPEGs that are decoded at a fraction: one of 12 megapixels, every orientation, odd edges."""
    sizes = [
        (1792, 1344), (1793, 1201), (1201, 1793), (2001, 1500), (1501, 2003), (3600, 700), (700, 3601),
        (3585, 99), (1999, 1777), (4000, 3000),
    ]  # fmt: skip
    for number, (width, height) in enumerate(sizes):
        yield Varied(
            f"big-{width}x{height}",
            lambda n=number, w=width, h=height: encoded(scene(w, h, n), "JPEG", quality=90),
            exact=False,
        )
    for value in range(1, 9):
        yield Varied(
            f"big-exif{value}",
            lambda v=value: encoded(scene(1795, 1203, v), "JPEG", quality=90, exif=_exif(v)),
            exact=False,
        )
    yield Varied(
        "big-progressive", lambda: encoded(scene(1900, 1405, 1), "JPEG", progressive=True), exact=False
    )
    yield Varied("big-grey", lambda: encoded(scene(1900, 1405, 2).convert("L"), "JPEG"), exact=False)


def varied_pictures() -> list[Varied]:
    """All of them, in an order that never changes."""
    made = [_plain(number, *size) for number, size in enumerate(_sizes(110))]
    made += [_transparent(number, *size) for number, size in enumerate(_sizes(36))]
    made += [_turned(number, number % 8 + 1, *size) for number, size in enumerate(list(_sizes(49))[9:])]
    made += [*_odd_modes(), *_big_jpegs()]
    made.append(
        Varied("big-png-12-megapixels", lambda: encoded(scene(4000, 3000, 3), "PNG", compress_level=1))
    )
    return made
