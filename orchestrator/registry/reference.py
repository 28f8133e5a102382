"""The preparation of pictures and tensors as the manifests state it, written to be obviously right.

Slow and plain on purpose: the fast letterbox and the prepared graphs are tested against this module.
Source of the contract: DESIGN 3 "WD14 contract" and 3b "Reference order".
"""

import numpy as np
from PIL import Image

from orchestrator.records import Float32Tensor, Geometry, Uint8Tensor
from orchestrator.registry.manifest import InputSpec, OutputSpec

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def reference_letterbox(image: Image.Image, geometry: Geometry) -> Uint8Tensor:
    """Return `image` as a square: UINT8 RGB HWC [S, S, 3], values 0–255.

    In this order: transparency is composited on the pad colour, the picture is centred on a square of its
    longer side filled with the pad colour, and the whole square is resized in both directions at once.
    """
    if image.has_transparency_data:
        image = image.convert("RGBA")
        backdrop = Image.new("RGBA", image.size, (*geometry.pad_colour, 255))
        image = Image.alpha_composite(backdrop, image)
    image = image.convert("RGB")
    side = max(image.size)
    square = Image.new("RGB", (side, side), geometry.pad_colour)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    resized = square.resize((geometry.size, geometry.size), FILTERS[geometry.filter])
    return np.array(resized, np.uint8)


def reference_input(images: Uint8Tensor, spec: InputSpec) -> Float32Tensor:
    """Return UINT8 RGB NHWC [N, S, S, 3] as the float32 tensor that a family's original graph wants."""
    low, high = spec.value_range
    values = images.astype(np.float64) / 255 * (high - low) + low
    if spec.channel_order == "BGR":
        values = values[..., ::-1]
    values = (values - np.array(spec.mean)) / np.array(spec.std)
    if spec.layout == "NCHW":
        values = values.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(values, np.float32)


def reference_probabilities(answer: Float32Tensor, spec: OutputSpec) -> Float32Tensor:
    """Return an original graph's answer [N, L] as float32 probabilities."""
    return sigmoid(answer) if spec.activation == "logits" else answer.astype(np.float32)


def sigmoid(logits: Float32Tensor) -> Float32Tensor:
    """Return 1 / (1 + exp(-x)), float32, computed in float64."""
    return (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
