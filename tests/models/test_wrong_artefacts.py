"""What is wrong with an artefact is found, each thing by its own name, and nothing is changed."""

import gzip
import pickle
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from artefacts import (
    LOGITS,
    WD14,
    Artefact,
    after,
    artefact,
    bomb,
    constant,
    endless,
    snapshot,
    weights,
)
from onnx import TensorProto, helper
from PIL import Image
from small_nets import LABELS, Contract

from orchestrator.registry.check import CheckLimits, check_file, prepare_folder
from orchestrator.registry.codes import REMEDIES
from orchestrator.registry.manifest import file_sha256

Spoil = Callable[[Artefact], object]

HEADER = "tag_id,name,category,count\n"
PATIENCE = CheckLimits(wall_seconds=8)
"""For graphs that never end. The others are done in a second, with every core busy in some more."""


@dataclass(frozen=True)
class Wrong:
    """One mistake: how it is made, and by what code and words it is found."""

    title: str
    spoil: Spoil
    code: str
    words: str
    contract: Contract = WD14
    limits: CheckLimits | None = None


def says(**parts: object) -> Spoil:
    """The manifest says something else: `part__field=value`."""

    def spoil(made: Artefact) -> None:
        def change(content: dict) -> None:
            for path, value in parts.items():
                part, _, name = path.partition("__")
                if name:
                    content[part][name] = value
                else:
                    content[part] = value

        made.say(change)

    return spoil


def holds(content: bytes) -> Spoil:
    """The model file holds other bytes."""
    return lambda made: made.with_bytes(content)


def graph(change: Callable[[onnx.ModelProto], object]) -> Spoil:
    """The graph is another."""
    return lambda made: made.with_model(change)


def shift_labels(made: Artefact) -> None:
    head, *rows = made.labels_path.read_text().splitlines()
    made.with_labels("\n".join([head, *rows[-1:], *rows[:-1]]) + "\n")


def cut_off(made: Artefact) -> None:
    made.with_bytes(made.model_path.read_bytes()[:1000])


def torch_checkpoint(made: Artefact) -> None:
    with zipfile.ZipFile(made.model_path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": [1.0]}))
    made.rehash()


def lose_data(made: Artefact) -> None:
    made.with_external_data("weights.bin", declared=False)
    (made.folder / "weights.bin").unlink()


def data_outside(made: Artefact) -> None:
    made.with_external_data("../weights.bin", declared=False)
    (made.folder / "weights.bin").rename(made.folder.parent / "weights.bin")


def data_at_root(made: Artefact) -> None:
    made.with_external_data("/etc/hostname", declared=False)


def data_by_link(made: Artefact) -> None:
    made.with_external_data("weights.bin", declared=False)
    (made.folder / "weights.bin").rename(made.folder.parent / "weights.bin")
    (made.folder / "weights.bin").symlink_to("../weights.bin")


def cut_data(made: Artefact) -> None:
    made.with_external_data("weights.bin")
    path = made.folder / "weights.bin"
    path.write_bytes(path.read_bytes()[:100])
    made.rehash()


def forget_data(made: Artefact) -> None:
    made.with_external_data("weights.bin", declared=False)


def link_labels(made: Artefact) -> None:
    outside = made.folder.parent / "labels.csv"
    made.labels_path.rename(outside)
    made.labels_path.symlink_to(outside)


def leave_out(name: str) -> Spoil:
    return lambda made: (made.folder / name).unlink()


def squash(made: Artefact) -> None:
    """The golden tensor of somebody who does not pad."""
    with Image.open(made.folder / "golden.png") as picture:
        picture.resize((32, 32), Image.Resampling.BICUBIC).save(made.folder / "golden.tensor.png")
    tensor = {"file": "golden.tensor.png", "sha256": file_sha256(made.folder / "golden.tensor.png")}
    made.say(lambda content: content["golden"][0].update(tensor=tensor))


def no_picture(made: Artefact) -> None:
    (made.folder / "golden.png").write_bytes(b"<html>not found</html>")
    digest = file_sha256(made.folder / "golden.png")
    made.say(lambda content: content["golden"][0].update(sha256=digest))


def set_opset(version: int) -> Spoil:
    return graph(lambda model: setattr(model.opset_import[0], "version", version))


def nan_weights(values: np.ndarray) -> np.ndarray:
    values[100, 2] = np.nan
    return values


def repeat_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


def give_twice(model: onnx.ModelProto) -> None:
    model.graph.node.append(model.graph.node[-1])


def own_operator(model: onnx.ModelProto) -> None:
    after("Sharpen", domain="my.company")(model)
    model.opset_import.append(helper.make_opsetid("my.company", 1))


def integers(model: onnx.ModelProto) -> None:
    after("Cast", to=TensorProto.INT64)(model)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64


def doubles(model: onnx.ModelProto) -> None:
    wanted = model.graph.input[0]
    wanted.type.tensor_type.elem_type = TensorProto.DOUBLE
    model.graph.node[0].input[0] = "single"
    model.graph.node.insert(0, helper.make_node("Cast", [wanted.name], ["single"], to=TensorProto.FLOAT))


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("size", TensorProto.FLOAT, [1]))
    after("Mul", "size")(model)


def dangling(model: onnx.ModelProto) -> None:
    after("Add", "nobody_gives_this")(model)


def noisy(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("RandomUniform", [], ["noise"], shape=[1, LABELS], high=0.1))
    after("Mul", "noise")(model)


def zero_by_zero(model: onnx.ModelProto) -> None:
    """Divides by the picture's brightness, as a normalisation would, and nothing has none."""
    model.graph.node.append(helper.make_node("ReduceMean", [model.graph.input[0].name], ["mean"], keepdims=0))
    model.graph.node.append(helper.make_node("Div", ["mean", "mean"], ["one"]))
    after("Mul", "one")(model)


def wrong_inside(model: onnx.ModelProto) -> None:
    constant(model, "rows", np.array([7, -1], np.int64))
    after("Reshape", "rows")(model)


def half_the_labels(model: onnx.ModelProto) -> None:
    for name, value in (("starts", 0), ("ends", 3), ("axes", 1)):
        constant(model, name, np.array([value], np.int64))
    after("Slice", "starts", "ends", "axes")(model)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "labels"


def nested() -> bytes:
    """A graph in a graph in a graph …, deeper than any parser may follow: model.graph.node.attribute.g.…"""

    def field(number: int, content: bytes) -> bytes:
        length, size = len(content), b""
        while length > 0x7F:
            size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content

    inner = field(2, b"name")
    for _ in range(5000):
        inner = field(1, field(5, field(6, inner)))
    return field(7, inner)


WRONG = [
    # Contracts that still give plausible numbers
    Wrong("channels", says(input__channel_order="RGB"), "golden_mismatch", "channel_order BGR"),
    Wrong("range", says(input__value_range=[0, 1]), "golden_mismatch", r"value_range \[0, 255\]"),
    Wrong(
        "normalisation",
        says(input__mean=[0, 0, 0], input__std=[1, 1, 1]),
        "golden_mismatch",
        "ImageNet's mean and std",
        LOGITS,
    ),
    Wrong("labels shifted by one", shift_labels, "golden_mismatch", "shifted by one"),
    Wrong("two sigmoids", graph(after("Sigmoid")), "double_sigmoid", "a sigmoid of a sigmoid"),
    Wrong(
        "logits called probabilities",
        says(output__activation="probabilities"),
        "logits_as_probabilities",
        "those are logits",
        LOGITS,
    ),
    Wrong(
        "probabilities called logits",
        says(output__activation="logits"),
        "probabilities_as_logits",
        "one more sigmoid",
    ),
    Wrong("squashed golden tensor", squash, "golden_tensor_mismatch", "the tensor is off by"),
    # Bytes that are no ONNX file
    Wrong("empty file", holds(b""), "model_empty", "is empty"),
    Wrong("truncated file", cut_off, "model_unreadable", "cut off or damaged"),
    Wrong("noise", holds(bytes(range(1, 200)) * 9), "model_unreadable", "cannot be read as ONNX"),
    Wrong("pickle", holds(pickle.dumps({"state_dict": [1.0]})), "model_is_pickle", "a Python pickle"),
    Wrong("torch checkpoint", torch_checkpoint, "model_is_archive", "as PyTorch saves"),
    Wrong("gzip", holds(gzip.compress(b"x" * 99)), "model_is_archive", "a gzip archive"),
    Wrong("web page", holds(b"\n<!DOCTYPE html><html>404"), "model_is_web_page", "a web page"),
    Wrong(
        "pointer",
        holds(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "model_is_pointer",
        "a Git LFS pointer",
    ),
    Wrong(
        "safetensors",
        holds((30).to_bytes(8, "little") + b'{"__metadata__":{}}' + b" " * 30),
        "model_is_other_format",
        "a safetensors file",
    ),
    Wrong("hostile nesting", holds(nested()), "model_unreadable", "cannot be read as ONNX"),
    # Files
    Wrong("changed file", lambda made: made.labels_path.write_text(HEADER), "file_changed", "sha256"),
    Wrong("no model", leave_out("original.onnx"), "file_not_there", "original.onnx is missing"),
    Wrong("no manifest", leave_out("manifest.json"), "manifest_missing", "cannot be read"),
    Wrong("unknown field", says(colour="BGR"), "manifest_invalid", "colour: Extra inputs"),
    Wrong(
        "path traversal", says(model__file="../../original.onnx"), "path_outside", "must be a relative path"
    ),
    Wrong("link outside", link_labels, "path_outside", "leads out"),
    Wrong("data missing", lose_data, "external_data_missing", "weights.bin is missing"),
    Wrong("data outside", data_outside, "path_outside", "leads out"),
    Wrong("data at an absolute path", data_at_root, "path_outside", "leads out"),
    Wrong("data behind a link", data_by_link, "path_outside", "leads out"),
    Wrong("data cut off", cut_data, "external_data_damaged", "too short"),
    Wrong("data not in the manifest", forget_data, "external_data_undeclared", "weights.bin"),
    # The graph
    Wrong("opset too new", set_opset(27), "opset_too_new", "27; 26 is the newest"),
    Wrong("opset too old", set_opset(8), "opset_too_old", "8; 9 is the oldest"),
    Wrong("IR too new", graph(lambda model: setattr(model, "ir_version", 14)), "ir_too_new", "14; 13"),
    Wrong("foreign operators", graph(own_operator), "operators_unknown", "my.company.Sharpen"),
    Wrong("output listed twice", graph(repeat_output), "outputs_duplicated", "more than once: output"),
    Wrong("tensor given twice", graph(give_twice), "outputs_duplicated", "more than once: output"),
    Wrong("dangling edge", graph(dangling), "graph_invalid", "nobody_gives_this"),
    Wrong("NaN weights", graph(weights(nan_weights)), "weights_nan", "among them weights"),
    # The graph and its manifest
    Wrong("input's name", says(input__name="pixels"), "inputs_differ", "the manifest names 'pixels'"),
    Wrong("a second input", graph(second_input), "inputs_differ", "input, size"),
    Wrong("output's name", says(output__name="scores"), "outputs_differ", "the manifest names 'scores'"),
    Wrong("picture size", says(geometry__size=64), "input_shape", r"\[N, 64, 64, 3\] is needed"),
    Wrong("layout", says(input__layout="NCHW"), "input_shape", r"\[N, 3, 32, 32\] is needed"),
    Wrong("integer output", graph(integers), "output_type", "is INT64"),
    Wrong("embedding's name", says(output__embedding="pooled"), "embedding_missing", "'pooled'"),
    Wrong("double precision", graph(doubles), "input_type", "is DOUBLE; it must be FLOAT or FLOAT16"),
    # The labels
    Wrong("label count", says(labels__count=6), "labels_count", "has 5 labels, the manifest says 6"),
    Wrong("label width", graph(half_the_labels), "labels_width", "gives 3 numbers; there are 5 labels"),
    Wrong(
        "duplicate labels",
        lambda made: made.with_labels(made.labels_path.read_text().replace("hat", "smile")),
        "labels_duplicated",
        "'smile' in the rows 2 and 3",
    ),
    Wrong(
        "no labels file",
        lambda made: made.with_labels("id,tag\n1,smile\n"),
        "labels_invalid",
        "must have the columns",
    ),
    Wrong("no picture", no_picture, "golden_unreadable", "cannot identify"),
    # What it answers
    Wrong("noise in the graph", graph(noisy), "answers_vary", "asked twice"),
    Wrong("untrained", graph(weights(np.zeros_like)), "answers_constant", "the same answer"),
    Wrong("zero by zero", graph(zero_by_zero), "answers_not_finite", "an all-black picture"),
    Wrong("wrong inside", graph(wrong_inside), "graph_fails", "does not run"),
    Wrong(
        "fixed batch",
        lambda made: None,
        "batch_fixed",
        "insists on batches of 4",
        replace(WD14, batch=4, flatten="Reshape"),
    ),
    Wrong("endless", graph(endless), "time_exceeded", "stopped after 8 seconds", limits=PATIENCE),
    Wrong("bomb", graph(bomb), "memory_exceeded", ""),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.title)
def test_a_wrong_artefact_is_refused_by_name_and_left_as_it_is(wrong: Wrong, tmp_path: Path) -> None:
    # Given a sound version in which one thing is wrong
    made = artefact(tmp_path, wrong.contract)
    wrong.spoil(made)
    before = snapshot(made.folder)
    # When it is checked and to be prepared
    report = prepare_folder(made.folder, limits=wrong.limits)
    # Then that very thing is said, with how to mend it
    assert [finding.code for finding in report.failures] == [wrong.code], report.to_json()
    (failure,) = report.failures
    assert failure.remedy == REMEDIES[wrong.code]
    assert re.search(wrong.words, failure.what), failure.what
    # And the folder is as it was
    assert snapshot(made.folder) == before


def test_an_enormous_file_is_refused_unread(tmp_path: Path) -> None:
    # Given a model file of three tebibytes, which take no room on the disk
    made = artefact(tmp_path)
    with made.model_path.open("r+b") as stream:
        stream.truncate(3 * 1024**4)
    # When it is checked, in its folder and alone, then it is refused without reading it
    for report in (prepare_folder(made.folder), check_file(made.model_path)):
        assert [finding.code for finding in report.failures] == ["model_too_large"]
        assert "3,298,534,883,328 bytes" in report.failures[0].what
