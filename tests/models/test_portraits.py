"""Drawn portraits: the same from the same seed, named by what they show."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from orchestrator.demo.portraits import HELD_OUT_STYLES, TRAINING_STYLES, draw_portrait
from orchestrator.demo.portraits.files import write_portraits
from orchestrator.demo.portraits.scene import Person, Scene, sample_scene
from orchestrator.demo.portraits.vocabulary import LABELS, RATINGS, THEMES

PERSON = Person(is_girl=True, hair="blonde_hair", eyes="blue_eyes", hairstyle="twintails", clothes=None)


def scenes(count: int = 2000) -> list[Scene]:
    return [sample_scene(Random(seed)) for seed in range(count)]


def test_the_same_seed_draws_the_same_picture() -> None:
    # Given a seed, when it is drawn twice
    first, second = draw_portrait(5), draw_portrait(5)
    # Then pixels and labels agree, and another seed's do not
    assert first.image.tobytes() == second.image.tobytes()
    assert (first.labels, first.themes, first.style) == (second.labels, second.themes, second.style)
    assert draw_portrait(6).image.tobytes() != first.image.tobytes()


@pytest.mark.parametrize("aspect", [1 / 3, 0.7, 1.0, 3.0])
def test_a_chosen_aspect_is_kept(aspect: float) -> None:
    # Given an aspect from 1:3 to 3:1, when a portrait is drawn
    image = draw_portrait(11, aspect=aspect, longer_side=480).image
    # Then the picture has it, to the pixel
    assert max(image.size) == 480
    assert image.width / image.height == pytest.approx(aspect, rel=0.005)


@pytest.mark.parametrize("aspect", [0.2, 3.5])
def test_an_aspect_beyond_the_range_is_refused(aspect: float) -> None:
    # Given a stranger aspect, when a portrait is asked for, then it is refused
    with pytest.raises(ValueError, match="not within 1:3"):
        draw_portrait(11, aspect=aspect)


def test_a_transparent_portrait_has_clear_corners_and_an_opaque_middle() -> None:
    # Given a transparent portrait
    portrait = draw_portrait(3, transparent=True)
    # Then nothing is behind the person, and the person is there
    assert portrait.image.mode == "RGBA"
    alpha = np.asarray(portrait.image)[..., 3]
    assert alpha[0].max() == 0
    assert alpha.max() == 255
    # And no label speaks of a background
    assert not portrait.labels & {"white_background", "simple_background", "outdoors", "night_sky"}


def test_a_style_changes_the_hand_and_not_the_scene() -> None:
    # Given one seed in every style
    portraits = [draw_portrait(21, style=style) for style in (*TRAINING_STYLES, *HELD_OUT_STYLES)]
    # Then the labels are one set and the pictures all differ
    assert len({portrait.labels for portrait in portraits}) == 1
    assert len({portrait.image.tobytes() for portrait in portraits}) == len(portraits)


def test_held_out_styles_are_never_drawn_unasked() -> None:
    # Given many seeds, when styles are sampled, then all are training styles
    drawn = {draw_portrait(seed, longer_side=60).style for seed in range(60)}
    assert drawn == {style.name for style in TRAINING_STYLES}
    assert not drawn & {style.name for style in HELD_OUT_STYLES}


def test_every_label_and_theme_occurs_and_none_is_unknown() -> None:
    # Given two thousand scenes, when their names are collected
    labels = frozenset[str]().union(*(scene.labels() for scene in scenes()))
    themes = frozenset[str]().union(*(scene.themes() for scene in scenes()))
    # Then they are exactly the two vocabularies
    assert labels == set(LABELS)
    assert themes == {theme.title for theme in THEMES}


def test_every_scene_has_exactly_one_rating() -> None:
    # Given two thousand scenes, then each has one rating
    assert {len(scene.labels() & set(RATINGS)) for scene in scenes()} == {1}


def test_labels_name_what_the_scene_holds() -> None:
    # Given a scene
    scene = Scene((PERSON,), "night", held="cup", decorations=frozenset({"heart"}))
    # Then its labels and themes follow from it
    assert scene.labels() == {
        "general",
        "1girl",
        "solo",
        "blonde_hair",
        "blue_eyes",
        "twintails",
        "long_hair",
        "night_sky",
        "holding",
        "cup",
        "heart",
    }
    assert scene.themes() == {"starry", "romantic", "cosy"}


def test_what_cannot_be_seen_is_not_named() -> None:
    # Given closed eyes, and a picture without colour
    closed = Person(True, "blonde_hair", "blue_eyes", "long_hair", None, eyes_closed=True)
    # Then neither eye nor hair colour is named
    assert "blue_eyes" not in Scene((closed,), "white").labels()
    grey = Scene((PERSON,), "white", monochrome=True).labels()
    assert not grey & {"blonde_hair", "blue_eyes"}
    assert "monochrome" in grey


def test_files_are_the_formats_of_a_board_and_the_same_each_time(tmp_path: Path) -> None:
    # Given a folder, when ten portraits are written twice
    first = write_portraits(tmp_path / "a", 10)
    second = write_portraits(tmp_path / "b", 10)
    # Then all formats are there, as their media types say, and the bytes agree
    assert {file.media_type for file in first} == {"image/jpeg", "image/png", "image/webp"}
    for one, other in zip(first, second, strict=True):
        assert one.path.read_bytes() == other.path.read_bytes()
        assert (one.labels, one.themes) == (other.labels, other.themes)
        with Image.open(one.path) as image:
            assert image.get_format_mimetype() == one.media_type
            assert ("A" in image.getbands()) is one.has_alpha
