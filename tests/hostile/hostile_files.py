"""Files that somebody hostile, careless or unlucky would send, each with the outcome that is documented.

Everything is generated, and generated alike every time: nothing here depends on the day or the machine.
"""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from orchestrator.images.codes import DecodeCode

MIB = 1024 * 1024
WIDTH, HEIGHT = 90, 70
ORIENTATION = 0x0112
FRACTIONS = (0.02, 0.08, 0.15, 0.22, 0.3, 0.37, 0.45, 0.52, 0.6, 0.67, 0.75, 0.82, 0.9, 0.97)

# A file cut within its header says it is a picture and cannot be read; cut later, it ends early. Where the
# one becomes the other is for the format's decoder to say.
CUT = frozenset({DecodeCode.TRUNCATED, DecodeCode.CORRUPT})


@dataclass(frozen=True)
class Case:
    """A file and what becomes of it: one of `codes`, or, without any, a picture of `size`."""

    name: str
    make: Callable[[], bytes]
    codes: frozenset[DecodeCode] = frozenset()
    size: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return self.name


def refused(name: str, make: Callable[[], bytes] | bytes, *codes: DecodeCode) -> Case:
    """A file that is refused with (one of) `codes`."""
    return Case(name, make if callable(make) else lambda: make, frozenset(codes))


def taken(name: str, make: Callable[[], bytes] | bytes, width: int = WIDTH, height: int = HEIGHT) -> Case:
    """An odd file that is a picture all the same, of that size when upright."""
    return Case(name, make if callable(make) else lambda: make, size=(width, height))


def pattern(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> Image.Image:
    """A picture with gradients and noise, so that its file has a body worth cutting."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack(
        [x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x * 7 + y * 3) % 256], -1
    )
    noisy = pixels + chance.integers(-20, 21, pixels.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind: str, frames: int = 5, **options: object) -> bytes:
    """An animation of `frames` pictures that differ."""
    pictures = [pattern(seed=number) for number in range(frames)]
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=40, **options)


@cache
def intact() -> dict[str, bytes]:
    """One sound file of every kind that is taken."""
    return {
        "jpeg": encoded(pattern(), "JPEG", quality=90),
        "jpeg-progressive": encoded(pattern(), "JPEG", quality=90, progressive=True),
        "png": encoded(pattern(), "PNG"),
        "png-palette": encoded(pattern().quantize(64), "PNG"),
        "webp": encoded(pattern(), "WEBP", quality=80),
        "webp-lossless": encoded(pattern(), "WEBP", lossless=True),
        "gif": encoded(pattern().quantize(64), "GIF"),
        "avif": encoded(pattern(), "AVIF", speed=10),
    }


def good(number: int) -> tuple[bytes, tuple[int, int]]:
    """A sound picture to go between hostile ones, and its size."""
    width, height = 40 + number % 60, 30 + number % 50
    kind = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")[number % 5]
    options = {"speed": 10} if kind == "AVIF" else {}
    return encoded(pattern(width, height, number), kind, **options), (width, height)


# --- cut and damaged files


def truncations() -> Iterator[Case]:
    """Every format, cut at many points, also within its first bytes."""
    for kind, data in intact().items():
        for fraction in FRACTIONS:
            length = max(16, int(len(data) * fraction))
            yield refused(f"cut-{kind}-{fraction}", data[:length], *CUT)
        for length in (1, 2):
            yield refused(f"cut-{kind}-{length}-bytes", data[:length], DecodeCode.NOT_AN_IMAGE)


def headers_gone_wrong() -> Iterator[Case]:
    """The first bytes right, what follows nonsense."""
    chance = np.random.default_rng(11)
    starts = {
        "jpeg": b"\xff\xd8\xff\xe0", "png": b"\x89PNG\r\n\x1a\n", "gif": b"GIF89a",
        "webp": b"RIFF\x20\x00\x00\x00WEBP", "avif": b"\x00\x00\x00\x18ftypavif",
    }  # fmt: skip
    for kind, start in starts.items():
        yield refused(f"start-alone-{kind}", start, *CUT)
        yield refused(f"start-zeros-{kind}", start + bytes(400), *CUT, DecodeCode.TOO_SMALL)
        yield refused(f"start-text-{kind}", start + b"<script>alert(1)</script>" * 20, *_ANY_SIZE)
        yield refused(f"start-noise-{kind}", start + chance.bytes(500), *_ANY_SIZE)
    for kind, data in intact().items():
        if kind != "avif":  # which begins with a zero anyway
            yield refused(f"first-byte-{kind}", b"\x00" + data[1:], DecodeCode.NOT_AN_IMAGE)
        middle = len(data) // 2
        if kind.startswith("png"):
            yield refused(f"flipped-{kind}", _flipped(data, middle), DecodeCode.CORRUPT)
    png = intact()["png"]
    yield refused("png-wrong-header-checksum", _flipped(png, 29), DecodeCode.CORRUPT)
    yield refused("png-no-body", _without_chunk(png, b"IDAT"), *CUT)
    yield refused("png-no-header", _without_chunk(png, b"IHDR"), DecodeCode.CORRUPT)
    yield refused("png-colour-type-99", _png_header(64, 64, colour=99), DecodeCode.CORRUPT)
    yield taken(
        "png-chunk-of-4-gigabytes", png[:33] + b"\xff\xff\xff\xffIDAT" + png[41:]
    )  # read no further than needed


_ANY_SIZE = (
    *CUT, DecodeCode.TOO_SMALL, DecodeCode.SIDE_TOO_LONG, DecodeCode.ASPECT_TOO_EXTREME,
    DecodeCode.TOO_MANY_PIXELS,
)  # fmt: skip
"""Nonsense where a size should be may state any size."""


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length


def _without_chunk(data: bytes, gone: bytes) -> bytes:
    return data[:8] + b"".join(_chunk(kind, body) for kind, body in _chunks(data) if kind != gone)


def _with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """Put a chunk right after the header."""
    return data[:33] + _chunk(kind, body) + data[33:]


def _png_header(width: int, height: int, *, colour: int = 2, body: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


# --- sizes that are stated, and sizes that are true


def _jpeg_sized(width: int, height: int) -> bytes:
    data = intact()["jpeg"]
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _gif_sized(width: int, height: int) -> bytes:
    data = intact()["gif"]
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def _gif_frame_sized(width: int, height: int) -> bytes:
    """A small screen and a frame that reaches far beyond it."""
    data = intact()["gif"]
    at = data.index(b"\x2c", 13 + 3 * 64) + 5
    return data[:at] + struct.pack("<HH", width, height) + data[at + 4 :]


def _webp_extended(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00" + canvas
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _webp_lossless(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    body = b"WEBPVP8L\x0c\x00\x00\x00\x2f" + bits.to_bytes(4, "little") + bytes(7)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _avif_sized(width: int, height: int) -> bytes:
    data = intact()["avif"]
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def stated_sizes() -> Iterator[Case]:
    """Files of a few bytes or kilobytes that state enormous or impossible sizes."""
    sizes = {
        (60_000, 60_000): DecodeCode.SIDE_TOO_LONG,
        (65_535, 65_535): DecodeCode.SIDE_TOO_LONG,
        (40_000, 40_000): DecodeCode.SIDE_TOO_LONG,
        (32_768, 32_768): DecodeCode.TOO_MANY_PIXELS,
        (16_383, 16_383): DecodeCode.TOO_MANY_PIXELS,
        (8_000, 8_000): DecodeCode.TOO_MANY_PIXELS,
        (20_000, 2_501): DecodeCode.TOO_MANY_PIXELS,
        (1, 16_000): DecodeCode.TOO_SMALL,
        (16_000, 1): DecodeCode.TOO_SMALL,
        (15, 15): DecodeCode.TOO_SMALL,
        (15, 4_000): DecodeCode.TOO_SMALL,
        (16, 801): DecodeCode.ASPECT_TOO_EXTREME,
        (801, 16): DecodeCode.ASPECT_TOO_EXTREME,
        (16_000, 100): DecodeCode.ASPECT_TOO_EXTREME,
    }
    makers = {
        "png": (_png_header, 2**31 - 1),
        "jpeg": (_jpeg_sized, 65_535),
        "gif": (_gif_sized, 65_535),
        "gif-frame": (_gif_frame_sized, 65_535),
        "webp-extended": (_webp_extended, 2**24),
        "webp-lossless": (_webp_lossless, 16_384),
    }
    for kind, (make, largest) in makers.items():
        for (width, height), code in sizes.items():
            # Of a GIF's screen and its first frame, the larger counts.
            inside = kind.startswith("gif") and (width < WIDTH or height < HEIGHT)
            if max(width, height) > largest or inside:
                continue
            # Pillow refuses to open what states more pixels than it may, before we see the size.
            codes = {code} | ({DecodeCode.TOO_MANY_PIXELS} if width * height > 50e6 else set())
            yield refused(
                f"states-{kind}-{width}x{height}", lambda m=make, w=width, h=height: m(w, h), *codes
            )
    for width, height in ((60_000, 60_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)):
        yield refused(
            f"states-avif-{width}x{height}",
            lambda w=width, h=height: _avif_sized(w, h),
            DecodeCode.CORRUPT,
            DecodeCode.TOO_MANY_PIXELS,
            DecodeCode.SIDE_TOO_LONG,
        )
    yield refused("states-png-two-billion", _png_header(2**31 - 1, 2**31 - 1), DecodeCode.TOO_MANY_PIXELS)
    for width, height in ((0, 64), (64, 0), (0, 0)):
        yield refused(
            f"states-png-{width}x{height}",
            _png_header(width, height),
            DecodeCode.TOO_SMALL,
            DecodeCode.CORRUPT,
        )
    # A JPEG that ends in order is filled up with grey.
    yield taken("jpeg-less-body-than-stated", _jpeg_sized(4_000, 3_000), 4_000, 3_000)
    yield refused("png-less-body-than-stated", _png_header(4_000, 3_000, body=zlib.compress(b"")), *CUT)


def true_bombs() -> Iterator[Case]:
    """Small files that really unpack to more than 50 megapixels."""
    yield refused("bomb-png", lambda: _flat_png(7_200, 7_200), DecodeCode.TOO_MANY_PIXELS)
    yield refused("bomb-png-grey", lambda: _flat_png(30_000, 1_700, colour=0), DecodeCode.TOO_MANY_PIXELS)
    yield refused("bomb-jpeg", lambda: _flat("JPEG", 7_200, 7_200), DecodeCode.TOO_MANY_PIXELS)
    yield refused("bomb-gif", lambda: _flat("GIF", 7_200, 7_200), DecodeCode.TOO_MANY_PIXELS)
    yield refused(
        "bomb-webp",
        lambda: _flat("WEBP", 7_200, 7_200, lossless=True, quality=0, method=0),
        DecodeCode.TOO_MANY_PIXELS,
    )
    # A body that unpacks to far more than the picture holds is read no further than the picture.
    yield taken("png-body-bomb", lambda: _png_header(64, 64, body=_zeros(64 * MIB)), 64, 64)
    yield taken("png-49-megapixels", lambda: _flat_png(7_000, 7_000, colour=0), 7_000, 7_000)


def _flat(kind: str, width: int, height: int, **options: object) -> bytes:
    return encoded(Image.new("L", (width, height), 90), kind, **options)


def _flat_png(width: int, height: int, *, colour: int = 2) -> bytes:
    depth = {0: 1, 2: 3}[colour]
    return _png_header(width, height, colour=colour, body=_zeros(height * (1 + width * depth)))


@cache
def _zeros(count: int) -> bytes:
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(min(MIB, count - at))) for at in range(0, count, MIB)]
    return b"".join([*parts, packer.flush()])


# --- scans and frames


def with_scans(count: int, image: Image.Image | None = None) -> bytes:
    """A progressive JPEG whose last scan comes `count` times more."""
    data = encoded(image or pattern(), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def scan_bombs() -> Iterator[Case]:
    """Progressive JPEGs of a few kilobytes that cost a pass over the picture for every scan."""
    for count in (101, 150, 400, 2_000, 10_000):
        yield refused(f"scans-{count}", lambda c=count: with_scans(c), DecodeCode.TOO_MANY_SCANS)
    yield refused(
        "scans-in-a-big-picture",
        lambda: with_scans(300, Image.new("L", (3_000, 3_000))),
        DecodeCode.TOO_MANY_SCANS,
    )
    for count in (1, 20, 60):
        yield taken(f"scans-{count}", lambda c=count: with_scans(c))
    comment = b"\xff\xfe" + struct.pack(">H", 602) + b"\xff\xda" * 300
    plain = intact()["jpeg"]
    yield taken("scans-only-in-a-comment", plain[:2] + comment + plain[2:])


def animations() -> Iterator[Case]:
    """Animations: the first picture counts, however many follow."""
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})):
        for frames in (2, 12):
            yield taken(
                f"animated-{kind.lower()}-{frames}", lambda k=kind, f=frames, o=options: animated(k, f, **o)
            )
        yield refused(
            f"animated-{kind.lower()}-cut",
            lambda k=kind, o=options: animated(k, 3, **o)[:700],
            *CUT,
        )
    yield taken("animated-avif", lambda: animated("AVIF", 2, speed=10))
    yield taken("gif-500-frames", lambda: _gif_frames(500))


def _gif_frames(count: int) -> bytes:
    """A GIF whose picture is repeated `count` times."""
    data = intact()["gif"]
    start = data.index(b"\x2c", 13 + 3 * 64)
    return data[:start] + data[start:-1] * count + b";"


# --- modes, metadata, strips


def odd_pictures() -> Iterator[Case]:
    """Pictures that are unusual and right."""
    base = pattern()
    yield taken("jpeg-cmyk", encoded(base.convert("CMYK"), "JPEG"))
    yield taken("jpeg-grey", encoded(base.convert("L"), "JPEG"))
    yield taken("jpeg-444", encoded(base, "JPEG", subsampling=0))
    yield taken("jpeg-quality-1", encoded(base, "JPEG", quality=1))
    deep = Image.fromarray(np.linspace(0, 65_535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint16))
    yield taken("png-16-bit-grey", encoded(deep, "PNG"))
    yield taken("png-16-bit-colour", _png_sixteen(2))
    yield taken("png-16-bit-alpha", _png_sixteen(6))
    yield taken("png-bilevel", encoded(base.convert("1"), "PNG"))
    yield taken("png-la", encoded(base.convert("LA"), "PNG"))
    palette = base.quantize(64)
    yield taken("png-palette-key", encoded(palette, "PNG", transparency=3))
    yield taken("png-palette-alpha", encoded(palette, "PNG", transparency=bytes(range(0, 256, 4))))
    yield taken("png-rgb-key", encoded(base, "PNG", transparency=(1, 2, 3)))
    for colours in (2, 4, 16):
        yield taken(f"png-palette-{colours}", encoded(base.quantize(colours), "PNG", bits=4))
    clear = base.convert("RGBA")
    clear.putalpha(0)
    for kind in ("PNG", "WEBP", "AVIF"):
        yield taken(f"all-transparent-{kind.lower()}", encoded(clear, kind))
    yield taken("gif-transparent", encoded(palette, "GIF", transparency=5))
    yield taken("png-interlaced-palette-out-of-range", _palette_too_short())
    for value in range(1, 9):
        swapped = (HEIGHT, WIDTH) if value >= 5 else (WIDTH, HEIGHT)
        for kind in ("JPEG", "PNG", "WEBP"):
            yield taken(f"exif-{kind.lower()}-{value}", encoded(base, kind, exif=_exif(value)), *swapped)
    for value in (0, 9, 255, 65_535):
        yield taken(f"exif-senseless-{value}", encoded(base, "JPEG", exif=_exif(value)))
    yield taken("exif-loop", encoded(base, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 60))
    yield taken("exif-cut", encoded(base, "JPEG", exif=b"Exif\0\0MM"))
    for width, height in ((16, 16), (16, 800), (800, 16), (17, 850), (16, 17)):
        for kind in ("JPEG", "PNG", "GIF"):
            yield taken(
                f"small-{kind.lower()}-{width}x{height}", encoded(pattern(width, height), kind), width, height
            )
    for width, height in ((1, 1), (1, 400), (400, 1), (15, 16), (16, 15), (1, 20_000), (2, 3)):
        for kind in ("JPEG", "PNG", "WEBP", "GIF"):
            if max(width, height) > 16_383 and kind == "WEBP":
                continue
            data = encoded(Image.new("RGB", (width, height)), kind)
            yield refused(f"strip-{kind.lower()}-{width}x{height}", data, DecodeCode.TOO_SMALL)
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        data = encoded(Image.new("RGB", (1_000, 18)), kind)
        yield refused(f"aspect-{kind.lower()}-1000x18", data, DecodeCode.ASPECT_TOO_EXTREME)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def _png_sixteen(colour: int) -> bytes:
    """A PNG of 16 bits a channel, which Pillow reads but does not write."""
    channels = {2: 3, 6: 4}[colour]
    rows = np.random.default_rng(5).integers(0, 65_536, (HEIGHT, WIDTH * channels)).astype(">u2")
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, colour, 0, 0, 0)
    parts = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(body)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _palette_too_short() -> bytes:
    """Pixels that name colours which the palette does not have."""
    body = b"".join(b"\0" + bytes(range(WIDTH)) for _ in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
    parts = (
        _chunk(b"IHDR", header) + _chunk(b"PLTE", b"\x10\x20\x30" * 2) + _chunk(b"IDAT", zlib.compress(body))
    )
    return b"\x89PNG\r\n\x1a\n" + parts + _chunk(b"IEND", b"")


def metadata_bombs() -> Iterator[Case]:
    """Text, profiles and comments that unpack to a lot, or are a lot."""
    png, jpeg = intact()["png"], intact()["jpeg"]
    for size in (2 * MIB, 80 * MIB, 300 * MIB):
        packed = _zeros(size)
        yield refused(
            f"ztxt-{size // MIB}", _with_chunk(png, b"zTXt", b"Comment\0\0" + packed), DecodeCode.CORRUPT
        )
        yield refused(
            f"itxt-{size // MIB}",
            _with_chunk(png, b"iTXt", b"Comment\0\x01\0\0\0" + packed),
            DecodeCode.CORRUPT,
        )
        profile = _with_chunk(png, b"iCCP", b"icc\0\0" + packed)
        yield refused(f"iccp-{size // MIB}", profile, DecodeCode.CORRUPT)
    many = b"".join(_chunk(b"zTXt", b"k%d\0\0" % n + _zeros(900_000)) for n in range(100))
    yield refused("ztxt-100-times", png[:33] + many + png[33:], DecodeCode.CORRUPT)
    yield taken("text-100-times", png[:33] + _chunk(b"tEXt", b"Comment\0hello") * 100 + png[33:])
    yield taken("text-half-a-megabyte", _with_chunk(png, b"tEXt", b"Comment\0" + b"x" * 500_000))
    yield taken("jpeg-icc-nonsense", encoded(pattern(), "JPEG", icc_profile=b"no profile" * 9_000))
    yield taken("png-icc-nonsense", encoded(pattern(), "PNG", icc_profile=b"no profile"))
    segment = b"\xff\xe5" + struct.pack(">H", 65_535) + bytes(65_533)
    yield taken("jpeg-16-megabytes-of-segments", jpeg[:2] + segment * 256 + jpeg[2:])
    comment = b"!\xfe" + (b"\xff" + b"c" * 255) * 20_000 + b"\0"
    gif = intact()["gif"]
    start = gif.index(b"\x2c", 13 + 3 * 64)
    yield taken("gif-5-megabytes-of-comment", gif[:start] + comment + gif[start:])
    yield taken("jpeg-then-zip", jpeg + _zip())
    yield taken("png-then-noise", png + np.random.default_rng(3).bytes(100_000))
    yield taken("gif-then-html", gif + b"<html><script>alert(1)</script></html>")


# --- what is no picture at all


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("a.png", (2020, 1, 1, 0, 0, 0))
        archive.writestr(entry, bytes(MIB))
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("a.png")
        entry.size = len(intact()["png"])
        archive.addfile(entry, io.BytesIO(intact()["png"]))
    return buffer.getvalue()


def no_pictures() -> Iterator[Case]:
    """Other files, whatever their name may say."""
    chance = np.random.default_rng(42)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><script>alert(1)</script></svg>'
    entity = b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    files = {
        "empty": b"", "zero-byte": b"\0", "newline": b"\n", "zeros": bytes(10_000), "ones": b"\xff" * 10_000,
        "html": b"<!doctype html><title>404</title>", "html-with-picture": b"<html>" + intact()["png"],
        "svg": svg, "svg-entity": b'<?xml version="1.0"?>' + entity + svg,
        "svgz": gzip.compress(svg, mtime=0),
        "zip": _zip(), "tar": _tar(),
        "gzip": gzip.compress(intact()["png"], mtime=0),
        "gzip-bomb": gzip.compress(bytes(30 * MIB), mtime=0), "json": b'{"picture": "a.png"}',
        "php": b"<?php system($_GET['c']); ?>", "elf": b"\x7fELF\x02\x01\x01" + bytes(500),
        "exe": b"MZ" + bytes(500),
        "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n",
        "mp4": b"\0\0\0\x18ftypisom" + bytes(500), "heic": b"\0\0\0\x18ftypheic" + bytes(500),
        "wave": b"RIFF\x24\0\0\0WAVEfmt " + bytes(500), "jxl": b"\xff\x0a" + bytes(500),
        "psd": b"8BPS\0\x01" + bytes(500), "xpm": b"/* XPM */\nstatic char *a[] = {",
        "base64": b"iVBORw0KGgo" * 20,
        "bom-then-png": b"\xef\xbb\xbf" + intact()["png"], "blank-then-jpeg": b"\n" + intact()["jpeg"],
        "utf-16": "GIF89a".encode("utf-16"),
    }  # fmt: skip
    for name, data in files.items():
        yield refused(f"file-{name}", data, DecodeCode.NOT_AN_IMAGE)
    for kind in ("TIFF", "BMP", "ICO", "PPM", "TGA", "PCX", "DDS", "JPEG2000", "SGI"):
        yield refused(f"format-{kind.lower()}", encoded(pattern(), kind), DecodeCode.NOT_AN_IMAGE)
    for number in range(20):
        yield refused(f"noise-{number}", chance.bytes(1 + 400 * number), DecodeCode.NOT_AN_IMAGE)
    yield refused("too-many-bytes", lambda: intact()["png"] + bytes(64 * MIB), DecodeCode.TOO_LARGE)


def hostile_cases() -> list[Case]:
    """All of them, in an order that never changes."""
    groups = (
        truncations, headers_gone_wrong, stated_sizes, true_bombs, scan_bombs, animations, odd_pictures,
        metadata_bombs, no_pictures,
    )  # fmt: skip
    return [case for group in groups for case in group()]
