"""A first manifest comes from the preset, the graph and what is said, and never from guessing."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from artefacts import LOGITS, WD14, artefact, by_hand, endless
from onnx import TensorProto, helper, save
from PIL import Image
from typer.testing import CliRunner, Result

from orchestrator.cli.model_files import app
from orchestrator.errors import GraphPreparationError, InvalidInput, ManifestError, ModelError
from orchestrator.records import Vocabulary
from orchestrator.registry.check import check_folder, prepare_folder
from orchestrator.registry.initialise import Said, initialise
from orchestrator.registry.manifest import read_manifest_file
from orchestrator.registry.presets import Preset
from orchestrator.registry.reference import reference_letterbox


@pytest.fixture
def wd14(tmp_path: Path) -> Path:
    """A folder as one downloads it: the graph, the labels, a picture; no manifest."""
    made = artefact(tmp_path)
    (made.folder / "manifest.json").unlink()
    (made.folder / "golden.tensor.png").unlink()
    made.model_path.rename(made.folder / "model.onnx")
    return made.folder


def tagdesk_models(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in arguments], env={"COLUMNS": "200"})


def first(folder: Path, preset: Preset = Preset.WD14_V3, **more: object):
    return initialise(folder, preset=preset, name="wd14", version=2, source="a test", **more)


def test_a_known_family_needs_nothing_more(wd14: Path) -> None:
    # Given graph and labels of WD14, when a manifest is written with a golden picture
    manifest = first(wd14, golden=[wd14 / "golden.png"])
    # Then it has WD14's contract, and the graph's own size and names
    assert manifest == read_manifest_file(wd14)
    assert (manifest.input.name, manifest.output.name, manifest.geometry.size) == ("input", "output", 32)
    assert (manifest.input.layout, manifest.input.channel_order) == ("NHWC", "BGR")
    assert manifest.input.value_range == (0, 255)
    assert manifest.output.activation == "probabilities"
    assert (manifest.labels.format, manifest.labels.count) == ("wd14_csv", 5)
    assert (manifest.vocabulary, manifest.licence) == (Vocabulary.DANBOORU, "Apache-2.0")
    # And the golden picture has the scores that the graph gives by hand
    tensor = np.asarray(Image.open(wd14 / "golden/golden.tensor.png"))
    scores = list(manifest.golden[0].scores.values())
    assert np.abs(by_hand(wd14 / "model.onnx", WD14, tensor) - scores).max() < 1e-5
    # And the version passes, and can be prepared
    assert check_folder(wd14).passed
    assert prepare_folder(wd14).passed


def test_what_the_graph_shows_counts_more_than_the_preset(tmp_path: Path) -> None:
    # Given a graph that is NCHW and ends without a sigmoid, called WD14
    folder = artefact(tmp_path, replace(WD14, layout="NCHW", activation="logits")).folder
    # When a manifest is written
    manifest = first(folder, replace=True)
    # Then the layout is the graph's; that it gives logits cannot be seen, and the check finds it out
    assert manifest.input.layout == "NCHW"
    (failure,) = check_folder(folder).failures
    assert failure.code == "logits_as_probabilities"
    # When it is said, then it counts more than the preset
    assert first(folder, replace=True, said=Said(activation="logits")).output.activation == "logits"
    assert check_folder(folder).passed


def test_other_peoples_scores_are_golden_when_they_lie_beside_the_picture(wd14: Path) -> None:
    # Given scores that the family's own code gave
    (wd14 / "golden.png.json").write_text(json.dumps({"smile": 0.999}))
    # When a manifest is written
    manifest = first(wd14, golden=[wd14 / "golden.png"])
    # Then those are expected, and the check finds out that they do not come out
    assert manifest.golden[0].scores == {"smile": 0.999}
    assert [finding.code for finding in check_folder(wd14).failures] == ["golden_mismatch"]


def test_of_many_labels_the_telling_scores_are_kept(tmp_path: Path) -> None:
    # Given a graph of 300 labels
    labels = 300
    weights = np.random.default_rng(5).normal(0, 1 / 128, (3, labels)).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "many",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", labels])],
        [helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True)],
    )
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "net.onnx",
    )
    (tmp_path / "labels.txt").write_text("".join(f"label_{i}\n" for i in range(labels)))
    Image.new("RGB", (50, 40), (200, 120, 40)).save(tmp_path / "picture.png")
    # When a manifest is written
    manifest = first(tmp_path, golden=[tmp_path / "picture.png"])
    # Then the hundred highest are expected, and the others are bounded
    (golden,) = manifest.golden
    assert len(golden.scores) == 100
    assert golden.others_at_most is not None
    assert 0 <= min(golden.scores.values()) - golden.others_at_most + 1e-4 < 0.01
    assert manifest.labels.format == "text"
    assert check_folder(tmp_path).passed


def test_a_generic_model_is_never_guessed(wd14: Path) -> None:
    # Given a graph of an unknown family, when nothing is said of its channels, then that is asked for
    with pytest.raises(InvalidInput, match="say --channel-order") as unclear:
        first(wd14, Preset.GENERIC, licence="MIT")
    assert unclear.value.code == "manifest_unclear"
    with pytest.raises(InvalidInput, match="say --value-range"):
        first(wd14, Preset.GENERIC, licence="MIT", said=Said(channel_order="RGB"))
    with pytest.raises(InvalidInput, match="say --licence"):
        first(wd14, Preset.GENERIC, said=Said(channel_order="BGR", value_range=(0, 255)))
    # And nothing was written
    assert not (wd14 / "manifest.json").exists()


def test_a_manifest_that_is_there_is_not_replaced_unasked(wd14: Path) -> None:
    first(wd14)
    with pytest.raises(InvalidInput, match=r"has a manifest\.json already"):
        first(wd14)


def test_several_files_have_to_be_told_apart(wd14: Path) -> None:
    # Given two graphs, when a manifest is wanted, then both are named
    (wd14 / "other.onnx").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"model\.onnx, other\.onnx"):
        first(wd14)
    assert first(wd14, model_file="model.onnx").model.file == "model.onnx"


def test_another_models_labels_are_refused(wd14: Path) -> None:
    # Given a labels file with one line less, when a manifest is wanted, then it is refused
    path = wd14 / "selected_tags.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(ModelError, match="there are 4 labels") as refused:
        first(wd14)
    assert refused.value.code == "labels_width"


def test_a_name_that_is_none_is_refused(wd14: Path) -> None:
    with pytest.raises(ManifestError, match="name: String should match pattern"):
        initialise(wd14, preset=Preset.WD14_V2, name="My Model", version=1, source="a test")


def test_a_file_that_is_no_graph_is_refused_with_the_remedy(wd14: Path) -> None:
    (wd14 / "model.onnx").write_bytes(b"<!doctype html>")
    with pytest.raises(GraphPreparationError, match="download the file itself") as refused:
        first(wd14)
    assert refused.value.code == "model_is_web_page"


def test_a_golden_picture_that_is_none_is_refused(wd14: Path) -> None:
    (wd14 / "golden.png").write_bytes(b"GIF89a")
    with pytest.raises(InvalidInput, match="cannot be read as a picture"):
        first(wd14, golden=[wd14 / "golden.png"])


def test_a_tagger_of_another_family_needs_a_manifest_and_no_code(tmp_path: Path) -> None:
    # Given a network of 224 pixels: NCHW, RGB, ImageNet's normalisation, logits, labels of its own
    size, labels = 224, 7
    random = np.random.default_rng(11)
    kernel = random.normal(0, 0.2, (8, 3, 7, 7)).astype(np.float32)
    weights = random.normal(0, 1, (8, labels)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["pixel_values", "kernel"], ["edges"], strides=[4, 4]),
        helper.make_node("Relu", ["edges"], ["active"]),
        helper.make_node("ReduceMean", ["active"], ["pooled"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["pooled", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])],
        [
            helper.make_tensor("kernel", TensorProto.FLOAT, kernel.shape, kernel.tobytes(), raw=True),
            helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True),
        ],
    )
    folder = tmp_path / "other_family" / "1"
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    save(model, folder / "net.onnx")
    (folder / "names.txt").write_text("".join(f"thing_{i}\n" for i in range(labels)))
    picture = Image.fromarray(random.integers(0, 256, (9, 5, 3), np.uint8).repeat(40, 0).repeat(40, 1))
    picture.save(tmp_path / "picture.png")
    # When its manifest is written on the command line
    said = ["--channel-order", "RGB", "--value-range", 0, 1, "--licence", "MIT", "--source", "a test"]
    imagenet = ["--mean", 0.485, 0.456, 0.406, "--std", 0.229, 0.224, 0.225]
    written = tagdesk_models(
        "init", folder, "--preset", "generic", *said, *imagenet,
        "--pad-colour", 0, 0, 0, "--resize", "bilinear", "--golden", tmp_path / "picture.png", "--yes",
    )  # fmt: skip
    assert written.exit_code == 0, written.output
    # Then it is checked
    checked = tagdesk_models("check", folder)
    assert checked.exit_code == 0, checked.output
    # And prepared, and what is served equals ONNX Runtime fed by hand
    assert prepare_folder(folder).passed
    manifest = read_manifest_file(folder)
    assert (manifest.geometry.size, manifest.input.layout, manifest.output.activation) == (
        size,
        "NCHW",
        "logits",
    )
    square = Image.new("RGB", (360, 360))
    square.paste(picture, (80, 0))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))
    assert np.array_equal(reference_letterbox(picture, manifest.geometry.record()), pixels)
    values = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    fed = values.transpose(2, 0, 1)[None].astype(np.float32)
    original = ort.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
    expected = 1 / (1 + np.exp(-original.run(["logits"], {"pixel_values": fed})[0]))
    served = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert np.abs(served.run(["scores"], {"image": pixels[None]})[0] - expected).max() <= 1e-4


def test_the_commands_report_refuses_and_explains(tmp_path: Path) -> None:
    # Given a version whose manifest lies about the channels
    made = artefact(tmp_path, LOGITS)
    assert tagdesk_models("check", made.model_path).exit_code == 0
    made.say(lambda content: content["input"].update(channel_order="BGR"))
    # When it is checked, by folder or by the file in it
    for path in (made.folder, made.model_path, made.folder / "manifest.json"):
        result = tagdesk_models("check", path)
        # Then it ends with status 1, names the finding and how to mend it
        assert result.exit_code == 1
        assert "golden_mismatch" in result.output
        assert "channel_order RGB" in result.output
        assert "→ correct `input` or `output`" in result.output
        assert "refused: 1 failures" in result.output
    # And for programs it is JSON
    result = tagdesk_models("check", made.folder, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["passed"] is False


def test_the_limits_of_a_check_can_be_said(tmp_path: Path) -> None:
    # Given a graph that never ends, when it is checked for three seconds, then it has an end
    made = artefact(tmp_path)
    made.with_model(endless)
    result = tagdesk_models("check", made.folder, "--wall-seconds", 3, "--json")
    assert result.exit_code == 1
    assert [entry["code"] for entry in json.loads(result.output)["findings"]][-1] == "time_exceeded"


def test_a_folders_name_is_the_default_for_name_and_number(wd14: Path) -> None:
    # Given a folder …/small/1, when nothing is said of name and number, then they are the folder's
    result = tagdesk_models("init", wd14, "--preset", "wd14-v2", "--source", "a test", "--yes")
    assert result.exit_code == 0, result.output
    manifest = read_manifest_file(wd14)
    assert (manifest.name, manifest.version, manifest.family) == ("small", 1, "wd14-v2")
    assert "tagdesk models check" in result.output
    # And without a source it is not written
    refused = tagdesk_models("init", wd14, "--preset", "wd14-v2", "--force", "--yes")
    assert isinstance(refused.exception, InvalidInput)


def test_on_a_terminal_what_cannot_be_seen_is_asked_for(wd14: Path) -> None:
    # Given a person at a terminal, who knows the family
    ours, theirs = os.openpty()
    answers = ["generic", "BGR", "0 255", "n", "MIT", "my_tagger", "3", "a friend"]
    command = [sys.executable, "-c", "from orchestrator.cli.model_files import app; app()", "init", str(wd14)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as asking:
        # When the questions are answered
        os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
        output, _ = asking.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    # Then the manifest has the answers, and the rest from the graph
    assert asking.returncode == 0, output.decode()
    manifest = read_manifest_file(wd14)
    assert (manifest.name, manifest.version, manifest.source) == ("my_tagger", 3, "a friend")
    assert (manifest.input.channel_order, manifest.input.value_range) == ("BGR", (0, 255))
    assert (manifest.licence, manifest.output.activation) == ("MIT", "probabilities")
