"""Drawing styles: how a scene is inked and coloured, never what is in it.

The models are trained on `TRAINING_STYLES` alone; `HELD_OUT_STYLES` show what happens to a hand that they
have never seen.
"""

import colorsys
from dataclasses import dataclass

from orchestrator.demo.portraits.shapes import Colour, mix


@dataclass(frozen=True, slots=True)
class DrawingStyle:
    """A way of drawing.

    `line_weight` multiplies every line's width. `ink`: one colour for all outlines, or `None` for a dark
    shade of the hair. `outlines`: whether shapes have any (eyes, brows and mouths always have lines).
    `shading`: highlights, shades and lighting. `tint` and `tint_share` wash every colour; `saturation`
    multiplies every colour's.
    """

    name: str
    line_weight: float = 1.0
    ink: Colour | None = None
    outlines: bool = True
    shading: bool = True
    tint: Colour = (255, 255, 255)
    tint_share: float = 0.0
    saturation: float = 1.0

    def paint(self, colour: Colour) -> Colour:
        """Return `colour` as this style paints it."""
        if self.saturation != 1.0:
            h, s, v = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
            red, green, blue = colorsys.hsv_to_rgb(h, min(1.0, s * self.saturation), v)
            colour = (int(red * 255), int(green * 255), int(blue * 255))
        return mix(colour, self.tint, self.tint_share) if self.tint_share else colour


CEL = DrawingStyle("cel")
FLAT = DrawingStyle("flat", shading=False)
BOLD = DrawingStyle("bold", line_weight=1.6)
TRAINING_STYLES = (CEL, FLAT, BOLD)

LINELESS = DrawingStyle("lineless", outlines=False)
PASTEL = DrawingStyle("pastel", line_weight=0.8, ink=(120, 110, 130), tint_share=0.22, saturation=0.85)
POSTER = DrawingStyle("poster", line_weight=2.6, ink=(8, 8, 10), shading=False, saturation=1.3)
COPPERPLATE = DrawingStyle(
    "copperplate", line_weight=0.7, ink=(120, 58, 20), tint=(246, 214, 160), tint_share=0.18
)
HELD_OUT_STYLES = (LINELESS, PASTEL, POSTER, COPPERPLATE)
