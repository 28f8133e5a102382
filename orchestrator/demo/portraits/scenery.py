"""Backgrounds and weather. Every function draws in canvas pixels."""

from random import Random

import numpy as np
from PIL import Image, ImageDraw

from orchestrator.demo.portraits.pen import Sheet
from orchestrator.demo.portraits.scene import Scene, Weather
from orchestrator.demo.portraits.shapes import WHITE, Colour, gradient, jitter, mix
from orchestrator.demo.portraits.styles import DrawingStyle

PASTELS: tuple[Colour, ...] = (
    (255, 214, 224),
    (210, 232, 255),
    (220, 245, 220),
    (255, 242, 204),
    (232, 220, 250),
    (176, 190, 210),
    (240, 150, 130),
    (120, 180, 190),
)


def paint_background(rng: Random, style: DrawingStyle, scene: Scene, size: tuple[int, int]) -> Image.Image:
    """Return a new RGB picture of the background alone; white for `white` and `transparent`."""
    background, weather, (width, height) = scene.background, scene.weather, size
    tone = jitter(rng, rng.choice(PASTELS), 0.04, 0.3, 0.06)
    if background in ("white", "transparent"):
        return Image.new("RGB", (width, height), WHITE)
    if background == "outdoors":
        return _paint_outdoors(rng, style, weather, size)
    if background == "night":
        return _paint_night(rng, style, width, height)
    tone = style.paint(tone)
    if background == "pattern":
        return _paint_pattern(rng, tone, width, height)
    if rng.random() < 0.5 and style.shading:
        return gradient(width, height, [(0, tone), (1, mix(tone, WHITE, 0.5))])
    return Image.new("RGB", (width, height), tone)


def draw_weather(sheet: Sheet, weather: Weather) -> None:
    """Draw rain or snow over everything."""
    canvas, rng, width, height = sheet.canvas, sheet.rng, sheet.width, sheet.height
    unit = max(width, height) / 600
    if weather == "rain":
        slope, length = rng.uniform(-0.3, 0.3), rng.uniform(0.07, 0.12) * height
        for _ in range(rng.randint(90, 150)):
            x, y = rng.random() * width, rng.uniform(-0.1, 1.0) * height
            stroke = [(x, y), (x + slope * length, y + length)]
            canvas.line(stroke, fill=(206, 228, 255, 220), width=max(2, round(3.0 * unit)))
        return
    for _ in range(rng.randint(60, 110)):
        x, y, radius = rng.random() * width, rng.random() * height, (3.2 + 4.5 * rng.random()) * unit
        canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(255, 255, 255, 240))


def draw_distractors(sheet: Sheet) -> None:
    """Sometimes cover an edge with a disc or a caption bar, as crops and captions do."""
    canvas, rng, width, height = sheet.canvas, sheet.rng, sheet.width, sheet.height
    if rng.random() < 0.10:
        x, y = width * rng.choice((rng.uniform(0, 0.1), rng.uniform(0.9, 1))), height * rng.uniform(0.3, 1)
        radius = min(width, height) * rng.uniform(0.05, 0.12)
        tone = jitter(rng, (128, 128, 128), 0.5, 1, 0.6)
        canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(*tone, 230))
    if rng.random() < 0.05:
        canvas.rectangle([0, height * rng.uniform(0.92, 0.96), width, height], fill=(20, 20, 26, 220))


def _paint_pattern(rng: Random, tone: Colour, width: int, height: int) -> Image.Image:
    picture = Image.new("RGB", (width, height), tone)
    canvas = ImageDraw.Draw(picture)
    second = mix(tone, rng.choice((WHITE, (120, 80, 140))), 0.4)
    step = max(8, int(rng.uniform(0.08, 0.16) * max(width, height)))
    if rng.random() < 0.5:
        for x in range(-height, width + height, step):
            stripe = [
                (x, 0),
                (x + step // 2, 0),
                (x + step // 2 - height // 2, height),
                (x - height // 2, height),
            ]
            canvas.polygon(stripe, fill=second)
        return picture
    radius = step * 0.22
    for column, x in enumerate(range(0, width + step, step)):
        for row in range(0, height + step, step):
            y = row + (step // 2 if column % 2 else 0)
            canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=second)
    return picture


def _paint_outdoors(
    rng: Random, style: DrawingStyle, weather: Weather | None, size: tuple[int, int]
) -> Image.Image:
    width, height = size
    grey = {None: (120, 186, 246), "rain": (104, 116, 140), "snow": (140, 152, 170)}
    top = style.paint(grey[weather])
    haze = (235, 240, 245) if weather != "rain" else (176, 186, 200)
    picture = gradient(width, height, [(0, jitter(rng, top, 0.02)), (0.7, mix(top, haze, 0.7)), (1, haze)])
    canvas = ImageDraw.Draw(picture)
    if weather is None and rng.random() < 0.6:
        x, y, radius = (
            rng.uniform(0.05, 0.95) * width,
            rng.uniform(0.05, 0.25) * height,
            rng.uniform(0.05, 0.09),
        )
        radius *= width
        canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=style.paint((255, 240, 170)))
    cloud = style.paint(
        WHITE if weather is None else (150, 156, 170) if weather == "rain" else (206, 212, 222)
    )
    for _ in range(rng.randint(2, 4)):
        x, y, radius = (
            rng.uniform(0, 1) * width,
            rng.uniform(0.05, 0.4) * height,
            rng.uniform(0.05, 0.1) * width,
        )
        for dx, dy, part in ((-1, 0.2, 0.7), (0, 0, 1), (1, 0.2, 0.75), (0.5, -0.4, 0.7)):
            rx, ry = part * radius, part * radius * 0.7
            cx, cy = x + dx * radius, y + dy * radius
            canvas.ellipse([cx - rx, cy - ry, cx + rx, cy + ry], fill=cloud)
    ground = (122, 190, 100) if weather != "snow" else (236, 240, 248)
    for ridge in range(2):
        xs = np.linspace(0, width, 24)
        wave = np.sin(xs / width * rng.uniform(3, 6) + rng.uniform(0, 6)) * 0.05 * height
        skyline = [
            (float(x), float(y)) for x, y in zip(xs, rng.uniform(0.55, 0.75) * height + wave, strict=True)
        ]
        fill = style.paint(mix(jitter(rng, ground), (40, 90, 80), 0.18 * (1 - ridge)))
        canvas.polygon([*skyline, (width, height), (0, height)], fill=fill)
    _plant_trees(Sheet(canvas, rng, style, width, height), weather)
    return picture


def _plant_trees(sheet: Sheet, weather: Weather | None) -> None:
    rng, style, width, height = sheet.rng, sheet.style, sheet.width, sheet.height
    needles: Colour = (70, 150, 80) if weather != "snow" else (210, 224, 226)
    for _ in range(rng.randint(1, 4)):
        x, y = rng.uniform(0, 1) * width, rng.uniform(0.6, 0.75) * height
        size = rng.uniform(0.08, 0.16) * height
        trunk = [x - size * 0.1, y - size * 0.4, x + size * 0.1, y + size * 0.4]
        sheet.canvas.rectangle(trunk, fill=style.paint((110, 76, 50)))
        tone = style.paint(jitter(rng, needles))
        for lift, part in ((0.0, 1.0), (-0.5, 0.75), (-0.95, 0.5)):
            base = y + lift * size - 0.2 * size
            half = size * 0.7 * part
            sheet.canvas.polygon(
                [(x - half, base), (x + half, base), (x, base - 1.1 * size * part)], fill=tone
            )


def _paint_night(rng: Random, style: DrawingStyle, width: int, height: int) -> Image.Image:
    stops = ((0.0, (14, 18, 52)), (0.6, (40, 48, 110)), (1.0, (96, 84, 150)))
    picture = gradient(
        width, height, [(place, style.paint(jitter(rng, tone, 0.03))) for place, tone in stops]
    )
    canvas = ImageDraw.Draw(picture)
    unit = max(width, height) / 600
    for _ in range(rng.randint(40, 90)):
        x, y, radius = rng.random() * width, rng.uniform(0, 0.85) * height, rng.uniform(0.8, 2.4) * unit
        canvas.ellipse(
            [x - radius, y - radius, x + radius, y + radius], fill=(255, 250, rng.randint(200, 255))
        )
    if rng.random() < 0.6:
        x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.08, 0.25) * height
        radius = rng.uniform(0.06, 0.1) * min(width, height)
        canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=style.paint((250, 240, 190)))
        if rng.random() < 0.5:
            bite = [x - radius * 0.4, y - radius * 1.1, x + radius * 1.4, y + radius * 0.8]
            canvas.ellipse(bite, fill=style.paint((30, 36, 90)))
    return picture
