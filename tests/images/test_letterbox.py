"""The preparation contract: composite on white, upright, pad to a square, bicubic. DESIGN 3b."""

from io import BytesIO

import numpy as np
import pytest
from picture_samples import Sample, drawing, encoded, exact_samples, photograph, reduced_samples
from PIL import Image, ImageOps

from orchestrator.images.letterbox import BAND, letterbox
from orchestrator.images.prepare import prepare
from orchestrator.records import Geometry, Uint8Tensor

MODEL = Geometry()


def reference(data: bytes, geometry: Geometry = MODEL) -> Uint8Tensor:
    """The contract in its plainest form, at full size, whatever it costs."""
    with Image.open(BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
    rgba = np.asarray(upright.convert("RGBA"), np.float64)
    opacity = rgba[..., 3:] / 255
    on_white = Image.fromarray(np.rint(rgba[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8))
    side = max(on_white.size)
    square = Image.new("RGB", (side, side), geometry.pad_colour)
    square.paste(on_white, ((side - on_white.width) // 2, (side - on_white.height) // 2))
    filter_ = Image.Resampling[geometry.filter.upper()]
    return np.asarray(square.resize((geometry.size, geometry.size), filter_))


def difference(ours: Uint8Tensor, theirs: Uint8Tensor) -> np.ndarray:
    return np.abs(ours.astype(np.int16) - theirs.astype(np.int16))


def is_rounded_like(ours: Uint8Tensor, theirs: Uint8Tensor) -> bool:
    """Whether they differ by no more than how two libraries round (ADR 25)."""
    gap = difference(ours, theirs)
    return bool(gap.max() <= 2 and (gap > 1).mean() <= 1e-4 and (gap > 0).mean() <= 0.02)


@pytest.mark.parametrize("sample", exact_samples(), ids=repr)
def test_a_picture_is_prepared_as_the_contract_says(sample: Sample) -> None:
    data = sample.make()

    prepared = prepare(data, [MODEL])

    tensor = prepared.tensors[MODEL]
    assert (tensor.shape, tensor.dtype) == ((448, 448, 3), np.uint8)
    assert is_rounded_like(tensor, reference(data))


@pytest.mark.parametrize("sample", reduced_samples(), ids=repr)
def test_a_big_jpeg_is_decoded_at_a_fraction_and_stays_close(sample: Sample) -> None:
    data = sample.make()

    prepared = prepare(data, [MODEL])

    gap = difference(prepared.tensors[MODEL], reference(data))
    assert gap.max() <= 48
    assert np.quantile(gap, 0.999) <= 16
    assert gap.mean() <= 0.5


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(exact_samples()) + len(reduced_samples()) >= 60


@pytest.mark.parametrize("filter_", ["bilinear", "bicubic", "lanczos", "nearest"])
@pytest.mark.parametrize("size", [(640, 271), (90, 301), (320, 320), (1500, 40)])
@pytest.mark.parametrize("target", [224, 320])
def test_other_families_geometries_are_exact_too(filter_, size, target) -> None:
    geometry = Geometry(size=target, pad_colour=(0, 90, 200), filter=filter_)
    data = encoded(drawing(*size), "PNG", compress_level=1)

    tensor = prepare(data, [geometry]).tensors[geometry]

    assert difference(tensor, reference(data, geometry)).max() <= 1


def test_a_picture_of_many_bands_is_one_picture() -> None:
    # Given one that is taken along its first axis in bands, and whose margin lies on the other
    image = drawing(300, 2 * BAND + 451)

    tensor = letterbox(image, MODEL)

    assert difference(tensor, reference(encoded(image, "PNG", compress_level=1))).max() <= 1


def test_one_decoding_serves_every_geometry() -> None:
    # Given two models of different input sizes and a JPEG large enough to be decoded at a fraction
    small, large = Geometry(size=224), Geometry(size=448)
    data = encoded(photograph(2000, 1500), "JPEG", quality=92)

    prepared = prepare(data, [small, large])

    # Then the fraction leaves enough for the larger one, and both are there
    assert set(prepared.tensors) == {small, large}
    assert difference(prepared.tensors[large], reference(data, large)).mean() <= 0.5
    assert difference(prepared.tensors[small], reference(data, small)).mean() <= 0.5


def test_the_order_matters_and_ours_is_the_contracts() -> None:
    """Shrinking first and pasting at rounded offsets is the obvious mistake: it must not pass."""
    image = drawing(1001, 333)
    shrunk = image.resize((448, round(333 * 448 / 1001)), Image.Resampling.BICUBIC)
    wrong = Image.new("RGB", (448, 448), (255, 255, 255))
    wrong.paste(shrunk, (0, (448 - shrunk.height) // 2))
    right = reference(encoded(image, "PNG"))

    assert difference(np.asarray(wrong), right).max() > 48
    assert difference(letterbox(image, MODEL), right).max() <= 1


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    # Given a 16-bit picture whose values all lie above 255
    deep = np.linspace(256, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    data = encoded(Image.fromarray(deep), "PNG")

    tensor = prepare(data, [MODEL]).tensors[MODEL]

    eight = Image.fromarray((deep >> 8).astype(np.uint8)).convert("RGB")
    assert difference(tensor, reference(encoded(eight, "PNG"))).max() <= 1


def test_sixteen_bit_grey_may_have_a_transparent_value() -> None:
    deep = np.full((64, 64), 4096, np.uint16)
    deep[:32] = 1000
    data = encoded(Image.fromarray(deep), "PNG", transparency=1000)

    prepared = prepare(data, [Geometry(size=64)])

    assert prepared.has_alpha
    assert (prepared.tensors[Geometry(size=64)][0] == 255).all()
    assert (prepared.tensors[Geometry(size=64)][-1] == 16).all()
