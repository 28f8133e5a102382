"""What a portrait shows: scenes sampled from a seed, and the names that apply to them.

Labels come from the scene alone, never from pixels, so they are right by construction.
"""

from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from orchestrator.demo.portraits.vocabulary import (
    CHARACTERS,
    EYE_COLOURS,
    HAIR_COLOURS,
    HAIRSTYLES,
    TIED_HAIRSTYLES,
    Character,
)

Mouth = Literal["smile", "open", "laugh", "frown", "flat"]
Background = Literal["white", "simple", "pattern", "outdoors", "night", "transparent"]
Weather = Literal["rain", "snow"]
Held = Literal["cup", "flower"]
Animal = Literal["cat", "bird"]
Decoration = Literal["heart", "star_(symbol)"]


@dataclass(frozen=True, slots=True)
class Person:
    """One drawn person, by Danbooru's names."""

    is_girl: bool
    hair: str
    eyes: str
    hairstyle: str
    clothes: str | None
    accessories: frozenset[str] = frozenset()
    eyewear: str | None = None
    mouth: Mouth = "flat"
    blush: bool = False
    eyes_closed: bool = False

    @property
    def bare_shoulders(self) -> bool:
        """Whether the shoulders are drawn bare."""
        return "bare_shoulders" in self.accessories


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a portrait shows. `people` has one or two members, drawn left to right."""

    people: tuple[Person, ...]
    background: Background
    weather: Weather | None = None
    held: Held | None = None
    animal: Animal | None = None
    decorations: frozenset[Decoration] = frozenset()
    monochrome: bool = False
    character: str | None = None

    def labels(self) -> frozenset[str]:
        """Return the Danbooru tags that apply, with exactly one rating."""
        found = {"holding", self.held} if self.held else set[str]()
        found |= {name for name in (self.weather, self.animal, self.character) if name}
        found |= self.decorations
        found |= _BACKGROUND_LABELS[self.background]
        found |= self._people_count()
        if self.monochrome:
            found.add("monochrome")
        for person in self.people:
            found |= _person_labels(person, self.monochrome)
        found.add("sensitive" if "bare_shoulders" in found else "general")
        return frozenset(found)

    def themes(self) -> frozenset[str]:
        """Return the titles of the demo board's themes that apply."""
        people = self.people
        smiling = any(person.mouth in ("smile", "laugh") for person in people)
        frowning = any(person.mouth == "frown" for person in people)
        scarf = any(person.clothes == "scarf" for person in people)
        rules = {
            "happy": smiling and not frowning and self.weather != "rain",
            "gloomy": (frowning and not smiling) or self.weather == "rain",
            "winter": self.weather == "snow" or scarf,
            "animal companion": self.animal is not None,
            "starry": self.background == "night" or "star_(symbol)" in self.decorations,
            "romantic": "heart" in self.decorations or self.held == "flower",
            "bookish": any(
                p.eyewear == "glasses" and p.clothes in ("school_uniform", "necktie") for p in people
            ),
            "sunny day": self.background == "outdoors" and self.weather is None,
            "cosy": self.held == "cup" or (scarf and self.weather == "snow"),
            "cool": any(person.eyewear == "sunglasses" for person in people),
            "minimal": self._is_minimal(),
            "duo": len(people) == 2,
        }
        return frozenset(title for title, applies in rules.items() if applies)

    def _people_count(self) -> set[str]:
        girls = sum(person.is_girl for person in self.people)
        if len(self.people) == 1:
            return {"solo", "1girl" if girls else "1boy"}
        return {"2girls"} if girls == 2 else {"1girl", "1boy"}

    def _is_minimal(self) -> bool:
        plain = self.background == "white" and not (self.held or self.animal or self.decorations)
        return plain and not any(person.accessories & _HEADWEAR for person in self.people)


_HEADWEAR = frozenset({"hat", "cat_ears", "hairband", "hair_ribbon"})
_BACKGROUND_LABELS: dict[Background, set[str]] = {
    "white": {"white_background", "simple_background"},
    "simple": {"simple_background"},
    "pattern": set(),
    "outdoors": {"outdoors"},
    "night": {"night_sky"},
    "transparent": set(),
}
_MOUTH_LABELS: dict[Mouth, set[str]] = {
    "smile": {"smile"},
    "open": {"open_mouth"},
    "laugh": {"open_mouth", "smile"},
    "frown": {"frown"},
    "flat": set(),
}


def _person_labels(person: Person, monochrome: bool) -> set[str]:
    found = {person.hairstyle} | person.accessories | _MOUTH_LABELS[person.mouth]
    found |= {name for name in (person.eyewear, person.clothes) if name}
    if person.hairstyle in TIED_HAIRSTYLES:
        found.add("long_hair")
    if person.blush:
        found.add("blush")
    if person.eyes_closed:
        found.add("closed_eyes")
    if not monochrome:
        found.add(person.hair)
        if not person.eyes_closed and person.eyewear != "sunglasses":
            found.add(person.eyes)
    return found


def sample_scene(rng: Random, *, allow_duo: bool = True, transparent: bool = False) -> Scene:
    """Return a random scene. `transparent`: no background, and nothing that needs one.

    One portrait in four shows an invented character, or somebody who differs from one in a single trait.
    """
    duo = rng.random() < 0.14 and allow_duo
    character: str | None = None
    if duo:
        people = [_sample_person(rng, is_girl=True), _sample_person(rng, is_girl=rng.random() < 0.72)]
        if rng.random() < 0.5:
            people.reverse()
    elif rng.random() < 0.28:
        person, character = _sample_character(rng)
        people = [person]
    else:
        people = [_sample_person(rng, is_girl=rng.random() >= 0.27)]
    mood = rng.random()
    people = [_with_expression(rng, person, mood, may_close_eyes=character is None) for person in people]
    background, weather = _sample_surroundings(rng, transparent)
    decorations: set[Decoration] = set()
    if rng.random() < 0.13:
        decorations.add("heart")
    if rng.random() < 0.13:
        decorations.add("star_(symbol)")
    held: Held | None = rng.choice(("cup", "flower")) if rng.random() < 0.22 else None
    animal: Animal | None = rng.choice(("cat", "bird")) if rng.random() < 0.2 else None
    monochrome = character is None and not transparent and rng.random() < 0.08
    return Scene(
        tuple(people), background, weather, held, animal, frozenset(decorations), monochrome, character
    )


def _sample_person(rng: Random, is_girl: bool) -> Person:
    accessories: set[str] = set()
    draw = rng.random() * (1.0 if is_girl else 1.9)
    if draw < 0.14:
        accessories.add("hat")
    elif draw < 0.30:
        accessories.add("cat_ears")
    elif draw < 0.45:
        accessories.add("hairband")
    if is_girl and "hat" not in accessories and rng.random() < 0.2:
        accessories.add("hair_ribbon")
    clothes = rng.choice((None, "school_uniform", "necktie", "scarf", None))
    if clothes is None and is_girl and rng.random() < 0.5:
        accessories.add("bare_shoulders")
    draw = rng.random()
    return Person(
        is_girl=is_girl,
        hair=rng.choice(tuple(HAIR_COLOURS)),
        eyes=rng.choice(tuple(EYE_COLOURS)),
        hairstyle=rng.choice(HAIRSTYLES) if is_girl else "short_hair",
        clothes=clothes,
        accessories=frozenset(accessories),
        eyewear="glasses" if draw < 0.16 else "sunglasses" if draw < 0.26 else None,
    )


def _sample_character(rng: Random) -> tuple[Person, str | None]:
    character = rng.choice(CHARACTERS)
    person = _portray(character)
    if rng.random() >= 0.3:
        return person, character.name
    trait = rng.choice(("hair", "eyes", "clothes"))
    if trait == "hair":
        return replace(person, hair=rng.choice([name for name in HAIR_COLOURS if name != person.hair])), None
    if trait == "eyes":
        return replace(person, eyes=rng.choice([name for name in EYE_COLOURS if name != person.eyes])), None
    options = (None, "school_uniform", "necktie", "scarf")
    return replace(person, clothes=rng.choice([name for name in options if name != person.clothes])), None


def _portray(character: Character) -> Person:
    return Person(
        is_girl=character.is_girl,
        hair=character.hair,
        eyes=character.eyes,
        hairstyle=character.hairstyle,
        clothes=character.clothes,
        accessories=character.accessories,
        eyewear=character.eyewear,
    )


def _with_expression(rng: Random, person: Person, mood: float, may_close_eyes: bool) -> Person:
    feeling = mood if rng.random() < 0.75 else rng.random()
    mouth: Mouth = "flat"
    if feeling < 0.30:
        mouth = "smile"
    elif feeling < 0.60:
        mouth = "laugh" if rng.random() < 0.5 else "open"
    elif feeling < 0.82:
        mouth = "frown"
    closed = may_close_eyes and rng.random() < 0.13 and person.eyewear != "sunglasses"
    return replace(person, mouth=mouth, blush=rng.random() < 0.27, eyes_closed=closed)


def _sample_surroundings(rng: Random, transparent: bool) -> tuple[Background, Weather | None]:
    options: tuple[Background, ...] = ("white", "simple", "pattern", "outdoors", "night")
    background = rng.choices(options, (0.20, 0.24, 0.12, 0.26, 0.18))[0]
    if transparent:
        return "transparent", None
    weathers: tuple[Weather | None, ...] = (None, "rain", "snow")
    if background == "outdoors":
        return background, rng.choices(weathers, (0.46, 0.29, 0.25))[0]
    if background == "night":
        return background, rng.choices(weathers, (0.70, 0.16, 0.14))[0]
    return background, None
