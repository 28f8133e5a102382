"""Names made comparable: what may differ between an external tag and a board tag of the same meaning.

A name is taken through steps, from the letter to what is left without underscores, case, punctuation, other
spellings and plurals. Two names agree at the first step that makes them equal; the later, the less certain.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

# British and American, and words that the two kinds of boards write apart or abbreviate.
_SPELLINGS = {
    "aeroplane": "airplane",
    "armour": "armor",
    "armoured": "armored",
    "blond": "blonde",
    "checked": "checkered",
    "chequered": "checkered",
    "colour": "color",
    "coloured": "colored",
    "colours": "colors",
    "doughnut": "donut",
    "doughnuts": "donuts",
    "gray": "grey",
    "grayscale": "greyscale",
    "jewellery": "jewelry",
    "moustache": "mustache",
    "multicoloured": "multicolored",
    "pyjamas": "pajamas",
    "theatre": "theater",
    "watercolour": "watercolor",
}
# Words that end in s and are no plural of what is left without it.
_NO_PLURAL = frozenset({"glasses", "shorts", "clothes", "news", "goggles", "pants", "jeans", "overalls"})
_QUALIFIER = re.compile(r"^(.+?)[ _]*\(([^()]*)\)$")
_LONG_VOWELS = ((re.compile(r"ou|oo|oh(?![aeiou])"), "o"), (re.compile(r"uu"), "u"), (re.compile(r"aa"), "a"))


class Step(IntEnum):
    """What had to be overlooked for two names to be equal; everything before it was overlooked, too."""

    EXACT = 0
    UNDERSCORES = 1
    CASE = 2
    PUNCTUATION = 3
    SPELLING = 4
    PLURAL = 5
    WRITTEN_TOGETHER = 6
    WORD_ORDER = 7
    ROMANISATION = 8


@dataclass(frozen=True, slots=True)
class Qualified:
    """`saber_(fate)` as `saber` and its qualifiers, outermost last: `("fate",)`."""

    base: str
    qualifiers: tuple[str, ...]


def unqualified(name: str) -> Qualified:
    """Take the trailing `(…)` off a name, all of them. A name that is nothing else stays as it is."""
    qualifiers: list[str] = []
    while (match := _QUALIFIER.match(name)) is not None:
        name = match[1]
        qualifiers.insert(0, match[2])
    return Qualified(name, tuple(qualifiers))


@lru_cache(maxsize=1 << 16)
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case without accents and punctuation; none of an emoticon."""
    letters = sum(character.isalnum() for character in name)
    if 2 * letters <= len(name.replace("_", "").replace(" ", "")):
        return ()
    if name.isascii():
        plain = name.casefold()
    else:
        apart = unicodedata.normalize("NFKD", name.casefold())
        plain = "".join(character for character in apart if not unicodedata.combining(character))
    plain = plain.replace("'", "").replace("’", "")
    return tuple("".join(c if c.isalnum() else " " for c in plain).split())


def singular(word: str) -> str:
    """Return a word without the s of the English plural, where it seems to be one."""
    if word in _NO_PLURAL or len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes", "oes")):
        return word[:-2]
    return word[:-1]


def stems(name: str) -> tuple[str, ...]:
    """Return the words of a name in one spelling and the singular: what fuzzy comparison goes by."""
    return tuple(singular(_SPELLINGS.get(word, word)) for word in words(name))


def _romanised(word: str) -> str:
    for pattern, short in _LONG_VOWELS:
        word = pattern.sub(short, word)
    return word


def keys(name: str) -> tuple[str, str]:
    """Return what an index finds a name by: its stems written together, and in the order of the alphabet.

    Names that agree at any step share one of the two. A name without words has only its letters.
    """
    found = [_romanised(stem) for stem in stems(name)]
    if not found:
        literal = name.replace("_", " ")
        return literal, literal
    return "".join(found), " ".join(sorted(found))


def _forms(name: str) -> Iterator[str]:
    """Yield the name at every step of `Step`, in its order; only the first two for a name without words."""
    yield name
    spaced = " ".join(name.replace("_", " ").split())
    yield spaced
    parts = words(name)
    if not parts:
        return
    yield spaced.casefold()
    yield " ".join(parts)
    yield " ".join(_SPELLINGS.get(word, word) for word in parts)
    stemmed = stems(name)
    yield " ".join(stemmed)
    yield "".join(stemmed)
    yield " ".join(sorted(stemmed))
    yield " ".join(sorted(_romanised(stem) for stem in stemmed))


def agreement(one: str, other: str) -> tuple[Step, ...] | None:
    """Return the steps that make two names equal, only those that change something; None if none does.

    Equal names take no step: the answer is `(Step.EXACT,)`.
    """
    taken: list[Step] = []
    before = (one, other)
    for step, forms in zip(Step, zip(_forms(one), _forms(other), strict=False), strict=False):
        if forms != before:
            taken.append(step)
        if forms[0] == forms[1]:
            # Putting words together, or in order, changes every name: it counts only where it was needed.
            needed = [s for s in taken if s <= Step.PLURAL or s == step]
            return tuple(needed) or (Step.EXACT,)
        before = forms
    return None
