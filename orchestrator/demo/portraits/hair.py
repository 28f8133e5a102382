"""Hair: what hangs behind the head, what falls over the forehead, and where a ribbon may sit."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import numpy as np

from orchestrator.demo.portraits.pen import Pen
from orchestrator.demo.portraits.scene import Person
from orchestrator.demo.portraits.shapes import (
    WHITE,
    Colour,
    PointList,
    ellipse,
    jitter,
    mirrored,
    mix,
    smooth,
    with_alpha,
)

TIE_COLOURS: tuple[Colour, ...] = (
    (220, 40, 60),
    (40, 60, 160),
    (240, 240, 240),
    (30, 30, 40),
    (250, 180, 40),
    (120, 60, 180),
)


@dataclass(frozen=True, slots=True)
class HairTones:
    """The three tones of one head of hair."""

    base: Colour
    shade: Colour
    light: Colour

    @classmethod
    def of(cls, base: Colour) -> "HairTones":
        """Return the tones around `base`."""
        return cls(base, mix(base, (30, 10, 60), 0.26), mix(base, WHITE, 0.5))


def draw_back_hair(pen: Pen, rng: Random, person: Person, tones: HairTones) -> list[tuple[float, float]]:
    """Draw the hair behind the head; return the places for a ribbon, in figure units."""
    if person.hairstyle == "long_hair":
        _hang_long(pen, rng, tones)
    else:
        _hang_short(pen, rng, person, tones)
    tie = jitter(rng, rng.choice(TIE_COLOURS), 0.05)
    if person.hairstyle == "twintails":
        height, reach, length = rng.uniform(-0.75, -0.3), rng.uniform(0.75, 1.0), rng.uniform(1.5, 2.1)
        for side in (-1, 1):
            _tail(pen, rng, tones, side, root=(0.82, height), reach=reach, length=length)
            pen.shape(ellipse(side * 0.88, height, 0.11, 0.14), tie)
        return [(-0.9, height), (0.9, height)]
    if person.hairstyle == "ponytail":
        height = rng.uniform(-1.0, -0.7)
        _tail(
            pen,
            rng,
            tones,
            1,
            root=(0.5, height),
            reach=rng.uniform(0.95, 1.25),
            length=rng.uniform(1.5, 2.0),
        )
        pen.shape(ellipse(0.58, height, 0.13, 0.13), tie)
        return [(0.6, height)]
    return [(rng.choice((-1, 1)) * rng.uniform(0.7, 0.85), rng.uniform(-0.95, -0.75))]


def draw_front_hair(pen: Pen, rng: Random, person: Person, tones: HairTones) -> None:
    """Draw crown, fringe and side locks over the face, with their creases and the ring of light."""
    strands = rng.choice((4, 5, 5, 6, 7))
    cut = rng.choice(("spiky", "round", "part")) if person.is_girl else "spiky"
    edges = np.linspace(0.86, -0.86, strands + 1).tolist()
    low = rng.uniform(-0.1, 0.06)
    lock = rng.uniform(0.45, 0.95) if person.is_girl else rng.uniform(0.15, 0.35)
    pen.shape(_fringe(rng, cut, edges, low, lock) + _crown(rng, person), tones.base)
    for x in edges[:-1]:
        strand = smooth([(x * 0.95, -0.36), (x * 0.9, -0.6), (x * 0.7, -0.8)], closed=False)
        pen.crease(strand, tones.shade)
    for left, right in pairwise(edges):
        x = (left + right) / 2
        crease = smooth([(x, low - 0.12), (x * 0.96, -0.34), (x * 0.86, -0.55)], closed=False)
        pen.crease(crease, mix(tones.base, tones.shade, 0.6), 0.9)
    _ring_of_light(pen, rng, tones)
    side = [(-0.97, -0.45), (-0.99, 0.1), (-0.93, lock * 0.5), (-0.87, 0.1), (-0.86, -0.4)]
    pen.shade(smooth(side), with_alpha(tones.shade, 150))


def _hang_long(pen: Pen, rng: Random, tones: HairTones) -> None:
    width, length = rng.uniform(1.1, 1.4), rng.uniform(1.9, 2.6)
    outline = [
        (-0.95, -0.6),
        (-width * 0.95, 0.4),
        (-width, 1.3),
        (-width * 1.02, length),
        (-width * 0.75, length - 0.15),
        (-width * 0.55, length + 0.15),
        (-0.2, length - 0.1),
        (0.25, length + 0.1),
        (width * 0.55, length - 0.1),
        (width * 0.8, length + 0.15),
        (width, length - 0.2),
        (width, 1.2),
        (width * 0.95, 0.4),
        (0.95, -0.6),
        (0, -1.2),
    ]
    pen.shape(smooth(_shaken(rng, outline, 0.04)), tones.shade)


def _hang_short(pen: Pen, rng: Random, person: Person, tones: HairTones) -> None:
    loose = person.is_girl and person.hairstyle == "short_hair"
    length = rng.uniform(0.75, 1.0) if loose else rng.uniform(0.35, 0.6)
    width = rng.uniform(1.05, 1.2) if loose else rng.uniform(0.98, 1.06)
    outline = [
        (-0.95, -0.6),
        (-width, 0.2),
        (-width * 0.98, length),
        (-0.5, length + 0.15),
        (0, length),
        (0.5, length + 0.15),
        (width * 0.98, length),
        (width, 0.2),
        (0.95, -0.6),
        (0, -1.2),
    ]
    pen.shape(smooth(_shaken(rng, outline, 0.04)), tones.shade)


def _tail(
    pen: Pen,
    rng: Random,
    tones: HairTones,
    side: int,
    *,
    root: tuple[float, float],
    reach: float,
    length: float,
) -> None:
    x, y = root
    outline = [
        (x, y - 0.08),
        (x + reach * 0.55, y - 0.18),
        (x + reach, y + 0.35),
        (x + reach * 1.08, y + length * 0.6),
        (x + reach * 0.75, y + length),
        (x + reach * 0.62, y + length * 0.86),
        (x + reach * 0.45, y + length * 0.93),
        (x + reach * 0.42, y + length * 0.55),
        (x + reach * 0.25, y + 0.4),
        (x, y + 0.14),
    ]
    pen.shape(smooth(mirrored(_shaken(rng, outline, 0.05), side)), tones.base)
    shade = [
        (x + reach * 0.35, y + 0.1),
        (x + reach * 0.75, y + length * 0.45),
        (x + reach * 0.66, y + length * 0.8),
    ]
    light = [(x + reach * 0.5, y), (x + reach * 0.92, y + length * 0.35)]
    pen.crease(smooth(mirrored(shade, side), closed=False), tones.shade, 1.2)
    pen.crease(smooth(mirrored(light, side), closed=False), tones.light, 1.6)


def _fringe(
    rng: Random, cut: str, edges: Sequence[float], low: float, lock: float
) -> list[tuple[float, float]]:
    """The fringe's lower edge, from the right lock to the left one."""
    outline = [
        (1.0, -0.05),
        (1.0, lock * 0.7),
        (0.9, lock + 0.12),
        (0.8, lock * 0.6),
        (0.84, 0.05),
        (0.8, -0.25),
    ]
    parting = rng.uniform(-0.3, 0.3)
    for start, end in pairwise(edges):
        tip = (start + end) / 2
        if cut == "part":
            depth = low + 0.12 - 0.42 * float(np.exp(-(((tip - parting) / 0.3) ** 2)))
            tip += 0.12 * float(np.sign(tip - parting))
        else:
            depth = low + rng.uniform(-0.07, 0.07)
            tip += rng.uniform(-0.09, 0.09)
        if cut == "round":
            outline += [(start * 0.8 + tip * 0.2, depth - 0.02), (tip, depth + 0.03)]
            outline += [(end * 0.8 + tip * 0.2, depth - 0.02), (end, depth - 0.16)]
            continue
        bend = depth * 0.5 - 0.18
        outline += _bow((start, -0.38), (start * 0.85 + tip * 0.15, bend), (tip, depth))
        outline += _bow((tip, depth), (end * 0.85 + tip * 0.15, bend), (end, -0.38))[1:]
    outline += [
        (-0.8, -0.25),
        (-0.84, 0.05),
        (-0.8, lock * 0.6),
        (-0.9, lock + 0.12),
        (-1.0, lock * 0.7),
        (-1.0, -0.05),
    ]
    return outline


def _crown(rng: Random, person: Person) -> list[tuple[float, float]]:
    corners = [
        (-1.03, -0.4),
        (-0.8, -0.97),
        (-0.42, -1.2),
        (0, -1.27),
        (0.42, -1.2),
        (0.8, -0.97),
        (1.03, -0.4),
    ]
    if person.is_girl and rng.random() >= 0.25:
        return [(float(x), float(y)) for x, y in smooth(corners, closed=False, steps=5)]
    tousled = [corners[0]]
    for (x0, y0), (x1, y1) in pairwise(corners):
        lift = rng.uniform(1.08, 1.2)
        tousled += [((x0 + x1) / 2 * lift, (y0 + y1) / 2 * lift), (x1, y1)]
    return tousled


def _ring_of_light(pen: Pen, rng: Random, tones: HairTones) -> None:
    places = np.linspace(-0.66, 0.66, 13)
    teeth = [rng.uniform(0.03, 0.11) for _ in places]
    arc = [-0.70 - 0.26 * (1 - (x / 0.72) ** 2) for x in places]
    upper = [(x, y - tooth * 0.6) for x, y, tooth in zip(places, arc, teeth, strict=True)]
    lower = [
        (x * 0.98, y + (tooth * 1.6 if i % 2 else 0.02))
        for i, (x, y, tooth) in enumerate(zip(places, arc, teeth, strict=True))
    ]
    pen.shade(smooth(upper + lower[::-1], steps=4), with_alpha(tones.light, 190))


def _bow(
    start: tuple[float, float], control: tuple[float, float], end: tuple[float, float]
) -> list[tuple[float, float]]:
    """A quadratic Bézier curve of six points."""
    curve = []
    for t in np.linspace(0, 1, 6):
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        curve.append(
            (
                float(a * start[0] + b * control[0] + c * end[0]),
                float(a * start[1] + b * control[1] + c * end[1]),
            )
        )
    return curve


def _shaken(rng: Random, points: PointList, reach: float) -> list[tuple[float, float]]:
    return [(x + rng.uniform(-reach, reach), y + rng.uniform(-reach, reach)) for x, y in points]
