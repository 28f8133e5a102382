"""Texts that look alike."""

from hypothesis import given
from hypothesis import strategies as st

from mapping_tools.trigrams import TrigramIndex

TITLES = ("long hair", "very long hair", "short hair", "blue eyes")


def test_the_likest_come_first() -> None:
    # Given a few titles
    index = TrigramIndex(TITLES)
    # When the nearest of a misspelt one are asked for
    found = index.nearest("long hiar", limit=2, at_least=0.2)
    # Then they come by likeness, at most as many as asked for
    assert [TITLES[position] for position, _ in found] == ["long hair", "very long hair"]
    assert found[0][1] > found[1][1]


def test_nothing_is_near_in_an_empty_index_or_to_strange_letters() -> None:
    assert TrigramIndex(()).nearest("hair", limit=3, at_least=0.1) == []
    assert TrigramIndex(TITLES).nearest("猫", limit=3, at_least=0.1) == []


@given(st.lists(st.text(max_size=8), max_size=8), st.text(max_size=8))
def test_a_text_is_as_like_as_the_sets_of_trigrams_say(texts: list[str], asked: str) -> None:
    def grams(text: str) -> set[str]:
        padded = f"  {text.replace(chr(10), ' ')} "
        return {padded[i : i + 3] for i in range(len(padded) - 2)}

    # Given any texts, When one is compared with all, Then likeness is Dice's over the plain sets
    found = dict(TrigramIndex(texts).nearest(asked, limit=len(texts) + 1, at_least=0.01))
    for position, text in enumerate(texts):
        shared = 2 * len(grams(text) & grams(asked)) / (len(grams(text)) + len(grams(asked)))
        assert abs(found.get(position, 0.0) - shared) < 1e-9
