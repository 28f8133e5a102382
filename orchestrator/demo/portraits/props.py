"""Things beside the people: what a hand holds, animals, hearts and stars."""

import math
from collections.abc import Iterable
from random import Random

from orchestrator.demo.portraits.figure import Figure
from orchestrator.demo.portraits.pen import Pen, Sheet
from orchestrator.demo.portraits.scene import Animal, Decoration, Held
from orchestrator.demo.portraits.shapes import (
    WHITE,
    Colour,
    ellipse,
    heart,
    jitter,
    mirrored,
    mix,
    smooth,
    star,
)

BROWN_INK: Colour = (40, 26, 34)
BEAK: Colour = (250, 150, 40)


def draw_held(figure: Figure, rng: Random, held: Held, lowest: float) -> None:
    """Draw a hand holding something; `lowest` is the lowest place of its centre in figure units."""
    pen = figure.pen
    side = rng.choice((-1, 1))
    x, y = side * rng.uniform(0.5, 0.8), min(rng.uniform(1.95, 2.2), lowest)
    if held == "cup":
        _draw_cup(pen, rng, side, x, y)
    else:
        _draw_flower(pen, rng, x, y)
    hand = [(-0.22, 0.1), (0.2, 0.06), (0.26, 0.3), (0.2, 0.52), (-0.2, 0.54), (-0.28, 0.3)]
    pen.shape(smooth([(x + dx, y + dy) for dx, dy in hand]), figure.skin)
    for finger in range(3):
        pen.line([(x - 0.2, y + 0.2 + 0.1 * finger), (x + 0.1, y + 0.2 + 0.1 * finger)], None, 0.8)
    sleeve = [(x - 0.3, y + 0.5), (x + 0.3, y + 0.5), (x + 0.5, y + 2.2), (x - 0.4, y + 2.2)]
    pen.shape(sleeve, mix(figure.skin, WHITE, 0.25))


def draw_cat(sheet: Sheet, at: tuple[float, float], size: float) -> None:
    """Draw a sitting cat with its head `at` (pixels), head radius `size` (pixels)."""
    rng = sheet.rng
    coats: tuple[Colour, ...] = ((60, 56, 66), (240, 170, 90), (245, 240, 235), (150, 140, 140))
    coat = jitter(rng, rng.choice(coats), 0.02)
    pen = Pen(sheet, at=at, scale=size, width=size * 0.05, ink=BROWN_INK, tilt=rng.uniform(-0.1, 0.1))
    pen.shape(smooth([(-0.7, 0.6), (-0.95, 2.4), (0.95, 2.4), (0.7, 0.6)]), coat)
    for side in (-1, 1):
        pen.shape(mirrored([(0.25, -0.8), (0.85, -1.45), (0.95, -0.3)], side), coat)
        pen.patch(mirrored([(0.5, -0.8), (0.77, -1.15), (0.82, -0.55)], side), (250, 170, 180))
    pen.shape(ellipse(0, 0, 1.05, 0.9), coat)
    whiskers = WHITE if sum(coat) < 300 else None
    for side in (-1, 1):
        pen.shape(ellipse(side * 0.42, -0.02, 0.2, 0.24), (250, 230, 90))
        pen.patch(ellipse(side * 0.42, -0.02, 0.08, 0.2), (20, 20, 20))
        for lift in (-0.1, 0.1):
            pen.line(mirrored([(0.45, 0.35 + lift * 0.6), (1.25, 0.32 + lift * 2)], side), whiskers, 0.8)
    pen.shape([(-0.1, 0.25), (0.1, 0.25), (0, 0.38)], (240, 110, 130))
    mouth = [(-0.22, 0.48), (-0.1, 0.54), (0, 0.4), (0.1, 0.54), (0.22, 0.48)]
    pen.line(smooth(mouth, closed=False))


def draw_bird(sheet: Sheet, at: tuple[float, float], size: float, *, left: bool) -> None:
    """Draw a round bird `at` (pixels) of radius `size` (pixels), looking `left` or right."""
    rng = sheet.rng
    coats: tuple[Colour, ...] = ((250, 210, 70), (110, 180, 240), (240, 110, 100), (245, 245, 250))
    coat = jitter(rng, rng.choice(coats), 0.02)
    wing = mix(coat, (40, 40, 60), 0.25)
    pen = Pen(
        sheet,
        at=at,
        scale=size,
        width=size * 0.05,
        ink=BROWN_INK,
        tilt=rng.uniform(-0.1, 0.1),
        mirror=left,
    )
    pen.shape([(-0.9, 0.2), (-1.7, 0.0), (-1.6, 0.5), (-0.8, 0.55)], wing)
    body = [
        (0.0, -1.0),
        (0.7, -0.75),
        (0.8, -0.1),
        (0.65, 0.6),
        (0, 0.9),
        (-0.7, 0.7),
        (-0.95, 0.2),
        (-0.5, -0.3),
    ]
    pen.shape(smooth(body), coat)
    pen.shape([(0.75, -0.5), (1.25, -0.32), (0.78, -0.15)], BEAK)
    pen.shape(ellipse(0.38, -0.42, 0.13, 0.15), (20, 20, 20))
    pen.patch(ellipse(0.34, -0.47, 0.04, 0.05), WHITE)
    pen.shape(smooth([(-0.6, 0.1), (0.1, -0.02), (0.2, 0.35), (-0.3, 0.55)]), wing)


def draw_animal(sheet: Sheet, animal: Animal) -> None:
    """Draw a companion low at one side, or a bird above."""
    rng, width, height = sheet.rng, sheet.width, sheet.height
    side = rng.choice((-1, 1))
    x = width * (0.5 + side * rng.uniform(0.3, 0.38))
    size = min(width, height) * rng.uniform(0.09, 0.118)
    on_the_ground = rng.random() < 0.5
    sky = height * rng.uniform(0.1, 0.2) + size
    if animal == "cat":
        draw_cat(sheet, (x, height - size * 1.5), size)
    else:
        draw_bird(sheet, (x, height - size * 1.1 if on_the_ground else sky), size * 0.9, left=side > 0)


def draw_decorations(sheet: Sheet, decorations: Iterable[Decoration]) -> None:
    """Draw hearts and stars at both sides of the people."""
    rng, width, height = sheet.rng, sheet.width, sheet.height
    for decoration in sorted(decorations):
        tones: tuple[Colour, ...] = ((250, 210, 50), (255, 180, 60), (120, 200, 250))
        outline = star()
        if decoration == "heart":
            tones, outline = ((240, 60, 100), (250, 130, 170)), heart()
        for _ in range(rng.randint(2, 4)):
            x = rng.uniform(0.05, 0.2) if rng.random() < 0.5 else rng.uniform(0.8, 0.95)
            size = rng.uniform(0.045, 0.07) * min(width, height)
            colour = jitter(rng, rng.choice(tones), 0.02)
            pen = Pen(
                sheet,
                at=(x * width, rng.uniform(0.06, 0.6) * height),
                scale=size,
                width=size * 0.12,
                ink=mix(colour, (60, 0, 40), 0.6),
                tilt=rng.uniform(-0.4, 0.4),
            )
            pen.shape(outline, colour)


def _draw_cup(pen: Pen, rng: Random, side: int, x: float, y: float) -> None:
    china = jitter(rng, rng.choice(((240, 240, 245), (230, 90, 90), (90, 150, 220), (250, 200, 90))), 0.03)
    ring = ellipse(x + side * 0.38, y, 0.2, 0.2)
    pen.line(ring, pen.ink, 4.5)
    pen.line(ring, china, 2.6)
    pen.shape([(x - 0.34, y - 0.38), (x + 0.34, y - 0.38), (x + 0.28, y + 0.36), (x - 0.28, y + 0.36)], china)
    pen.shape(ellipse(x, y - 0.38, 0.34, 0.09), (110, 66, 40))
    for dx in (-0.12, 0.1):
        steam = [(dx, -0.52), (dx + 0.06, -0.64), (dx - 0.04, -0.76), (dx + 0.04, -0.88)]
        pen.line(smooth([(x + sx, y + sy) for sx, sy in steam], closed=False), (255, 255, 255, 200), 1.5)


def _draw_flower(pen: Pen, rng: Random, x: float, y: float) -> None:
    tones: tuple[Colour, ...] = (
        (250, 90, 120),
        (255, 210, 70),
        (250, 250, 250),
        (170, 110, 230),
        (255, 140, 60),
    )
    petal = jitter(rng, rng.choice(tones), 0.03)
    pen.line([(x, y + 0.5), (x, y - 0.5)], (60, 140, 70), 3)
    for i in range(6):
        angle = i * math.pi / 3
        pen.shape(ellipse(x + 0.24 * math.cos(angle), y - 0.6 + 0.24 * math.sin(angle), 0.18, 0.18), petal)
    pen.shape(ellipse(x, y - 0.6, 0.15, 0.15), (250, 190, 50))
