"""Curves and colours: small pure functions. Points are float64 arrays [K, 2] of (x, y)."""

import colorsys
import math
from collections.abc import Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Points = NDArray[np.float64]
PointList = Sequence[tuple[float, float]]
Colour = tuple[int, int, int]
Fill = Colour | tuple[int, int, int, int]

WHITE: Colour = (255, 255, 255)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return `a` blended with `share` (0 … 1) of `b`."""
    red, green, blue = (round(x * (1 - share) + y * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def jitter(
    rng: Random, colour: Colour, hue: float = 0.015, saturation: float = 0.08, value: float = 0.06
) -> Colour:
    """Return `colour` moved at random; `hue` is absolute in turns, the others relative."""
    h, s, v = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
    h = (h + rng.uniform(-hue, hue)) % 1
    s = min(1.0, max(0.0, s * (1 + rng.uniform(-saturation, saturation))))
    v = min(1.0, max(0.0, v * (1 + rng.uniform(-value, value))))
    red, green, blue = (int(channel * 255) for channel in colorsys.hsv_to_rgb(h, s, v))
    return red, green, blue


def with_alpha(colour: Colour, alpha: int) -> Fill:
    """Return `colour` as a translucent fill, `alpha` 0–255."""
    return (*colour, alpha)


def smooth(points: PointList | Points, closed: bool = True, steps: int = 8) -> Points:
    """Return a Catmull-Rom curve through `points`, `steps` points a segment."""
    corners = np.asarray(points, np.float64)
    if closed:
        padded = np.vstack([corners[-1], corners, corners[0], corners[1]])
        segments = len(corners)
    else:
        padded = np.vstack([2 * corners[0] - corners[1], corners, 2 * corners[-1] - corners[-2]])
        segments = len(corners) - 1
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for i in range(segments):
        a, b, c, d = padded[i : i + 4]
        cubic = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
        pieces.append(0.5 * cubic)
    if not closed:
        pieces.append(corners[-1:])
    return np.vstack(pieces)


def ellipse(cx: float, cy: float, rx: float, ry: float, steps: int = 28) -> Points:
    """Return an ellipse's outline."""
    t = np.linspace(0, 2 * math.pi, steps)
    return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], 1)


def star() -> Points:
    """Return a five-pointed star of radius 1 around the origin, one point up."""
    corner = np.arange(10)
    angle = corner * math.pi / 5 - math.pi / 2
    radius = np.where(corner % 2 == 0, 1.0, 0.45)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def heart() -> Points:
    """Return a heart of about radius 1 around the origin, point down."""
    t = np.linspace(0, 2 * math.pi, 32)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x / 17, y / 17], 1)


def mirrored(points: PointList, side: int) -> list[tuple[float, float]]:
    """Return `points` with x multiplied by `side` (-1 or 1)."""
    return [(side * x, y) for x, y in points]


def gradient(width: int, height: int, stops: Sequence[tuple[float, Colour]]) -> Image.Image:
    """Return an RGB picture shaded from top (0) to bottom (1) through `stops`."""
    y = np.linspace(0, 1, height)
    places = [place for place, _ in stops]
    column = np.stack([np.interp(y, places, [colour[i] for _, colour in stops]) for i in range(3)], 1)
    return Image.fromarray(np.repeat(column[:, None, :], width, 1).astype(np.uint8))
