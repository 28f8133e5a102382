"""One person, assembled back to front."""

from dataclasses import dataclass

from orchestrator.demo.portraits import accessories
from orchestrator.demo.portraits.clothes import draw_body
from orchestrator.demo.portraits.face import draw_face, draw_head
from orchestrator.demo.portraits.hair import HairTones, draw_back_hair, draw_front_hair
from orchestrator.demo.portraits.pen import Pen, Sheet
from orchestrator.demo.portraits.scene import Person
from orchestrator.demo.portraits.shapes import Colour, jitter, mix
from orchestrator.demo.portraits.vocabulary import HAIR_COLOURS

SKINS: tuple[Colour, ...] = ((255, 226, 206), (253, 214, 188), (242, 196, 162), (250, 220, 198))


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawn person: the pen that drew it, and its skin, for hands."""

    pen: Pen
    skin: Colour


def draw_person(sheet: Sheet, person: Person, at: tuple[float, float], scale: float) -> Figure:
    """Draw `person` with the head's centre `at` (pixels) and head radius `scale` (pixels)."""
    rng = sheet.rng
    hair = HairTones.of(jitter(rng, HAIR_COLOURS[person.hair]))
    skin = jitter(rng, rng.choice(SKINS), 0.008, 0.1, 0.03)
    flush = mix(skin, (200, 90, 100), 0.30)
    pen = Pen(
        sheet,
        at=at,
        scale=scale,
        width=max(1.5, scale * rng.uniform(0.02, 0.034)),
        ink=mix((40, 24, 34), hair.base, 0.12),
        tilt=rng.uniform(-0.14, 0.14),
        mirror=rng.random() < 0.5,
    )
    ribbon_places = draw_back_hair(pen, rng, person, hair)
    draw_body(pen, rng, person, skin, flush)
    draw_head(pen, rng, person, skin, flush)
    draw_face(pen, rng, person, skin, hair.shade)
    draw_front_hair(pen, rng, person, hair)
    if "hairband" in person.accessories:
        accessories.draw_hairband(pen, rng)
    if "cat_ears" in person.accessories:
        accessories.draw_cat_ears(pen, hair.base)
    if "hat" in person.accessories:
        accessories.draw_hat(pen, rng)
    if "hair_ribbon" in person.accessories:
        accessories.draw_ribbons(pen, rng, ribbon_places)
    return Figure(pen, skin)
