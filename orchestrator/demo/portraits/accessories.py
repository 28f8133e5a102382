"""What is worn on the head: bands, ears, hats and ribbons."""

from collections.abc import Sequence
from random import Random

import numpy as np

from orchestrator.demo.portraits.pen import Pen
from orchestrator.demo.portraits.shapes import Colour, ellipse, jitter, mirrored, smooth

BANDS: tuple[Colour, ...] = ((220, 40, 60), (30, 34, 50), (250, 250, 250), (250, 190, 60), (70, 120, 220))
HATS: tuple[Colour, ...] = (
    (120, 40, 50),
    (50, 60, 110),
    (230, 190, 120),
    (60, 60, 66),
    (90, 140, 90),
    (240, 240, 240),
)
HAT_BANDS: tuple[Colour, ...] = ((220, 50, 60), (250, 210, 80), (250, 250, 250), (50, 50, 90))
RIBBONS: tuple[Colour, ...] = (
    (222, 36, 58),
    (222, 36, 58),
    (250, 120, 170),
    (60, 100, 220),
    (250, 200, 60),
    (120, 60, 180),
    (40, 36, 50),
)
INNER_EAR: Colour = (250, 170, 180)


def draw_hairband(pen: Pen, rng: Random) -> None:
    """Draw a band across the crown."""
    band = jitter(rng, rng.choice(BANDS), 0.03)
    x = np.linspace(-1, 1, 14)
    upper = np.stack([x * 1.03, -0.32 - 0.62 * (1 - x * x) ** 0.6], 1)
    lower = np.stack([x * 0.99, -0.12 - 0.56 * (1 - x * x) ** 0.6], 1)[::-1]
    pen.shape(np.vstack([upper, lower]), band)


def draw_cat_ears(pen: Pen, hair: Colour) -> None:
    """Draw two cat ears in the hair's colour."""
    for side in (-1, 1):
        pen.shape(
            mirrored([(0.28, -1.1), (0.48, -1.42), (0.82, -1.82), (0.93, -1.3), (0.92, -0.75)], side), hair
        )
        pen.patch(mirrored([(0.48, -1.16), (0.76, -1.58), (0.83, -1.2), (0.8, -0.95)], side), INNER_EAR)


def draw_hat(pen: Pen, rng: Random) -> None:
    """Draw a sun hat, a witch's hat, a beanie or a cap."""
    felt, band = jitter(rng, rng.choice(HATS), 0.03), jitter(rng, rng.choice(HAT_BANDS))
    kind = rng.choice(("sun", "witch", "beanie", "cap"))
    point = rng.uniform(-0.1, 0.6)
    if kind == "sun":
        pen.shape(smooth([*_sides((-0.85, -0.75), (-0.8, -1.35), (-0.4, -1.68))]), felt)
        pen.shape([(-0.88, -0.98), (0.88, -0.98), (0.9, -0.72), (-0.9, -0.72)], band)
        pen.shape(ellipse(0, -0.7, 1.6, 0.24), felt)
    elif kind == "witch":
        pen.shape([(-0.85, -0.8), (-0.35, -1.7), (point, -2.3), (0.4, -1.7), (0.85, -0.8)], felt)
        pen.shape([(-0.86, -0.8), (-0.7, -1.08), (0.7, -1.08), (0.86, -0.8)], band)
        pen.shape(ellipse(0, -0.74, 1.5, 0.22), felt)
    elif kind == "beanie":
        pen.shape(smooth([*_sides((-1.05, -0.55), (-1.0, -1.1), (-0.5, -1.6))]), felt)
        rim = [(-1.12, -0.82), (0, -1.0), (1.12, -0.82), (1.1, -0.46), (0, -0.66), (-1.1, -0.46)]
        pen.shape(smooth(rim), band)
        pen.shape(ellipse(0, -1.68, 0.22, 0.22), band)
    else:
        pen.shape(smooth([*_sides((-1.02, -0.65), (-0.95, -1.15), (-0.4, -1.5))]), felt)
        visor = [(-1.05, -0.78), (0, -0.95), (1.05, -0.78), (1.35, -0.5), (0.4, -0.58), (-1.0, -0.6)]
        pen.shape(smooth(visor), band)


def draw_ribbons(pen: Pen, rng: Random, places: Sequence[tuple[float, float]]) -> None:
    """Draw a bow at each of `places` (figure units)."""
    silk = jitter(rng, rng.choice(RIBBONS), 0.02)
    for x, y in places:
        for side in (-1, 1):
            loop = [(x, y), (x + side * 0.42, y - 0.32), (x + side * 0.5, y), (x + side * 0.4, y + 0.26)]
            tail = [
                (x, y),
                (x + side * 0.12, y + 0.06),
                (x + side * 0.3, y + 0.48),
                (x + side * 0.12, y + 0.46),
            ]
            pen.shape(smooth(loop), silk)
            pen.shape(tail, silk)
        pen.shape(ellipse(x, y, 0.11, 0.12), silk)


def _sides(*left: tuple[float, float]) -> list[tuple[float, float]]:
    """The left side's corners followed by their mirror images."""
    return [*left, *((-x, y) for x, y in reversed(left))]
