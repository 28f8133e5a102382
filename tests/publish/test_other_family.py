"""A tagger of another family goes from a file to suggestions with a manifest and no code."""

import io
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from workshop import Workshop

from orchestrator.records import MappingAction, TagType, Vocabulary, as_score
from orchestrator.registry.initialise import Said, initialise
from orchestrator.registry.presets import Preset
from orchestrator.resources import Resources
from orchestrator.store import mappings, tags
from orchestrator.store.transaction import Transaction

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("publish")]

SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NAMES = ("sunset", "grass", "ocean", "night")


def write_original(folder: Path) -> None:
    """Write an NCHW net on ImageNet's normalisation that gives logits of its own four labels."""
    weights = np.array([[2.0, -1, -1, -1], [-1, 2, -1, -1], [-1, -1, 2, -1]], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["pixel_values"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["rgb"]),
            helper.make_node("Gemm", ["rgb", "weights", "bias"], ["logits"]),
        ],
        "another",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(NAMES)])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([0.3, 0.2, 0.1, -0.4], np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    (folder / "labels.txt").write_text("\n".join(NAMES) + "\n")


def by_hand(folder: Path, picture: Image.Image) -> np.ndarray:
    """Feed ONNX Runtime as the family's own code would: white square, bicubic, normalised, NCHW, sigmoid."""
    side = max(picture.size)
    square = Image.new("RGB", (side, side), (255, 255, 255))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    pixels = np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) / 255
    tensor = ((pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).transpose(2, 0, 1)[None]
    session = onnxruntime.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"pixel_values": tensor})
    return np.asarray(1 / (1 + np.exp(-logits[0])))


async def test_another_family_suggests_what_onnx_runtime_says_by_hand(
    workshop: Workshop, tmp_path: Path
) -> None:
    # Given a file of another family, its labels, and what an engineer knows of it
    folder = tmp_path / "another"
    folder.mkdir()
    write_original(folder)
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "golden.png")
    initialise(
        folder,
        preset=Preset.GENERIC,
        name="scenery",
        version=1,
        source="made by a test",
        licence="Apache-2.0",
        golden=[tmp_path / "golden.png"],
        said=Said(
            channel_order="RGB",
            value_range=(0.0, 1.0),
            mean=MEAN,
            std=STD,
            activation="logits",
            vocabulary=Vocabulary.DANBOORU,
            model_source="scenery",
            pad_colour=(255, 255, 255),
            filter="bicubic",
        ),
    )
    # When it is published and put in use, and its labels are mapped to the board's tags
    published = await workshop.publisher().publish(folder, activate=True)
    assert published.model.geometry.size == SIDE

    async def map_labels(tx: Transaction) -> None:
        made = await tags.upsert_many(tx, [tags.NewTag(f"the {name}", TagType.THEME) for name in NAMES])
        rows = [
            mappings.NewMapping("scenery", name, MappingAction.MAP, tag.id)
            for name, tag in zip(NAMES, made, strict=True)
        ]
        await mappings.upsert_many(tx, rows, actor_id=None)

    await workshop.store.write(map_labels)
    # Then the pipeline says of a picture what ONNX Runtime says when fed by hand
    picture = Image.merge("RGB", [Image.linear_gradient("L").rotate(angle) for angle in (0, 90, 180)])
    picture = picture.crop((0, 0, 256, 200))
    file = io.BytesIO()
    picture.save(file, "PNG")
    resources = await Resources.open(workshop.settings)
    try:
        analysed = await resources.pipeline.analyze_bytes(file.getvalue())
    finally:
        await resources.close()
    expected = dict(zip(NAMES, by_hand(folder, picture), strict=True))
    floor = workshop.settings.min_confidence_danbooru
    suggested = {one.tag.title.removeprefix("the "): one.proposal.score for one in analysed.suggestions}
    assert suggested.keys() == {name for name, score in expected.items() if score >= floor}
    assert len(suggested) >= 2
    for name, score in suggested.items():
        assert score == pytest.approx(as_score(float(expected[name])), abs=20)
