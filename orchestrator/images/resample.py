"""Shrinking along one axis, by a library that does with the processor's vector instructions what Pillow does
without.

It gives the numbers of Pillow's convolution, but rounds one value in two thousand the other way (ADR 25).
The order in which it shrinks both axes at once is not Pillow's, so callers go along one axis at a time.
"""

from typing import Literal

import numpy as np
from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer

from orchestrator.records import Uint8Tensor

Filter = Literal["bilinear", "bicubic", "lanczos"]

SUPPORTS: dict[Filter, float] = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}
"""How far a filter sees, in output pixels."""

_ALGORITHMS = {
    "bilinear": ResizeAlg.convolution(FilterType.bilinear),
    "bicubic": ResizeAlg.convolution(FilterType.catmull_rom),  # Pillow's bicubic: a = -0.5
    "lanczos": ResizeAlg.convolution(FilterType.lanczos3),
}
_RESIZER = Resizer()
_HALF = np.float32(0.5)
_STRIP = 128 * 1024
"""Values that go along the x axis together, as floats: they stay in the processor's cache."""


def along_x(pixels: Uint8Tensor, count: int, filter_: Filter, low: float, high: float) -> Uint8Tensor:
    """Resample RGB [H, W, 3] to [H, `count`, 3]: what lies between `low` and `high` of 0 … W.

    In single precision: what is rounded wrongly here is weighed again along the other axis.
    """
    height, width, _ = pixels.shape
    narrow = np.empty((height, count, 3), np.uint8)
    rows = max(1, _STRIP // (3 * width))
    for top in range(0, height, rows):
        # The half makes the truncation below round; weights add up to one, so it comes through unchanged.
        strip = np.add(pixels[top : top + rows], _HALF, dtype=np.float32)
        box = CropBox(low, 0, min(high, width) - low, len(strip))
        raw = _resample(strip, PixelType.F32x3, (len(strip), count), filter_, box)
        values = np.frombuffer(raw, np.float32).reshape(-1, count, 3)
        narrow[top : top + rows] = np.clip(values, 0, 255)
    return narrow


def along_y(pixels: Uint8Tensor, count: int, filter_: Filter, low: float, high: float) -> Uint8Tensor:
    """Resample RGB [H, W, 3] to [`count`, W, 3]: what lies between `low` and `high` of 0 … H."""
    height, width, _ = pixels.shape
    box = CropBox(0, low, width, min(high, height) - low)
    raw = _resample(pixels, PixelType.U8x3, (count, width), filter_, box)
    return np.frombuffer(raw, np.uint8).reshape(count, width, 3)


def _resample(
    pixels: np.ndarray, kind: PixelType, shape: tuple[int, int], filter_: Filter, box: CropBox
) -> bytes:
    source = ImageData(pixels.shape[1], pixels.shape[0], kind, pixels.tobytes())
    target = ImageData(shape[1], shape[0], kind)
    _RESIZER.resize(source, target, ResizeOptions(resize_alg=_ALGORITHMS[filter_], crop_box=box))
    raw: bytes = target.get_buffer()
    return raw
