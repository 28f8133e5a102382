"""Bodies and what they wear, from the neck down."""

from random import Random

from orchestrator.demo.portraits.pen import Pen
from orchestrator.demo.portraits.scene import Person
from orchestrator.demo.portraits.shapes import WHITE, Colour, ellipse, jitter, mirrored, mix, smooth

FOOT = 8.5
"""How far down figures are drawn, in head radii; beyond every picture's lower edge."""

PLAIN: tuple[Colour, ...] = (
    (230, 80, 80),
    (90, 150, 220),
    (250, 220, 120),
    (120, 190, 140),
    (240, 240, 245),
    (60, 66, 90),
    (190, 140, 210),
    (240, 160, 120),
)
JACKETS: tuple[Colour, ...] = ((54, 60, 84), (80, 84, 96), (110, 70, 60), (60, 90, 80))
TIES: tuple[Colour, ...] = ((200, 36, 48), (40, 70, 170), (50, 130, 80), (110, 50, 140), (230, 170, 40))
SCARVES: tuple[Colour, ...] = (
    (206, 44, 52),
    (240, 236, 228),
    (70, 120, 200),
    (236, 170, 60),
    (90, 150, 100),
    (120, 80, 160),
)


def draw_body(pen: Pen, rng: Random, person: Person, skin: Colour, flush: Colour) -> None:
    """Draw shoulders, neck and clothes. `flush` is the skin's shade."""
    shoulder = rng.uniform(1.2, 1.45) if person.is_girl else rng.uniform(1.5, 1.75)
    top = rng.uniform(1.5, 1.62)
    outline = smooth(
        [
            (-0.28, 1.22),
            (-0.6, top - 0.12),
            (-shoulder, top + 0.22),
            (-shoulder * 1.12, 2.6),
            (-shoulder * 1.15, FOOT),
            (shoulder * 1.15, FOOT),
            (shoulder * 1.12, 2.6),
            (shoulder, top + 0.22),
            (0.6, top - 0.12),
            (0.28, 1.22),
        ]
    )
    cloth = _cloth_colour(rng, person)
    if person.bare_shoulders:
        pen.shape(outline, skin)
        _draw_top(pen, cloth, flush)
    else:
        pen.shape(outline, cloth)
        _draw_sleeves(pen, shoulder, cloth)
    neck = [(-0.27, 0.6), (-0.27, 1.25), (-0.34, 1.45), (0, 1.62), (0.34, 1.45), (0.27, 1.25), (0.27, 0.6)]
    pen.shape(neck, skin)
    pen.shade([(-0.26, 0.75), (-0.26, 1.12), (0, 1.3), (0.26, 1.12), (0.26, 0.75)], flush)
    if person.clothes == "school_uniform":
        _draw_sailor_collar(pen, rng)
    elif person.clothes == "necktie":
        _draw_necktie(pen, rng)
    elif person.clothes == "scarf":
        _draw_scarf(pen, rng)
    elif not person.bare_shoulders:
        _draw_plain_collar(pen, rng, cloth)


def _cloth_colour(rng: Random, person: Person) -> Colour:
    plain = jitter(rng, rng.choice(PLAIN), 0.03)
    jacket = jitter(rng, rng.choice(JACKETS))
    if person.clothes == "school_uniform":
        return jitter(rng, (246, 246, 250), 0, 0, 0.02)
    return jacket if person.clothes == "necktie" else plain


def _draw_top(pen: Pen, cloth: Colour, flush: Colour) -> None:
    outline = [
        (-0.85, 2.0),
        (-0.5, 2.12),
        (0, 2.2),
        (0.5, 2.12),
        (0.85, 2.0),
        (1.0, 2.9),
        (1.0, FOOT),
        (-1.0, FOOT),
    ]
    pen.shape(smooth([*outline, (-1.0, 2.9)]), cloth)
    for side in (-1, 1):
        pen.shape(mirrored([(0.70, 2.06), (0.60, 1.48), (0.50, 1.46), (0.55, 2.1)], side), cloth)
        collarbone = mirrored([(0.45, 1.72), (0.2, 1.78), (0.05, 1.86)], side)
        pen.crease(smooth(collarbone, closed=False), flush, 0.8)


def _draw_sleeves(pen: Pen, shoulder: float, cloth: Colour) -> None:
    shade = mix(cloth, (40, 30, 90), 0.22)
    for side in (-1, 1):
        sleeve = [
            (shoulder * 0.78, 2.3),
            (shoulder * 1.1, 2.5),
            (shoulder * 1.13, FOOT),
            (shoulder * 0.86, FOOT),
        ]
        pen.shade(mirrored(sleeve, side), shade)
        pen.line(mirrored([(shoulder * 0.78, 2.3), (shoulder * 0.84, FOOT)], side))


def _draw_sailor_collar(pen: Pen, rng: Random) -> None:
    collar = jitter(rng, rng.choice(((34, 50, 110), (30, 34, 60), (130, 30, 50), (40, 90, 90))), 0.01)
    for side in (-1, 1):
        pen.shape(mirrored([(0.3, 1.2), (0.95, 1.52), (0.92, 1.95), (0, 2.55), (0, 2.2)], side), collar)
        pen.line(mirrored([(0.86, 1.62), (0.83, 1.90), (0.05, 2.40)], side), (250, 250, 250), 0.9)
    bow = jitter(rng, rng.choice(((214, 40, 56), (230, 80, 40), (40, 70, 180))), 0.01)
    for side in (-1, 1):
        pen.shape(smooth(mirrored([(0, 2.38), (0.42, 2.18), (0.48, 2.5), (0.4, 2.66)], side)), bow)
        pen.shape(mirrored([(0, 2.42), (0.1, 2.45), (0.34, 3.0), (0.14, 3.02)], side), bow)
    pen.shape(ellipse(0, 2.42, 0.1, 0.11), bow)


def _draw_necktie(pen: Pen, rng: Random) -> None:
    shirt = (246, 246, 250)
    tie = jitter(rng, rng.choice(TIES), 0.02)
    pen.shape([(-0.34, 1.38), (0, 2.9), (0.34, 1.38), (0, 1.62)], shirt)
    blade = [(-0.1, 1.6), (0.1, 1.6), (0.07, 1.8), (0.2, 2.75), (0, 3.0), (-0.2, 2.75), (-0.07, 1.8)]
    pen.shape(blade, tie)
    pen.shape([(-0.14, 1.56), (0.14, 1.56), (0.08, 1.8), (-0.08, 1.8)], tie)
    for side in (-1, 1):
        pen.shape(mirrored([(0.3, 1.2), (0.46, 1.5), (0.2, 1.86), (0, 1.58)], side), shirt)


def _draw_scarf(pen: Pen, rng: Random) -> None:
    wool = jitter(rng, rng.choice(SCARVES), 0.02)
    shade = mix(wool, (40, 20, 70), 0.25)
    side = rng.choice((-1, 1))
    pen.shape(mirrored([(0.25, 1.5), (0.62, 1.5), (0.72, 2.9), (0.3, 2.95)], side), shade)
    for thread in range(4):
        x = 0.33 + 0.1 * thread
        pen.line(mirrored([(x, 2.92), (x + 0.01, 3.08)], side))
    wrap = [
        (-0.75, 1.1),
        (-0.82, 1.45),
        (-0.45, 1.78),
        (0, 1.86),
        (0.45, 1.78),
        (0.82, 1.45),
        (0.75, 1.1),
        (0.4, 1.28),
        (0, 1.34),
        (-0.4, 1.28),
    ]
    pen.shape(smooth(wrap), wool)
    pen.crease(smooth([(-0.7, 1.32), (-0.2, 1.56), (0.4, 1.52)], closed=False), shade, 1.4)
    pen.crease(smooth([(-0.3, 1.68), (0.2, 1.7), (0.7, 1.38)], closed=False), shade, 1.4)


def _draw_plain_collar(pen: Pen, rng: Random, cloth: Colour) -> None:
    if rng.random() < 0.5:
        neckline = smooth([(-0.42, 1.4), (0, 1.74), (0.42, 1.4)], closed=False)
        pen.line(neckline, mix(cloth, (0, 0, 0), 0.35), 1.6)
        return
    for side in (-1, 1):
        flap = mirrored([(0.3, 1.2), (0.56, 1.42), (0.3, 1.85), (0, 1.6)], side)
        pen.shape(flap, mix(cloth, WHITE, 0.45))
