"""What the models see and say is what the contract's plain reference makes them see and say.

The reference composites, pads and resizes at full size, whatever it costs (registry/reference.py); ours
takes every shortcut there is. Pixels may differ within the stated tolerances, scores by 0.02.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageOps
from varied_pictures import Varied, varied_pictures

from orchestrator.images.prepare import prepare
from orchestrator.records import Geometry, Uint8Tensor
from orchestrator.registry.manifest import read_manifest
from orchestrator.registry.reference import reference_letterbox

pytestmark = pytest.mark.xdist_group("parity")  # what they share is set up once

REPOSITORY = Path(__file__).parents[2] / "model_repository"
MODELS = ("wd14", "custom_theme")
BATCH = 16
SCORE_TOLERANCE = 0.02


@dataclass(frozen=True)
class Pair:
    """One picture prepared for every geometry, by us and by the reference."""

    picture: Varied
    ours: dict[Geometry, Uint8Tensor]
    reference: dict[Geometry, Uint8Tensor]

    def gap(self, geometry: Geometry) -> np.ndarray:
        """Return how far apart every value is, 0–255."""
        return np.abs(self.ours[geometry].astype(np.int16) - self.reference[geometry])


def geometry_of(model: str) -> Geometry:
    return read_manifest(REPOSITORY / model / "1").geometry.record()


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Every picture, prepared both ways."""
    geometries = {Geometry(), *(geometry_of(model) for model in MODELS)}
    return [_pair(picture, geometries) for picture in varied_pictures()]


def _pair(picture: Varied, geometries: set[Geometry]) -> Pair:
    data = picture.make()
    with Image.open(BytesIO(data)) as opened:
        upright = ImageOps.exif_transpose(opened)
    return Pair(
        picture,
        dict(prepare(data, geometries).tensors),
        {geometry: reference_letterbox(upright, geometry) for geometry in geometries},
    )


def test_the_pictures_are_many_and_of_both_kinds(pairs: list[Pair]) -> None:
    assert len(pairs) >= 200
    assert len({pair.picture.name for pair in pairs}) == len(pairs)
    assert sum(not pair.picture.exact for pair in pairs) >= 20


def test_what_is_decoded_at_full_size_is_exact(pairs: list[Pair]) -> None:
    # Given every picture that is decoded at full size
    exact = [pair for pair in pairs if pair.picture.exact]
    # Then no value of any geometry is off by more than one
    off = {
        (pair.picture.name, geometry.size): int(pair.gap(geometry).max())
        for pair in exact
        for geometry in pair.ours
        if pair.gap(geometry).max() > 1
    }
    assert off == {}


def test_what_is_decoded_at_a_fraction_stays_close(pairs: list[Pair]) -> None:
    # Given the big JPEGs
    reduced = [pair for pair in pairs if not pair.picture.exact]
    # Then each is within the tolerances of the shortcut, and at least one shows that it was taken
    figures = {
        (pair.picture.name, geometry.size): (gap.max(), np.quantile(gap, 0.999), gap.mean())
        for pair in reduced
        for geometry in pair.ours
        for gap in [pair.gap(geometry)]
    }
    off = {name: found for name, found in figures.items() if found[0] > 48 or found[1] > 16 or found[2] > 0.5}
    assert off == {}
    assert any(worst > 1 for worst, _, _ in figures.values())


@pytest.mark.parametrize("model", MODELS)
def test_scores_are_those_of_the_reference(model: str, pairs: list[Pair]) -> None:
    # Given a served model
    session = onnxruntime.InferenceSession(
        REPOSITORY / model / "1" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    geometry = geometry_of(model)
    # When it is asked about every picture, prepared both ways
    ours = _scores(session, [pair.ours[geometry] for pair in pairs])
    theirs = _scores(session, [pair.reference[geometry] for pair in pairs])
    # Then no score of any label differs by more than the tolerance
    worst = np.abs(ours - theirs).max(axis=1)
    off = {
        pair.picture.name: float(gap) for pair, gap in zip(pairs, worst, strict=True) if gap > SCORE_TOLERANCE
    }
    assert off == {}
    # And the model was really asked: its scores vary from picture to picture
    assert ours.std(axis=0).max() > 0.05


def test_a_wrong_preparation_would_be_noticed(pairs: list[Pair]) -> None:
    # Given the usual mistake: shrinking first, then padding
    portrait = next(pair.picture for pair in pairs if pair.picture.name == "portrait-0")
    with Image.open(BytesIO(portrait.make())) as opened:
        whole = opened.convert("RGB").crop((0, 0, opened.width, opened.height * 2 // 3))
    geometry = Geometry()
    small = ImageOps.pad(whole, (geometry.size, geometry.size), Image.Resampling.BILINEAR, color="white")
    # Then it is further from the reference than anything that is allowed
    gap = np.abs(np.asarray(small, np.int16) - reference_letterbox(whole, geometry))
    assert gap.max() > 48


def _scores(session: onnxruntime.InferenceSession, tensors: list[Uint8Tensor]) -> np.ndarray:
    parts = [
        session.run(["scores"], {"image": np.stack(tensors[at : at + BATCH])})[0]
        for at in range(0, len(tensors), BATCH)
    ]
    return np.concatenate(parts)
