"""What can be drawn, and the names it goes by: Danbooru's tags and the demo board's themes.

Hair, eyes, clothes, … carry Danbooru's own names. The five characters are invented for this project and
exist nowhere else.
"""

from dataclasses import dataclass

from orchestrator.demo.portraits.shapes import Colour

HAIR_COLOURS: dict[str, Colour] = {
    "blonde_hair": (244, 208, 92),
    "black_hair": (52, 48, 60),
    "brown_hair": (134, 86, 52),
    "red_hair": (200, 48, 44),
    "blue_hair": (70, 116, 214),
    "green_hair": (78, 170, 96),
    "pink_hair": (246, 150, 186),
    "white_hair": (228, 230, 240),
    "purple_hair": (140, 84, 190),
}
EYE_COLOURS: dict[str, Colour] = {
    "blue_eyes": (46, 120, 230),
    "green_eyes": (50, 168, 80),
    "red_eyes": (214, 36, 48),
    "brown_eyes": (124, 74, 36),
    "yellow_eyes": (236, 190, 30),
    "purple_eyes": (146, 66, 206),
}
HAIRSTYLES = ("long_hair", "short_hair", "twintails", "ponytail")
TIED_HAIRSTYLES = frozenset({"twintails", "ponytail"})
CLOTHES = ("school_uniform", "necktie", "scarf")
RATINGS = ("general", "sensitive")


@dataclass(frozen=True, slots=True)
class Character:
    """An invented character: always drawn with exactly these traits."""

    name: str
    is_girl: bool
    hair: str
    eyes: str
    hairstyle: str
    clothes: str | None
    accessories: frozenset[str] = frozenset()
    eyewear: str | None = None


CHARACTERS = (
    Character(
        "hoshizora_akari",
        True,
        "pink_hair",
        "blue_eyes",
        "twintails",
        "school_uniform",
        frozenset({"hair_ribbon"}),
    ),
    Character("kurogane_ren", False, "black_hair", "red_eyes", "short_hair", "necktie", eyewear="glasses"),
    Character(
        "yukimori_mio", True, "white_hair", "purple_eyes", "long_hair", "scarf", frozenset({"cat_ears"})
    ),
    Character(
        "midorikawa_hana", True, "green_hair", "yellow_eyes", "ponytail", None, frozenset({"hairband"})
    ),
    Character(
        "aozora_sora", True, "blue_hair", "brown_eyes", "short_hair", "school_uniform", frozenset({"hat"})
    ),
)

GENERAL = (
    "1girl",
    "1boy",
    "2girls",
    "solo",
    *HAIRSTYLES,
    *HAIR_COLOURS,
    *EYE_COLOURS,
    "glasses",
    "sunglasses",
    "hat",
    "hair_ribbon",
    "hairband",
    "cat_ears",
    "smile",
    "open_mouth",
    "frown",
    "blush",
    "closed_eyes",
    *CLOTHES,
    "bare_shoulders",
    "holding",
    "cup",
    "flower",
    "cat",
    "bird",
    "white_background",
    "simple_background",
    "night_sky",
    "outdoors",
    "rain",
    "snow",
    "heart",
    "star_(symbol)",
    "monochrome",
)
LABELS = (*RATINGS, *GENERAL, *(character.name for character in CHARACTERS))
"""Every label of the `wd14` demonstration model in output order: ratings first, as WD14 has them."""


@dataclass(frozen=True, slots=True)
class Theme:
    """A theme of the demo board; `external_id` is the board's own number for the tag."""

    external_id: int
    title: str


THEMES = (
    Theme(501, "happy"),
    Theme(502, "gloomy"),
    Theme(503, "winter"),
    Theme(504, "animal companion"),
    Theme(505, "starry"),
    Theme(506, "romantic"),
    Theme(507, "bookish"),
    Theme(508, "sunny day"),
    Theme(509, "cosy"),
    Theme(510, "cool"),
    Theme(511, "minimal"),
    Theme(512, "duo"),
)
"""Every label of the `custom_theme` demonstration model in output order."""
