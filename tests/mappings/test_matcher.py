"""The matcher: how good it is on the labelled sample, what reasons it gives, and that it is quick."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_board import board, labelled

from mapping_tools.matcher import ExternalTag, Matcher
from mapping_tools.names import agreement, keys
from mapping_tools.rows import read_rows
from mapping_tools.suggesting import DEFAULT_MIN_SCORE, Suggested, as_csv
from orchestrator.records import LabelCategory, Tag, TagType


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return Matcher(*board(), [one.external for one in labelled()])


def test_precision_and_recall_on_the_labelled_sample(matcher: Matcher) -> None:
    # Given external tags of which a person said what they mean
    sample = labelled()
    assert len(sample) >= 100
    # When the best proposal of each counts from the score on that `suggest` shows
    right = wrong = 0
    for one in sample:
        for best in matcher.propose(one.external)[:1]:
            if best.score >= DEFAULT_MIN_SCORE:
                right += (best.tag.title, best.tag.type) == one.wanted
                wrong += (best.tag.title, best.tag.type) != one.wanted
    # Then 159 of 160 proposals are right, and 159 of 165 tags that have an answer get it
    precision = right / (right + wrong)
    recall = right / sum(one.wanted is not None for one in sample)
    assert precision >= 0.99
    assert recall >= 0.96


@pytest.mark.parametrize(
    ("name", "title", "reason"),
    [
        ("smile", "smile", "exact"),
        ("long_hair", "long hair", "underscores"),
        ("christmas", "Christmas", "case"),
        ("valentines_day", "Valentine's Day", "punctuation"),
        ("armor", "armour", "spelling"),
        ("sunflower", "sunflowers", "plural"),
        ("bowtie", "bow tie", "written together"),
        ("closed_eyes", "eyes closed", "word order"),
        ("nekomimi", "cat ears", "alias 'nekomimi'"),
        ("orange_(fruit)", "orange", "without (fruit)"),
        ("cherry_blosoms", "cherry blossoms", "alike: 'cherry blossoms'"),
    ],
)
def test_a_proposal_says_why(matcher: Matcher, name: str, title: str, reason: str) -> None:
    (best, *_) = matcher.propose(ExternalTag(name, LabelCategory.GENERAL))
    assert best.tag.title == title
    assert reason in best.reasons
    assert best.tag.alias_of is None


@pytest.mark.parametrize(
    ("name", "title", "reason"),
    [
        ("saber_(fate)", "Saber", "its source is fate"),
        ("shimakaze_(kancolle)", "Shimakaze", "its source is kancolle"),
        ("tashkent_(azur_lane)", "Tashkent (Azur Lane)", "punctuation"),
        ("hatsune_miku", "Miku Hatsune", "word order"),
        ("souryuu_asuka_langley", "Asuka Langley Sohryu", "romanisation"),
    ],
)
def test_a_character_is_known_by_name_and_series(
    matcher: Matcher, name: str, title: str, reason: str
) -> None:
    (best, *_) = matcher.propose(ExternalTag(name, LabelCategory.CHARACTER))
    assert (best.tag.title, best.tag.type) == (title, TagType.CHARACTER)
    assert best.score >= DEFAULT_MIN_SCORE
    assert reason in best.reasons or reason == "punctuation"


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("mei_(pokemon)", LabelCategory.CHARACTER),  # the board's Mei is from elsewhere
        ("reiuji_utsuho_(bird)", LabelCategory.CHARACTER),  # a variant of another
        ("bow_(weapon)", LabelCategory.GENERAL),  # "bow" is a name of its own
        ("crowd", LabelCategory.GENERAL),  # a letter from "crown"
        ("pirate_(artist)", LabelCategory.CHARACTER),  # a theme is no character
        (":d", LabelCategory.GENERAL),
    ],
)
def test_what_only_looks_right_is_not_proposed(matcher: Matcher, name: str, category: LabelCategory) -> None:
    assert all(one.score < DEFAULT_MIN_SCORE for one in matcher.propose(ExternalTag(name, category)))


def test_two_tags_that_fit_as_well_make_both_doubtful() -> None:
    # Given a board with two spellings that are no aliases of each other
    tags = [Tag(1, None, "twin-tails", TagType.THEME), Tag(2, None, "twin tail", TagType.THEME)]
    # When a name fits both
    found = Matcher(tags, (), ()).propose(ExternalTag("twin_tails", LabelCategory.GENERAL))
    # Then both are named, and the first says that it may be the other
    assert {one.tag.id for one in found} == {1, 2}
    assert any("or 'twin" in reason for reason in found[0].reasons)
    assert found[0].score < 0.9


def test_proposals_are_a_file_that_import_reads(matcher: Matcher) -> None:
    # Given proposals for a few names
    names = [ExternalTag(name, LabelCategory.GENERAL) for name in ("hug", "armor", "piercing")]
    found = [Suggested("danbooru", one, matcher.propose(one)) for one in names]
    # When they are written, Then the importer reads one row for each that has one
    rows = read_rows(as_csv(found))
    assert [(row.external_tag, row.title, row.tag_type) for row in rows] == [
        ("hug", "hugging", TagType.THEME),
        ("armor", "armour", TagType.THEME),
    ]


_NAMES = st.text("abos_ -'()", min_size=1, max_size=10)


@given(_NAMES, _NAMES)
def test_names_that_agree_share_a_key(one: str, other: str) -> None:
    assert agreement(one, one) is not None
    if agreement(one, other) is not None:
        assert set(keys(one)) & set(keys(other))
        assert agreement(other, one) == agreement(one, other)


def test_among_forty_thousand_titles_each_is_found() -> None:
    # Given 40,000 titles and 3,000 names, a fifth of the real ones, of made-up words
    chance = random.Random(5)
    syllables = [a + b for a in "kgsztdnhbpmyrw" for b in "aiueo"]
    word = lambda: "".join(chance.choices(syllables, k=chance.randint(2, 4)))  # noqa: E731
    titles = list({f"{word()} {word()}" for _ in range(40_000)})
    tags = [Tag(number, None, title, TagType.CHARACTER) for number, title in enumerate(titles, start=1)]
    names = [ExternalTag(title.replace(" ", "_"), LabelCategory.CHARACTER) for title in titles[:1500]]
    names += [ExternalTag(f"{word()}_{word()}", LabelCategory.CHARACTER) for _ in range(1500)]
    # When all are matched
    matcher = Matcher(tags, (), names)
    found = [matcher.propose(name) for name in names]
    # Then the known ones are found
    assert all(proposals and proposals[0].score > 0.9 for proposals in found[:1500])
