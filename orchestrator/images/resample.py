"""Shrinking along one axis, by a library that does with the processor's vector instructions what Pillow does
without.

It gives the numbers of Pillow's convolution, but rounds one value in a thousand the other way (ADR 25), the
same on every machine. The order in which it shrinks both axes at once is not Pillow's, so callers go along
one axis at a time.
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


def along_x(pixels: Uint8Tensor, count: int, filter_: Filter, low: float, high: float) -> Uint8Tensor:
    """Resample RGB [H, W, 3] to [H, `count`, 3]: what lies between `low` and `high` of 0 … W."""
    height, width, _ = pixels.shape
    return _resample(pixels, (height, count), filter_, CropBox(low, 0, min(high, width) - low, height))


def along_y(pixels: Uint8Tensor, count: int, filter_: Filter, low: float, high: float) -> Uint8Tensor:
    """Resample RGB [H, W, 3] to [`count`, W, 3]: what lies between `low` and `high` of 0 … H."""
    height, width, _ = pixels.shape
    return _resample(pixels, (count, width), filter_, CropBox(0, low, width, min(high, height) - low))


def _resample(pixels: Uint8Tensor, shape: tuple[int, int], filter_: Filter, box: CropBox) -> Uint8Tensor:
    source = ImageData(pixels.shape[1], pixels.shape[0], PixelType.U8x3, pixels.tobytes())
    target = ImageData(shape[1], shape[0], PixelType.U8x3)
    _RESIZER.resize(source, target, ResizeOptions(resize_alg=_ALGORITHMS[filter_], crop_box=box))
    return np.frombuffer(target.get_buffer(), np.uint8).reshape(*shape, 3)
