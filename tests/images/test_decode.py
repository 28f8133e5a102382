"""What becomes of files: facts of good ones, stable codes for all others."""

import struct
import zlib
from io import BytesIO

import pytest
from picture_samples import drawing, encoded, turned, with_alpha
from PIL import Image

from orchestrator.errors import DecodeError
from orchestrator.images.codes import DecodeCode
from orchestrator.images.limits import Limits
from orchestrator.images.prepare import prepare
from orchestrator.records import Geometry

MODEL = Geometry()


def refused(data: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(DecodeError) as refusal:
        prepare(data, [MODEL], limits)
    return refusal.value.code


def png_header(width: int, height: int) -> bytes:
    """A PNG of which only the header is honest."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = b"IDAT" + zlib.compress(b"\0")
    chunks = (ihdr, idat, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def webp_header(width: int, height: int) -> bytes:
    canvas = (
        struct.pack("<I", 0x10)[:4] + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("AVIF", "image/avif"),
    ],
)
def test_facts_of_a_picture(kind, media_type) -> None:
    prepared = prepare(encoded(drawing(120, 80), kind), [MODEL])

    assert (prepared.width, prepared.height) == (120, 80)
    assert prepared.media_type == media_type
    assert not prepared.has_alpha


def test_size_is_that_of_the_upright_picture_even_when_decoded_at_a_fraction() -> None:
    prepared = prepare(encoded(drawing(1801, 903), "JPEG", exif=turned(6)), [MODEL])

    assert (prepared.width, prepared.height) == (903, 1801)


def test_a_camera_file_of_several_pictures_is_its_first() -> None:
    data = encoded(drawing(99, 70, 1), "MPO", save_all=True, append_images=[drawing(99, 70, 2)])

    prepared = prepare(data, [MODEL])

    assert (prepared.width, prepared.media_type) == (99, "image/jpeg")


def test_only_pictures_with_a_pixel_that_is_not_opaque_have_alpha() -> None:
    opaque = drawing(64, 64).convert("RGBA")
    palette = drawing(64, 64).quantize(16)

    assert prepare(encoded(with_alpha(drawing(64, 64)), "PNG"), [MODEL]).has_alpha
    assert prepare(encoded(palette, "PNG", transparency=1), [MODEL]).has_alpha
    assert not prepare(encoded(opaque, "PNG"), [MODEL]).has_alpha
    assert not prepare(encoded(palette, "PNG", transparency=200), [MODEL]).has_alpha


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"plain text, named .png",
        b"<html><body>404</body></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>',
        b"%PDF-1.7\n",
        b"PK\x03\x04" + bytes(60),
        b"\x1f\x8b\x08\0" + bytes(60),
    ],
    ids=["empty", "one-byte", "text", "html", "svg", "pdf", "zip", "gzip"],
)
def test_what_is_no_picture(data) -> None:
    assert refused(data) == DecodeCode.NOT_AN_IMAGE


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "ICO", "PPM", "TGA"])
def test_formats_that_are_not_taken(kind) -> None:
    assert refused(encoded(drawing(64, 64), kind)) == DecodeCode.NOT_AN_IMAGE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("part", [0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(kind, part) -> None:
    data = encoded(drawing(300, 200), kind)

    assert refused(data[: int(len(data) * part)]) == DecodeCode.TRUNCATED


def test_damage_inside_a_png_is_told() -> None:
    data = bytearray(encoded(drawing(300, 200), "PNG"))
    data[len(data) // 2] ^= 0xFF

    assert refused(bytes(data)) in (DecodeCode.CORRUPT, DecodeCode.TRUNCATED)


@pytest.mark.parametrize(
    ("size", "code"),
    [
        ((15, 100), DecodeCode.TOO_SMALL),
        ((1, 20_000), DecodeCode.TOO_SMALL),
        ((16, 801), DecodeCode.ASPECT_TOO_EXTREME),
        ((32_769, 1000), DecodeCode.SIDE_TOO_LONG),
        ((8000, 6251), DecodeCode.TOO_MANY_PIXELS),
        ((30_000, 30_000), DecodeCode.TOO_MANY_PIXELS),
    ],
)
def test_size_is_judged_before_anything_is_decoded(size, code) -> None:
    assert refused(png_header(*size)) == code


@pytest.mark.parametrize("size", [(16_384, 16_384), (10_000, 10_000)])
def test_a_webp_of_forty_bytes_cannot_have_a_canvas_allocated(size) -> None:
    assert refused(webp_header(*size)) == DecodeCode.TOO_MANY_PIXELS


def test_sizes_at_the_limits_are_taken() -> None:
    assert prepare(encoded(drawing(16, 800), "PNG"), [MODEL]).height == 800
    assert prepare(encoded(drawing(16, 16), "PNG"), [MODEL]).width == 16


def test_a_file_over_the_limit_of_bytes() -> None:
    data = encoded(drawing(64, 64), "PNG")

    assert refused(data, Limits(bytes=len(data) - 1)) == DecodeCode.TOO_LARGE
    assert prepare(data, [MODEL], Limits(bytes=len(data))).width == 64


def with_repeated_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes `count` times more."""
    data = encoded(drawing(64, 64), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def test_a_jpeg_of_too_many_scans() -> None:
    assert refused(with_repeated_scans(101)) == DecodeCode.TOO_MANY_SCANS


def test_a_jpeg_of_many_scans_within_the_limit() -> None:
    assert prepare(with_repeated_scans(60), [MODEL]).width == 64


def test_scans_inside_metadata_are_not_counted() -> None:
    # Given a plain JPEG whose comment looks like a hundred scans
    data = encoded(drawing(64, 64), "JPEG", comment=b"\xff\xda" * 150)

    assert prepare(data, [MODEL]).width == 64


def test_broken_metadata_does_not_cost_the_picture() -> None:
    data = encoded(drawing(64, 48), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 40)

    assert (prepare(data, [MODEL]).width, prepare(data, [MODEL]).height) == (64, 48)


def test_a_text_chunk_that_unpacks_to_gigabytes() -> None:
    data = encoded(drawing(64, 64), "PNG")
    bomb = b"zTXt" + b"Comment\0\0" + zlib.compress(bytes(80 * 1024 * 1024))
    chunk = struct.pack(">I", len(bomb) - 4) + bomb + struct.pack(">I", zlib.crc32(bomb))
    at = data.index(b"IDAT") - 4

    assert refused(data[:at] + chunk + data[at:]) == DecodeCode.CORRUPT


def test_decoding_leaves_pillow_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS

    prepare(encoded(drawing(64, 64), "PNG"), [MODEL])

    assert before == Image.MAX_IMAGE_PIXELS
    with Image.open(BytesIO(encoded(drawing(8, 8), "BMP"))) as image:
        assert image.format == "BMP"
