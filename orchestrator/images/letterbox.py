"""The exact letterbox: pad to a square, then resample, without ever building the square.

The models were trained on "pad centred to a square, then resize". Shrinking first and pasting at rounded
offsets gives other numbers, and building the square costs gigabytes for a long strip. The resampling
filter only sees as far as its support, so the margin matters only within that distance of the picture:
the strip of margin that the filter touches is built, the pixels that can touch the picture are resampled
through a float `box`, and the rest of the canvas is plain pad colour. The result is the reference's, but for
one value in some hundreds that is off by 1/255 and, in few pictures, a handful off by 2/255 (ADR 25).

Two explicit passes, horizontal then vertical: one `resize()` of the unpadded content would choose the order
by cost, and the 8-bit intermediate makes the orders differ visibly.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from orchestrator.images.resample import SUPPORTS, Filter, along_x, along_y
from orchestrator.records import Geometry, Uint8Tensor

_ENLARGING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
BAND = 1024
"""Rows that go along the first axis together: what bounds the memory that a large picture takes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the full-size picture lies in the pixels at hand, which may be a reduced decoding of it.

    `width`, `height`: the full picture, upright. `scale`: its pixels for one of ours (1, 2, 4 or 8).
    `lead_x`, `lead_y`: our pixels, 0 … 1, before the picture begins: a reduced decoding is rounded up to
    whole pixels at its right and bottom edge, which orientation may turn to the left or the top.
    """

    width: int
    height: int
    scale: int = 1
    lead_x: float = 0.0
    lead_y: float = 0.0


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of the fit. `first`, `last`: output pixels that the picture touches. `before`, `after`:
    pad pixels to add at the two ends. `low`, `high`: the box, in pixels of the padded window."""

    first: int
    last: int
    before: int
    after: int
    low: float
    high: float


def letterbox(image: Image.Image, geometry: Geometry, frame: Frame | None = None) -> Uint8Tensor:
    """Return `image` (mode RGB, upright) as a UINT8 RGB tensor [S, S, 3] of `geometry`.

    `frame` says what full-size picture the image stands for; by default the image itself.
    """
    frame = frame or Frame(*image.size)
    target = geometry.size
    longer = max(frame.width, frame.height)
    square = longer / frame.scale
    # The pad is halved on the full picture's integers, for its rounding is part of the contract.
    start_x = (longer - frame.width) // 2 / frame.scale - frame.lead_x
    start_y = (longer - frame.height) // 2 / frame.scale - frame.lead_y
    if geometry.filter == "nearest":
        return _nearest(image, geometry, square, start_x, start_y)
    if frame.scale == 1 and longer <= target:
        # A float box is kept in single precision: enlarging, its rounding may differ by two. The whole
        # square is small here, and exact.
        whole = Image.new("RGB", (longer, longer), geometry.pad_colour)
        whole.paste(image, (int(start_x), int(start_y)))
        return np.asarray(whole.resize((target, target), _ENLARGING[geometry.filter]))
    if frame.scale > 1:
        image = _with_soft_edges(image, frame, geometry.pad_colour)
    support = SUPPORTS[geometry.filter]
    x = _axis(image.width, start_x, square, target, support)
    y = _axis(image.height, start_y, square, target, support)
    narrow = np.concatenate(
        [_narrowed(band, x, geometry.filter, geometry.pad_colour) for band in _bands(image)]
    )
    narrow = _padded(narrow, ((y.before, y.after), (0, 0)), geometry.pad_colour)
    small = along_y(narrow, y.last - y.first, geometry.filter, y.low, y.high)
    margins = ((y.first, target - y.last), (x.first, target - x.last))
    return _padded(small, margins, geometry.pad_colour)


def _bands(image: Image.Image) -> Iterator[Uint8Tensor]:
    """Yield the picture's pixels [≤ BAND, W, 3], from top to bottom."""
    for top in range(0, image.height, BAND):
        bottom = min(top + BAND, image.height)
        whole = (top, bottom) == (0, image.height)
        yield np.asarray(image if whole else image.crop((0, top, image.width, bottom)))


def _narrowed(pixels: Uint8Tensor, x: _Axis, filter_: Filter, fill: tuple[int, int, int]) -> Uint8Tensor:
    padded = _padded(pixels, ((0, 0), (x.before, x.after)), fill)
    return along_x(padded, x.last - x.first, filter_, x.low, x.high)


def _with_soft_edges(image: Image.Image, frame: Frame, fill: tuple[int, int, int]) -> Image.Image:
    """Blend the pad into edge pixels that the picture covers only in part, as reduced decodings have.

    Else the picture would seem larger by up to a pixel, and its edge against the pad be visibly off.
    """
    width, height = image.size
    lead_x, lead_y = frame.lead_x, frame.lead_y
    edges = []
    if frame.width < frame.height:
        rest = width - frame.width / frame.scale - lead_x
        edges = [((0, 0, 1, height), lead_x), ((width - 1, 0, width, height), rest)]
    elif frame.height < frame.width:
        rest = height - frame.height / frame.scale - lead_y
        edges = [((0, 0, width, 1), lead_y), ((0, height - 1, width, height), rest)]
    edges = [(box, uncovered) for box, uncovered in edges if uncovered > 0]
    if not edges:
        return image
    image = image.copy()
    for box, uncovered in edges:
        strip = image.crop(box)
        image.paste(Image.blend(strip, Image.new("RGB", strip.size, fill), uncovered), box[:2])
    return image


def _axis(pixels: int, start: float, square: float, target: int, support: float) -> _Axis:
    """Fit `pixels` that begin at `start` of an axis of length `square` into `target` output pixels."""
    step = square / target
    reach = support * max(step, 1.0)
    end = start + pixels
    first = min(max(0, math.floor((start - reach) / step - 0.5)), target - 1)
    last = max(min(target, math.ceil((end + reach) / step + 0.5)), first + 1)
    # Whole pad pixels, as far as the outermost touched output pixels look, but never past the square:
    # there the filter is cut off and normalised anew, so a pixel too many would change the numbers.
    before = math.ceil(start - ((first + 0.5) * step - reach - 1))
    after = math.ceil((last - 0.5) * step + reach + 1 - end)
    before = max(0, min(before, math.ceil(start)))
    after = max(0, min(after, math.ceil(square - end)))
    origin = start - before
    return _Axis(first, last, before, after, max(0.0, first * step - origin), last * step - origin)


def _padded(
    pixels: Uint8Tensor, margins: tuple[tuple[int, int], tuple[int, int]], fill: tuple[int, int, int]
) -> Uint8Tensor:
    """Return [H, W, 3] with so many rows of `fill` above and below, and columns left and right."""
    (above, below), (left, right) = margins
    if not (above or below or left or right):
        return pixels
    height, width, _ = pixels.shape
    canvas = np.empty((above + height + below, left + width + right, 3), np.uint8)
    canvas[:above] = canvas[above + height :] = fill
    canvas[above : above + height, :left] = canvas[above : above + height, left + width :] = fill
    canvas[above : above + height, left : left + width] = pixels
    return canvas


def _nearest(
    image: Image.Image, geometry: Geometry, square: float, start_x: float, start_y: float
) -> Uint8Tensor:
    """Take for every output pixel the one pixel under its centre, or the pad colour."""
    # Summed step by step, as Pillow does: a centre on a pixel's edge falls to the side its rounding says.
    steps = np.full(geometry.size, square / geometry.size)
    steps[0] /= 2
    centres = np.cumsum(steps)
    columns = np.floor(centres - start_x).astype(np.intp)
    rows = np.floor(centres - start_y).astype(np.intp)
    inside_x = (columns >= 0) & (columns < image.width)
    inside_y = (rows >= 0) & (rows < image.height)
    canvas = np.empty((geometry.size, geometry.size, 3), np.uint8)
    canvas[:] = geometry.pad_colour
    pixels = np.asarray(image)
    canvas[np.ix_(inside_y, inside_x)] = pixels[np.ix_(rows[inside_y], columns[inside_x])]
    return canvas
