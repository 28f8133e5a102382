"""A pen that draws in a figure's own coordinates onto a Pillow canvas."""

import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import ImageDraw

from orchestrator.demo.portraits.shapes import Colour, Fill, PointList, Points
from orchestrator.demo.portraits.styles import DrawingStyle


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a picture is drawn on and with: `width` and `height` are the canvas's, in pixels."""

    canvas: ImageDraw.ImageDraw
    rng: Random
    style: DrawingStyle
    width: int
    height: int


class Pen:
    """Draws shapes given in figure units (head radius about 1, y down) at a place, scale and tilt.

    `canvas` must blend (Pillow's "RGBA" mode on an RGB image). `tilt` is in radians; `mirror` swaps left
    and right; `width` is a line's width in pixels before the style's weight.
    """

    def __init__(
        self,
        sheet: Sheet,
        *,
        at: tuple[float, float],
        scale: float,
        width: float,
        ink: Colour,
        tilt: float = 0.0,
        mirror: bool = False,
    ) -> None:
        self.style = sheet.style
        self.ink = sheet.style.ink or ink
        self._canvas = sheet.canvas
        self._at = np.array(at)
        self._scale = scale
        self._width = width * sheet.style.line_weight
        cosine, sine = math.cos(tilt), math.sin(tilt)
        self._rotation = np.array([[cosine, sine], [-sine, cosine]])
        self._sides = np.array([-1.0 if mirror else 1.0, 1.0])

    def place(self, points: PointList | Points) -> list[tuple[float, float]]:
        """Return `points` in canvas pixels."""
        placed = ((np.asarray(points, np.float64) * self._sides) @ self._rotation) * self._scale + self._at
        return [(float(x), float(y)) for x, y in placed]

    def reach_down(self, height: float) -> float:
        """Return how far a picture of `height` pixels reaches below the origin, in figure units."""
        return float((height - self._at[1]) / self._scale)

    def shape(
        self, points: PointList | Points, fill: Fill, ink: Colour | None = None, weight: float = 1.0
    ) -> None:
        """Fill a closed shape and outline it, unless the style has no outlines."""
        placed = self.place(points)
        self._canvas.polygon(placed, fill=self._paint(fill))
        if self.style.outlines:
            self._stroke([*placed, *placed[:2]], self.style.ink or ink or self.ink, weight)

    def patch(self, points: PointList | Points, fill: Fill) -> None:
        """Fill a closed shape without outline."""
        self._canvas.polygon(self.place(points), fill=self._paint(fill))

    def shade(self, points: PointList | Points, fill: Fill) -> None:
        """Fill a closed shape where the style shades at all."""
        if self.style.shading:
            self.patch(points, fill)

    def line(self, points: PointList | Points, colour: Fill | None = None, weight: float = 1.0) -> None:
        """Draw an open line; in the figure's ink unless `colour` is given."""
        self._stroke(self.place(points), self.ink if colour is None else self._paint(colour), weight)

    def crease(self, points: PointList | Points, colour: Colour, weight: float = 1.0) -> None:
        """Draw a line that only shading styles have."""
        if self.style.shading:
            self.line(points, colour, weight)

    def _stroke(self, placed: list[tuple[float, float]], colour: Fill, weight: float) -> None:
        self._canvas.line(placed, fill=colour, width=max(1, int(self._width * weight)), joint="curve")

    def _paint(self, fill: Fill) -> Fill:
        painted = self.style.paint(fill[:3])
        return painted if len(fill) == 3 else (*painted, fill[3])
