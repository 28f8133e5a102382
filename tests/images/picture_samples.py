"""Pictures for the tests, drawn so that every kind of mistake shows: hard edges, noise, gradients, text-like
detail, and never the same on both sides."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

ORIENTATION = 0x0112


def drawing(width: int, height: int, seed: int = 0) -> Image.Image:
    """An RGB picture without any symmetry, hard on resampling."""
    noise = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pixels = np.empty((height, width, 3), np.float32)
    pixels[..., 0] = 255 * x / max(width - 1, 1)
    pixels[..., 1] = 255 * y / max(height - 1, 1)
    pixels[..., 2] = 127 + 127 * np.sin(x / 3 + y / 5)
    pixels[(x + 2 * y) % 37 < 5] = (20, 10, 60)
    pixels[: height // 3, : width // 4] = (250, 30, 30)
    pixels[height // 2 :, -max(width // 5, 1) :] = 255 * noise.random(
        (height - height // 2, max(width // 5, 1), 3)
    )
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture with a camera's spectrum: soft shapes, outlines, detail that weakens with its fineness."""
    noise = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    for level in range(1, 9):
        cells = (max(2, (width << level) // 1024), max(2, (height << level) // 1024))
        layer = Image.fromarray(noise.integers(0, 256, (cells[1], cells[0], 3), np.uint8))
        pixels += (
            np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC), np.float32) - 128
        ) / level**1.5
    image = Image.fromarray(np.clip(pixels * 0.7 + 128, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, size = noise.integers(0, width), noise.integers(0, height), noise.integers(20, 200)
        colour = tuple(int(part) for part in noise.integers(0, 256, 3))
        pen.ellipse((x, y, x + size, y + size * 2), fill=colour, outline=(20, 10, 40), width=5)
    return image.filter(ImageFilter.GaussianBlur(0.8))


def with_alpha(image: Image.Image) -> Image.Image:
    """The picture with a soft transparent disc and a fully transparent corner."""
    height, width = image.height, image.width
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot(x - width * 0.6, y - height * 0.4) / max(width, height)
    alpha = np.clip(distance * 700, 0, 255)
    alpha[-height // 4 :, : width // 4] = 0
    image = image.convert("RGBA")
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file's bytes."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    """EXIF data that names an orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@dataclass(frozen=True)
class Sample:
    """A named file."""

    name: str
    make: Callable[[], bytes]

    def __repr__(self) -> str:
        return self.name


def _jpeg(width: int, height: int, **options: object) -> Sample:
    names = "-".join(f"{key}{value}" for key, value in options.items() if key != "exif")
    return Sample(
        f"jpeg-{width}x{height}-{names}",
        lambda: encoded(drawing(width, height), "JPEG", quality=92, **options),
    )


SIZES = [
    (448, 448), (449, 447), (447, 448), (448, 300), (301, 448), (16, 16), (16, 17), (31, 97), (97, 31),
    (100, 100), (640, 480), (481, 639), (1023, 768), (767, 1025), (900, 900), (1791, 1003), (800, 16),
    (16, 800), (1200, 25), (26, 1201), (1333, 1000), (450, 449),
]  # fmt: skip


def exact_samples() -> list[Sample]:
    """Files that are decoded at full size: the letterbox must be exact for them."""
    samples = [
        Sample(f"png-{w}x{h}", lambda w=w, h=h: encoded(drawing(w, h, w), "PNG", compress_level=1))
        for w, h in SIZES
    ]
    samples += [_jpeg(w, h) for w, h in [(448, 448), (1000, 700), (701, 1001), (1791, 1200), (333, 17)]]
    samples += [
        _jpeg(801, 603, subsampling=0),
        _jpeg(801, 603, progressive=True),
        Sample("jpeg-grey", lambda: encoded(drawing(700, 500).convert("L"), "JPEG")),
        Sample("jpeg-cmyk", lambda: encoded(drawing(700, 500).convert("CMYK"), "JPEG")),
        Sample("jpeg-icc", lambda: encoded(drawing(600, 500), "JPEG", icc_profile=b"not a profile at all")),
    ]
    for value in range(1, 9):
        samples += [
            Sample(f"jpeg-exif{value}", lambda v=value: encoded(drawing(611, 402), "JPEG", exif=turned(v))),
            Sample(f"png-exif{value}", lambda v=value: encoded(drawing(211, 402), "PNG", exif=turned(v))),
        ]
    samples += [
        Sample("png-rgba", lambda: encoded(with_alpha(drawing(640, 481)), "PNG", compress_level=1)),
        Sample("png-rgba-opaque", lambda: encoded(drawing(640, 481).convert("RGBA"), "PNG")),
        Sample("png-rgba-exif6", lambda: encoded(with_alpha(drawing(301, 481)), "PNG", exif=turned(6))),
        Sample("png-la", lambda: encoded(with_alpha(drawing(333, 222)).convert("LA"), "PNG")),
        Sample("png-grey", lambda: encoded(drawing(333, 222).convert("L"), "PNG")),
        Sample("png-bilevel", lambda: encoded(drawing(333, 222).convert("1"), "PNG")),
        Sample("png-palette", lambda: encoded(drawing(333, 222).quantize(200), "PNG")),
        Sample("png-palette-key", lambda: encoded(drawing(333, 222).quantize(64), "PNG", transparency=3)),
        Sample(
            "png-palette-alpha",
            lambda: encoded(drawing(333, 222).quantize(64), "PNG", transparency=bytes(range(0, 256, 4))),
        ),
        Sample("png-rgb-key", lambda: encoded(drawing(333, 222), "PNG", transparency=(250, 30, 30))),
        Sample("webp", lambda: encoded(drawing(777, 555), "WEBP", quality=90)),
        Sample("webp-lossless", lambda: encoded(drawing(555, 777), "WEBP", lossless=True)),
        Sample("webp-alpha", lambda: encoded(with_alpha(drawing(777, 555)), "WEBP", quality=90)),
        Sample("webp-exif8", lambda: encoded(drawing(300, 555), "WEBP", exif=turned(8))),
        Sample("gif", lambda: encoded(drawing(320, 240).quantize(128), "GIF")),
        Sample("gif-transparent", lambda: encoded(drawing(320, 240).quantize(64), "GIF", transparency=5)),
        Sample("avif", lambda: encoded(drawing(640, 360), "AVIF", quality=80, speed=10)),
        Sample("avif-alpha", lambda: encoded(with_alpha(drawing(360, 300)), "AVIF", quality=80, speed=10)),
        Sample(
            "webp-animated",
            lambda: encoded(
                drawing(200, 120, 1),
                "WEBP",
                save_all=True,
                append_images=[drawing(200, 120, 2)],
                lossless=True,
            ),
        ),
        Sample(
            "gif-animated",
            lambda: encoded(
                drawing(200, 120, 1).quantize(64),
                "GIF",
                save_all=True,
                append_images=[drawing(200, 120, 2).quantize(64)],
            ),
        ),
    ]
    return samples


def reduced_samples() -> list[Sample]:
    """JPEGs so big that they are decoded at a fraction: close to the reference, not equal."""
    sizes = [(1792, 1344), (2001, 1500), (1501, 2003), (3600, 1000), (3585, 99), (1793, 1793)]
    samples = [
        Sample(f"jpeg-{w}x{h}", lambda w=w, h=h: encoded(photograph(w, h, w), "JPEG", quality=92))
        for w, h in sizes
    ]
    samples += [
        Sample(f"jpeg-big-exif{v}", lambda v=v: encoded(photograph(1795, 1203), "JPEG", exif=turned(v)))
        for v in range(2, 9)
    ]
    samples.append(
        Sample("jpeg-big-progressive", lambda: encoded(photograph(1999, 1777), "JPEG", progressive=True))
    )
    return samples
