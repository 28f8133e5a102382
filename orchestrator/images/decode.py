"""Bytes → upright RGB pixels, refusing early what would cost too much.

Meant to run in an expendable process (`images/child.py`): within the limits a hostile file may still take
seconds and hundreds of megabytes. Every failure leaves as a `DecodeError` with a stable code.
"""

import warnings
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from orchestrator.errors import DecodeError
from orchestrator.images.codes import DecodeCode
from orchestrator.images.headers import claims_to_be_a_picture, ends_early, has_more_scans, webp_size
from orchestrator.images.letterbox import Frame
from orchestrator.images.limits import FORMATS, Limits

_WHITE = (255, 255, 255)
_ORIENTATION = 0x0112
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: `image` in mode RGB, upright, alpha over white, perhaps decoded at a fraction.

    `frame` holds the full picture's size and how `image` stands for it.
    """

    image: Image.Image
    frame: Frame
    has_alpha: bool
    media_type: str


@dataclass(frozen=True, slots=True)
class _Turn:
    """An EXIF orientation: Pillow's operation, and which axes of the result run backwards."""

    operation: Image.Transpose
    swaps: bool
    backwards_x: bool
    backwards_y: bool


_TURNS = {
    2: _Turn(Image.Transpose.FLIP_LEFT_RIGHT, False, True, False),
    3: _Turn(Image.Transpose.ROTATE_180, False, True, True),
    4: _Turn(Image.Transpose.FLIP_TOP_BOTTOM, False, False, True),
    5: _Turn(Image.Transpose.TRANSPOSE, True, False, False),
    6: _Turn(Image.Transpose.ROTATE_270, True, True, False),
    7: _Turn(Image.Transpose.TRANSVERSE, True, True, True),
    8: _Turn(Image.Transpose.ROTATE_90, True, False, True),
}


def decode(data: bytes, limits: Limits, *, largest_target: int) -> Picture:
    """Decode `data`; a big JPEG at the smallest fraction that keeps twice `largest_target` pixels.

    Raises DecodeError with a code of `DecodeCode`, whatever the decoder did.
    """
    try:
        with warnings.catch_warnings():
            # The limits below decide; Pillow's warning at half of them would only be noise.
            warnings.simplefilter("ignore")
            return _decode(data, limits, largest_target)
    except DecodeError:
        raise
    except Image.DecompressionBombError as error:
        raise _refusal(DecodeCode.TOO_MANY_PIXELS, "the picture has too many pixels") from error
    except MemoryError as error:
        raise _refusal(DecodeCode.TOO_MUCH_MEMORY, "decoding needs too much memory") from error
    except Exception as error:
        # Decoders raise SyntaxError, RuntimeError, struct.error and more on broken files.
        raise _classified(error) from error


def _decode(data: bytes, limits: Limits, largest_target: int) -> Picture:
    if len(data) > limits.bytes:
        raise _refusal(DecodeCode.TOO_LARGE, f"the file has {len(data)} bytes, the limit is {limits.bytes}")
    if (canvas := webp_size(data)) is not None:
        _check_size(*canvas, limits)
    if claims_to_be_a_picture(data) and ends_early(data):
        raise _refusal(DecodeCode.TRUNCATED, "the file ends before the length it states")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        if claims_to_be_a_picture(data):
            raise _refusal(DecodeCode.CORRUPT, "the file's header is broken") from error
        kinds = ", ".join(FORMATS)
        raise _refusal(DecodeCode.NOT_AN_IMAGE, f"not a picture in one of {kinds}") from error
    with image:
        width, height = image.size
        _check_size(width, height, limits)
        media_type = "image/jpeg" if image.format == "MPO" else f"image/{str(image.format).lower()}"
        scale = 1
        if media_type == "image/jpeg":
            if has_more_scans(data, limits.jpeg_scans):
                detail = f"a JPEG of more than {limits.jpeg_scans} scans"
                raise _refusal(DecodeCode.TOO_MANY_SCANS, detail)
            scale = _draft(image, largest_target)
        image.load()
        turn = _TURNS.get(_orientation(image))
        flat, has_alpha = _flatten(image)
    slack_x = flat.width - width / scale
    slack_y = flat.height - height / scale
    if turn is None:
        return Picture(flat, Frame(width, height, scale), has_alpha, media_type)
    if turn.swaps:
        width, height, slack_x, slack_y = height, width, slack_y, slack_x
    frame = Frame(
        width,
        height,
        scale,
        lead_x=slack_x if turn.backwards_x else 0.0,
        lead_y=slack_y if turn.backwards_y else 0.0,
    )
    return Picture(flat.transpose(turn.operation), frame, has_alpha, media_type)


def _check_size(width: int, height: int, limits: Limits) -> None:
    shorter, longer = sorted((width, height))
    size = f"{width} × {height}"
    if shorter < limits.shorter_side:
        raise _refusal(DecodeCode.TOO_SMALL, f"{size}: no side may be under {limits.shorter_side} pixels")
    if longer > limits.longer_side:
        raise _refusal(DecodeCode.SIDE_TOO_LONG, f"{size}: no side may be over {limits.longer_side} pixels")
    if longer > limits.aspect * shorter:
        raise _refusal(DecodeCode.ASPECT_TOO_EXTREME, f"{size}: more than {limits.aspect} times as long")
    if width * height > 2 * limits.pixels:
        raise _refusal(DecodeCode.TOO_MANY_PIXELS, f"{size}: more than {2 * limits.pixels} pixels")


def _draft(image: Image.Image, largest_target: int) -> int:
    """Set a JPEG up to be decoded at 1/8, 1/4 or 1/2 where that keeps twice the target; return 8, 4, 2, 1."""
    width, height = image.size
    for scale in (8, 4, 2):
        if max(width, height) >= 2 * largest_target * scale:
            drafted = image.draft(None, (width // scale, height // scale))
            return scale if drafted is not None else 1
    return 1


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1  # broken metadata is no reason to refuse a picture that decodes
    return value if isinstance(value, int) else 1


def _flatten(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return RGB with transparency over white, and whether any pixel was not opaque."""
    if image.mode.startswith("I"):
        return _flatten_deep_grey(image)
    if image.mode not in _ALPHA_MODES and "transparency" not in image.info:
        return (image if image.mode == "RGB" else image.convert("RGB")), False
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    if rgba.getchannel("A").getextrema()[0] == 255:
        return rgba.convert("RGB"), False
    canvas = Image.new("RGB", rgba.size, _WHITE)
    canvas.paste(rgba, mask=rgba)
    return canvas, True


def _flatten_deep_grey(image: Image.Image) -> tuple[Image.Image, bool]:
    """16-bit grey keeps its high byte: Pillow's own conversion would clip nearly all of it to white."""
    values = np.asarray(image)
    grey = np.clip(values >> 8, 0, 255).astype(np.uint8)
    has_alpha = False
    key = image.info.get("transparency")
    if isinstance(key, int):
        transparent = values == key
        has_alpha = bool(transparent.any())
        grey[transparent] = 255
    return Image.fromarray(grey).convert("RGB"), has_alpha


def _classified(error: Exception) -> DecodeError:
    reason = str(error).lower()
    if "truncated" in reason or "unexpected end" in reason or isinstance(error, EOFError):
        return _refusal(DecodeCode.TRUNCATED, "the file ends before the picture does")
    return _refusal(DecodeCode.CORRUPT, f"the file is broken ({type(error).__name__})")


def _refusal(code: DecodeCode, detail: str) -> DecodeError:
    return DecodeError(detail, code=code.value)
