"""Heads: skin, eyes, brows, mouths, blush and eyewear."""

from random import Random

from orchestrator.demo.portraits.pen import Pen
from orchestrator.demo.portraits.scene import Person
from orchestrator.demo.portraits.shapes import (
    WHITE,
    Colour,
    ellipse,
    jitter,
    mirrored,
    mix,
    smooth,
    with_alpha,
)
from orchestrator.demo.portraits.vocabulary import EYE_COLOURS

LIP: Colour = (160, 34, 46)
TONGUE: Colour = (244, 118, 122)
BLUSH: Colour = (255, 70, 90)


def draw_head(pen: Pen, rng: Random, person: Person, skin: Colour, flush: Colour) -> None:
    """Draw ears and face, without hair. `flush` is the skin's shade."""
    for side in (-1, 1):
        pen.shape(smooth(mirrored([(0.78, 0.05), (0.93, 0.0), (0.92, 0.25), (0.78, 0.38)], side)), skin)
    jaw, chin = (0.62, 0.27) if person.is_girl else (0.70, 0.34)
    outline = [
        (-0.82, -0.4),
        (-0.81, 0.2),
        (-jaw, 0.62),
        (-chin, 0.91),
        (0, 1.0),
        (chin, 0.91),
        (jaw, 0.62),
        (0.81, 0.2),
        (0.82, -0.4),
        (0.6, -0.95),
        (0, -1.12),
        (-0.6, -0.95),
    ]
    pen.shape(smooth(outline), skin)
    shadow = [(-0.78, -0.5), (-0.74, -0.08), (-0.3, -0.02), (0.3, -0.02), (0.74, -0.08), (0.78, -0.5)]
    pen.shade(smooth(shadow), mix(skin, flush, 0.55))


def draw_face(pen: Pen, rng: Random, person: Person, skin: Colour, brow: Colour) -> None:
    """Draw blush, eyes, brows, nose, mouth and eyewear. `brow` is the eyebrows' colour."""
    turn = rng.uniform(-0.14, 0.14)
    if person.blush:
        _draw_blush(pen, turn)
    height, spread = rng.uniform(0.2, 0.25), rng.uniform(0.39, 0.43)
    tall = rng.uniform(0.27, 0.32) if person.is_girl else rng.uniform(0.20, 0.23)
    colour = jitter(rng, EYE_COLOURS[person.eyes], 0.012, 0.06, 0.06)
    for side in (-1, 1):
        narrowing = 1 - 0.1 * max(0.0, side * turn / 0.14)
        wide = (0.265 if person.is_girl else 0.23) * narrowing
        centre = side * spread + turn
        if person.eyes_closed:
            _draw_closed_eye(pen, centre, height, wide)
        else:
            _draw_eye(pen, person, side, (centre, height), size=(wide, tall), turn=turn, colour=colour)
        _draw_brow(pen, person, side, (centre, height), brow)
    pen.line([(turn * 1.3, 0.46), (turn * 1.3 + 0.035, 0.51)], mix(pen.ink, skin, 0.3))
    _draw_mouth(pen, person, turn * 1.15, rng.uniform(0.19, 0.25))
    if person.eyewear == "glasses":
        _draw_glasses(pen, rng, turn, height, spread)
    elif person.eyewear == "sunglasses":
        _draw_sunglasses(pen, rng, turn, height, spread)


def _draw_blush(pen: Pen, turn: float) -> None:
    for side in (-1, 1):
        centre = side * 0.52 + turn
        for ring in range(3):
            pen.patch(ellipse(centre, 0.57, 0.24 - 0.045 * ring, 0.14 - 0.025 * ring), with_alpha(BLUSH, 88))
        for stripe in (-1, 0, 1):
            x = centre + 0.085 * stripe
            pen.line([(x + 0.03, 0.49), (x - 0.03, 0.64)], (225, 40, 70), 1.1)


def _draw_closed_eye(pen: Pen, centre: float, height: float, wide: float) -> None:
    lid = [(centre - wide, height + 0.08), (centre, height - 0.09), (centre + wide, height + 0.08)]
    pen.line(smooth(lid, closed=False), None, 2.6)


def _draw_eye(
    pen: Pen,
    person: Person,
    side: int,
    at: tuple[float, float],
    *,
    size: tuple[float, float],
    turn: float,
    colour: Colour,
) -> None:
    (x, y), (wide, tall) = at, size
    white = [
        (x - wide, y - 0.02),
        (x - wide * 0.7, y - tall * 0.85),
        (x + wide * 0.1, y - tall),
        (x + wide * 0.8, y - tall * 0.75),
        (x + wide, y),
        (x + wide * 0.6, y + tall * 0.9),
        (x - wide * 0.4, y + tall * 0.93),
    ]
    pen.patch(smooth(white), (253, 253, 255))
    iris_x, iris = x + turn * 0.3, wide * 0.76
    dark = (0, 0, 0)
    pen.patch(ellipse(iris_x, y, iris, tall * 0.96), mix(colour, dark, 0.45))
    pen.patch(ellipse(iris_x, y + tall * 0.10, iris * 0.88, tall * 0.80), colour)
    pen.shade(ellipse(iris_x, y + tall * 0.42, iris * 0.60, tall * 0.42), mix(colour, WHITE, 0.35))
    pen.patch(ellipse(iris_x, y - tall * 0.02, iris * 0.36, tall * 0.36), mix(colour, dark, 0.75))
    pen.patch(ellipse(iris_x - iris * 0.35, y - tall * 0.42, iris * 0.34, tall * 0.24), WHITE)
    pen.shade(ellipse(iris_x + iris * 0.42, y + tall * 0.5, iris * 0.16, tall * 0.12), WHITE)
    lash = [
        (x - side * wide * 0.9, y - tall * 0.55),
        (x - side * wide * 0.3, y - tall * 1.02),
        (x + side * wide * 0.5, y - tall),
        (x + side * wide * 1.05, y - tall * 0.35),
    ]
    pen.line(smooth(lash, closed=False), None, 2.9 if person.is_girl else 2.1)
    if person.is_girl:
        pen.line([(x + side * wide, y - tall * 0.45), (x + side * wide * 1.3, y - tall * 0.62)], None, 2)


def _draw_brow(pen: Pen, person: Person, side: int, at: tuple[float, float], colour: Colour) -> None:
    x = at[0]
    y = at[1] - (0.45 if person.is_girl else 0.36)
    tilt = {"frown": -0.11, "smile": 0.03, "laugh": 0.03}.get(person.mouth, 0.0)
    brow = [(x - side * 0.18, y - tilt + 0.02), (x, y - 0.05), (x + side * 0.2, y + tilt * 0.6 + 0.03)]
    pen.line(smooth(brow, closed=False), mix(colour, pen.ink, 0.5), 1.8 if person.is_girl else 2.6)


def _draw_mouth(pen: Pen, person: Person, x: float, wide: float) -> None:
    y = 0.73
    if person.mouth == "smile":
        curve = [(-1, -0.09), (-0.5, 0.02), (0, 0.055), (0.5, 0.02), (1, -0.09)]
        pen.line(smooth([(x + wide * dx, y + dy) for dx, dy in curve], closed=False), None, 2.2)
    elif person.mouth == "frown":
        curve = [(-1, 0.11), (-0.5, 0.0), (0, -0.035), (0.5, 0.0), (1, 0.11)]
        pen.line(smooth([(x + wide * dx, y + dy) for dx, dy in curve], closed=False), None, 1.9)
    elif person.mouth == "laugh":
        outline = [(-1, -0.11), (0, -0.07), (1, -0.11), (0.65, 0.1), (0, 0.17), (-0.65, 0.1)]
        pen.shape(smooth([(x + wide * dx, y + dy) for dx, dy in outline]), LIP, weight=1.3)
        pen.patch(ellipse(x, y + 0.1, wide * 0.5, 0.055), TONGUE)
    elif person.mouth == "open":
        pen.shape(ellipse(x, y + 0.01, wide * 0.58, 0.145), LIP, weight=1.3)
        pen.patch(ellipse(x, y + 0.08, wide * 0.36, 0.06), TONGUE)
    else:
        pen.line([(x - wide * 0.5, y), (x + wide * 0.5, y)], None, 1.7)


def _draw_glasses(pen: Pen, rng: Random, turn: float, height: float, spread: float) -> None:
    frame = jitter(rng, rng.choice(((40, 36, 44), (150, 40, 50), (60, 70, 140), (120, 80, 40))))
    is_round = rng.random() < 0.5
    for side in (-1, 1):
        x = side * spread + turn
        lens = _lens(x, height, is_round)
        pen.patch(lens, (220, 240, 255, 45))
        pen.line([*lens, *lens[:2]], frame, 2.4)
        pen.line([(x - 0.2, height - 0.14), (x - 0.26, height + 0.06)], WHITE, 1.2)
        pen.line([(x + side * 0.33, height - 0.05), (side * 0.88, height - 0.1)], frame, 1.8)
    _draw_bridge(pen, turn, height, frame)


def _draw_sunglasses(pen: Pen, rng: Random, turn: float, height: float, spread: float) -> None:
    frame = (26, 26, 32)
    is_round = rng.random() < 0.5
    for side in (-1, 1):
        x = side * spread + turn
        pen.shape(_lens(x, height, is_round), (36, 32, 52, 246), frame, 1.8)
        glint = [
            (x - 0.2, height - 0.12),
            (x - 0.06, height - 0.16),
            (x - 0.16, height + 0.14),
            (x - 0.25, height + 0.1),
        ]
        pen.shade(glint, (140, 140, 170, 140))
        pen.line([(x + side * 0.33, height - 0.05), (side * 0.88, height - 0.1)], frame, 1.8)
    _draw_bridge(pen, turn, height, frame)


def _draw_bridge(pen: Pen, turn: float, height: float, frame: Colour) -> None:
    bridge = [(turn - 0.07, height - 0.02), (turn, height - 0.07), (turn + 0.07, height - 0.02)]
    pen.line(smooth(bridge, closed=False), frame, 2)


def _lens(x: float, y: float, is_round: bool) -> list[tuple[float, float]]:
    if is_round:
        outline = ellipse(x, y + 0.02, 0.345, 0.33)
    else:
        corners = [
            (x - 0.34, y - 0.24),
            (x + 0.34, y - 0.24),
            (x + 0.31, y + 0.26),
            (x, y + 0.31),
            (x - 0.31, y + 0.26),
        ]
        outline = smooth(corners)
    return [(float(px), float(py)) for px, py in outline]
