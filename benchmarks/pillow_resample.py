"""What `orchestrator/images/resample.py` does, by Pillow alone: for a machine to measure on that has no
cykooz-resizer. Slower, and not for the pipeline, whose numbers must not depend on the machine."""

import numpy as np
from PIL import Image

from orchestrator.records import Uint8Tensor

SUPPORTS = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}
Filter = str


def along_x(pixels: Uint8Tensor, count: int, filter_: Filter, low: float, high: float) -> Uint8Tensor:
    """Resample RGB [H, W, 3] to [H, `count`, 3]: what lies between `low` and `high` of 0 … W."""
    height, width, _ = pixels.shape
    return _resample(pixels, (count, height), filter_, (low, 0, min(high, width), height))


def along_y(pixels: Uint8Tensor, count: int, filter_: Filter, low: float, high: float) -> Uint8Tensor:
    """Resample RGB [H, W, 3] to [`count`, W, 3]: what lies between `low` and `high` of 0 … H."""
    height, width, _ = pixels.shape
    return _resample(pixels, (width, count), filter_, (0, low, width, min(high, height)))


def _resample(
    pixels: Uint8Tensor, size: tuple[int, int], filter_: Filter, box: tuple[float, float, float, float]
) -> Uint8Tensor:
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling[filter_.upper()], box=box))
