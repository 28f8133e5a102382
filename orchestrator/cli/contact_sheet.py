"""A contact sheet: pictures with their tags written on them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

TILE = 320
COLUMNS = 4
TAGS = 8
GAP = 12
_LINE = 18
_PAPER, _INK, _BAR, _SHADE = (246, 246, 242), (28, 28, 36), (66, 110, 220), (255, 255, 255, 210)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture's bytes, which can be decoded, and its tags with confidences 0 … 1, surest first."""

    data: bytes
    tags: tuple[tuple[str, float], ...]


def contact_sheet(pictures: Sequence[Shown]) -> Image.Image:
    """Return an RGB sheet of all pictures, COLUMNS wide, each with its surest tags on its lower part."""
    columns = max(1, min(COLUMNS, len(pictures)))
    rows = max(1, -(-len(pictures) // columns))
    step = TILE + GAP
    sheet = Image.new("RGB", (columns * step + GAP, rows * step + GAP), _PAPER)
    for number, picture in enumerate(pictures):
        sheet.paste(_tile(picture), (GAP + number % columns * step, GAP + number // columns * step))
    return sheet


def _tile(picture: Shown) -> Image.Image:
    with Image.open(io.BytesIO(picture.data)) as opened:
        opened.draft("RGB", (TILE * 2, TILE * 2))
        oriented = ImageOps.exif_transpose(opened).convert("RGBA")
    oriented.thumbnail((TILE, TILE))
    tile = Image.new("RGBA", (TILE, TILE), (255, 255, 255, 255))
    tile.alpha_composite(oriented, ((TILE - oriented.width) // 2, (TILE - oriented.height) // 2))
    tags = picture.tags[:TAGS]
    if tags:
        top = TILE - _LINE * len(tags) - 8
        shade = Image.new("RGBA", (TILE, TILE - top), _SHADE)
        tile.alpha_composite(shade, (0, top))
        draw, font = ImageDraw.Draw(tile), ImageFont.load_default(13)
        for line, (title, confidence) in enumerate(tags):
            y = top + 4 + line * _LINE
            draw.rectangle((8, y + 3, 8 + round(44 * confidence), y + 12), fill=_BAR)
            draw.text((60, y), f"{confidence:.2f}  {title}", fill=_INK, font=font)
    return tile.convert("RGB")
