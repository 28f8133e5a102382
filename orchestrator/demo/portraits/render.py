"""Portraits from seeds: size, scene, drawing, light and compression."""

import io
import math
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from orchestrator.demo.portraits import props, scenery
from orchestrator.demo.portraits.figure import draw_person
from orchestrator.demo.portraits.pen import Sheet
from orchestrator.demo.portraits.scene import Person, Scene, sample_scene
from orchestrator.demo.portraits.shapes import WHITE, Colour
from orchestrator.demo.portraits.styles import TRAINING_STYLES, DrawingStyle

WIDEST_ASPECT = 3.0
"""Width to height of the widest portrait; the narrowest is its inverse."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """A drawn picture and what is in it.

    `image`: RGB, or RGBA with a transparent background where asked. `labels`: Danbooru names with exactly
    one rating. `themes`: titles of the demo board's themes. `style`: the drawing style's name.
    """

    image: Image.Image
    labels: frozenset[str]
    themes: frozenset[str]
    style: str


def draw_portrait(
    seed: int,
    *,
    aspect: float | None = None,
    style: DrawingStyle | None = None,
    transparent: bool = False,
    longer_side: int | None = None,
    clean: bool = False,
) -> Portrait:
    """Return the portrait of `seed`; the same arguments give the same pixels with the same Pillow.

    `aspect`: width / height, 1/3 … 3; sampled when absent (mostly 0.62 … 1.5, one in seven of the whole
    range). `style`: sampled from the training styles when absent. `longer_side` in pixels: sampled from
    460 … 800 when absent. `clean`: without the light, noise and JPEG artefacts of found pictures.
    Raises ValueError for an aspect out of range.
    """
    rng = Random(seed)
    sampled_aspect, sampled_side = _sample_aspect(rng), int(rng.uniform(460, 800))
    aspect, longer_side = aspect or sampled_aspect, longer_side or sampled_side
    if not 1 / WIDEST_ASPECT - 1e-9 <= aspect <= WIDEST_ASPECT + 1e-9:
        raise ValueError(f"aspect {aspect:.3f} is not within 1:3 … 3:1")
    sampled_style = rng.choices(TRAINING_STYLES, (0.64, 0.18, 0.18))[0]
    style = style or sampled_style
    scene = sample_scene(rng, allow_duo=aspect >= 0.95, transparent=transparent)
    width, height = (
        (longer_side, round(longer_side / aspect))
        if aspect > 1
        else (round(longer_side * aspect), longer_side)
    )
    drawing_seed = rng.getrandbits(64)
    if transparent:
        image = _draw_transparent(drawing_seed, scene, style, (width, height))
    else:
        image = _draw(Random(drawing_seed), scene, style, (width, height))
        if scene.monochrome:
            image = image.convert("L").convert("RGB")
        if not clean:
            image = _weather_the_file(rng, image, scene)
    return Portrait(image, scene.labels(), scene.themes(), style.name)


def _sample_aspect(rng: Random) -> float:
    widest = WIDEST_ASPECT if rng.random() < 1 / 7 else 0.0
    low, high = (1 / widest, widest) if widest else (0.62, 1.5)
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _draw(
    rng: Random, scene: Scene, style: DrawingStyle, size: tuple[int, int], backdrop: Colour | None = None
) -> Image.Image:
    """Draw at twice the size (1.5 times when large) and reduce. `backdrop` replaces the background."""
    width, height = size
    oversampling = 2.0 if max(width, height) < 600 else 1.5
    big_width, big_height = int(width * oversampling), int(height * oversampling)
    picture = scenery.paint_background(rng, style, scene, (big_width, big_height))
    if backdrop is not None:
        picture = Image.new("RGB", picture.size, backdrop)
    sheet = Sheet(ImageDraw.Draw(picture, "RGBA"), rng, style, big_width, big_height)
    props.draw_decorations(sheet, scene.decorations)
    figures = [
        draw_person(sheet, person, at, scale)
        for person, at, scale in _compose(rng, scene, big_width, big_height)
    ]
    if scene.held:
        props.draw_held(figures[0], rng, scene.held, lowest=figures[0].pen.reach_down(big_height) - 0.55)
    if scene.animal:
        props.draw_animal(sheet, scene.animal)
    if scene.weather:
        scenery.draw_weather(sheet, scene.weather)
    if scene.background != "transparent":
        scenery.draw_distractors(sheet)
    return picture.resize(
        (width, height), Image.Resampling.BOX if oversampling == 2 else Image.Resampling.LANCZOS
    )


def _compose(
    rng: Random, scene: Scene, width: int, height: int
) -> list[tuple[Person, tuple[float, float], float]]:
    """Where the people stand: each with the head's centre and radius in pixels."""
    if len(scene.people) == 1:
        person = scene.people[0]
        scale = min(rng.uniform(0.21, 0.29) * min(width, height), height * 0.26)
        if width < height:
            scale = min(rng.uniform(0.24, 0.3) * width, height * 0.26)
        above = 1.9 if person.accessories & {"hat", "cat_ears"} else 1.5
        below = 2.6
        y = min(
            max(height * rng.uniform(0.36, 0.46), scale * above), max(height - scale * below, scale * above)
        )
        return [(person, (width * (0.5 + rng.uniform(-0.09, 0.09)), y), scale)]
    left, right = scene.people
    scale = min(width * 0.15, height * 0.245) * rng.uniform(0.9, 1.05)
    return [
        (left, (width * rng.uniform(0.25, 0.29), height * rng.uniform(0.42, 0.48)), scale),
        (
            right,
            (width * rng.uniform(0.71, 0.75), height * rng.uniform(0.42, 0.48)),
            scale * rng.uniform(0.95, 1.05),
        ),
    ]


def _draw_transparent(seed: int, scene: Scene, style: DrawingStyle, size: tuple[int, int]) -> Image.Image:
    """Draw the same strokes over white and over black; what differs is what is transparent."""
    over_white = np.asarray(_draw(Random(seed), scene, style, size, WHITE), np.float32)
    over_black = np.asarray(_draw(Random(seed), scene, style, size, (0, 0, 0)), np.float32)
    alpha = np.clip(255 - (over_white - over_black).mean(2, keepdims=True), 0, 255)
    colour = np.where(alpha > 0, over_black * 255 / np.maximum(alpha, 1), 255)
    pixels = np.concatenate([np.clip(colour, 0, 255), alpha], 2)
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _weather_the_file(rng: Random, image: Image.Image, scene: Scene) -> Image.Image:
    """Give a picture what found pictures have: uneven light, a colour cast, noise, JPEG artefacts."""
    width, height = image.size
    noise = np.random.default_rng(rng.getrandbits(64))
    pixels: NDArray[np.float64] = np.asarray(image, np.float64)
    if scene.background != "white" and rng.random() < 0.5:
        angle = rng.uniform(0, 2 * math.pi)
        across, down = (
            np.linspace(-1, 1, width) * math.cos(angle),
            np.linspace(-1, 1, height) * math.sin(angle),
        )
        pixels = pixels * (1 + rng.uniform(0, 0.12) * (across[None, :] + down[:, None])[..., None])
    if scene.background != "white" and not scene.monochrome:
        pixels = pixels * np.array([1 + rng.uniform(-0.05, 0.05) for _ in range(3)], np.float32)
    if rng.random() < 0.4:
        channels = 1 if scene.monochrome or rng.random() < 0.5 else 3
        pixels = pixels + noise.standard_normal((height, width, channels), np.float32) * rng.uniform(1, 6)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.6:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(55, 95))
        image = Image.open(buffer).convert("RGB")
    return image
