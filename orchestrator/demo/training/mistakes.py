"""The ways of feeding WD14 wrongly that still give plausible scores.

Each takes what the original graph should get (float32 BGR NHWC [N, 448, 448, 3], 0–255), or what it
answered (probabilities [N, L]), and spoils it. The geometry mistakes take a picture and return the tensor
UINT8 RGB HWC that a careless letterbox would make of it.
"""

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from orchestrator.records import Float32Tensor, Geometry, Uint8Tensor
from orchestrator.registry.reference import reference_letterbox, sigmoid

BAD_INPUTS: Mapping[str, Callable[[Float32Tensor], Float32Tensor]] = {
    "channels swapped": lambda values: np.ascontiguousarray(values[..., ::-1]),
    "divided by 255": lambda values: values / np.float32(255),
    "transposed": lambda values: np.ascontiguousarray(values.swapaxes(1, 2)),
}
BAD_OUTPUTS: Mapping[str, Callable[[Float32Tensor], Float32Tensor]] = {"double sigmoid": sigmoid}


def squashed(image: Image.Image, geometry: Geometry) -> Uint8Tensor:
    """Resize without regard to the aspect."""
    flat = _on_colour(image, geometry.pad_colour)
    return np.array(flat.resize((geometry.size, geometry.size), Image.Resampling.BICUBIC), np.uint8)


def padded_black(image: Image.Image, geometry: Geometry) -> Uint8Tensor:
    """Pad with black; transparency still goes on the right colour."""
    return reference_letterbox(_on_colour(image, geometry.pad_colour), Geometry(geometry.size, (0, 0, 0)))


def resized_nearest(image: Image.Image, geometry: Geometry) -> Uint8Tensor:
    """Resize with the nearest-neighbour filter."""
    return reference_letterbox(image, Geometry(geometry.size, geometry.pad_colour, "nearest"))


def resized_bilinear(image: Image.Image, geometry: Geometry) -> Uint8Tensor:
    """Resize with the bilinear filter."""
    return reference_letterbox(image, Geometry(geometry.size, geometry.pad_colour, "bilinear"))


BAD_GEOMETRIES: Mapping[str, Callable[[Image.Image, Geometry], Uint8Tensor]] = {
    "squashed aspect": squashed,
    "black padding": padded_black,
    "nearest filter": resized_nearest,
    "bilinear filter": resized_bilinear,
}


def _on_colour(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Composite transparency on `colour`; RGB."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*colour, 255)), image).convert("RGB")
