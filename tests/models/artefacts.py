"""Sound version folders made of small nets, and ways to spoil just one thing about them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from small_nets import Contract
from versions import SmallVersion, small_version

from orchestrator.registry.manifest import MANIFEST_NAME, file_sha256, parse_manifest
from orchestrator.registry.reference import reference_letterbox

WD14 = Contract()
LOGITS = replace(
    WD14,
    layout="NCHW",
    channel_order="RGB",
    value_range=(0.0, 1.0),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    activation="logits",
    inner_names=("flat", "product"),
)


@dataclass(frozen=True)
class Artefact:
    """A sound version folder, to be spoiled."""

    folder: Path
    contract: Contract

    @property
    def model_path(self) -> Path:
        return self.folder / "original.onnx"

    @property
    def labels_path(self) -> Path:
        return self.folder / "selected_tags.csv"

    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / MANIFEST_NAME).read_text())
        return content

    def say(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change what the manifest says."""
        content = self.manifest()
        change(content)
        (self.folder / MANIFEST_NAME).write_text(json.dumps(content, indent=2))

    def rehash(self) -> None:
        """Let the manifest vouch for the files as they are now: nothing but the fault itself is wrong."""

        def hashes(content: dict[str, Any]) -> None:
            for part in (content["model"], content["labels"], *content["model_data"]):
                if (self.folder / part["file"]).is_file():
                    part["sha256"] = file_sha256(self.folder / part["file"])

        self.say(hashes)

    def with_bytes(self, content: bytes) -> None:
        """Put other bytes into the model file."""
        self.model_path.write_bytes(content)
        self.rehash()

    def with_model(self, change: Callable[[onnx.ModelProto], object]) -> None:
        """Change the graph."""
        model = onnx.load(self.model_path)
        change(model)
        self.with_bytes(model.SerializeToString())

    def with_labels(self, text: str) -> None:
        """Put other lines into the labels file."""
        self.labels_path.write_text(text)
        self.rehash()

    def with_external_data(self, location: str, *, declared: bool = True) -> None:
        """Move the weights into a file of their own beside the graph, and say that they are at `location`."""
        model = onnx.load(self.model_path)
        onnx.save_model(
            model, self.model_path, save_as_external_data=True, location="weights.bin", size_threshold=0
        )
        model = onnx.load(self.model_path, load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        self.model_path.write_bytes(model.SerializeToString())
        if declared:
            self.say(lambda content: content.update(model_data=[{"file": "weights.bin", "sha256": "0" * 64}]))
        self.rehash()


def artefact(root: Path, contract: Contract = WD14) -> Artefact:
    """Write a version that passes every check, unprepared, with one colourful golden picture."""
    version: SmallVersion = small_version(root, contract)
    folder = version.folder
    colours = np.random.default_rng(3).integers(0, 256, (6, 4, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    picture = Image.fromarray(colours)
    picture.save(folder / "golden.png")
    Image.fromarray(reference_letterbox(picture, version.manifest.geometry.record())).save(
        folder / "golden.tensor.png"
    )
    made = Artefact(folder, contract)
    names = [row.split(",")[1] for row in made.labels_path.read_text().splitlines()[1:]]
    scores = by_hand(made.model_path, contract, np.asarray(Image.open(folder / "golden.tensor.png")))

    def finish(content: dict[str, Any]) -> None:
        content["served"] = None
        (golden,) = content["golden"]
        golden["sha256"] = file_sha256(folder / "golden.png")
        golden["tensor"]["sha256"] = file_sha256(folder / "golden.tensor.png")
        golden["scores"] = dict(zip(names, map(float, scores), strict=True))

    made.say(finish)
    parse_manifest((folder / MANIFEST_NAME).read_text())
    return made


def by_hand(model: Path, contract: Contract, tensor: np.ndarray) -> np.ndarray:
    """ONNX Runtime fed by hand: UINT8 RGB HWC [S, S, 3] → probabilities [L]."""
    low, high = contract.value_range
    values = low + tensor.astype(np.float64) * (high - low) / 255
    if contract.channel_order == "BGR":
        values = values[..., ::-1]
    values = (values - np.array(contract.mean)) / np.array(contract.std)
    if contract.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    rows = contract.batch if isinstance(contract.batch, int) else 1
    batch = np.repeat(values[None], rows, axis=0).astype(np.float32)
    (answer,) = session.run([contract.output_name], {contract.input_name: batch})
    return answer[0] if contract.activation == "probabilities" else 1 / (1 + np.exp(-answer[0]))


def snapshot(folder: Path) -> dict[str, bytes]:
    """Everything in a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def endless(model: onnx.ModelProto) -> None:
    """Put a loop of 2⁶³ rounds before the answer."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Sigmoid", ["carried"], ["carried_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried_on", TensorProto.FLOAT, None),
        ],
    )
    _before_answer(model, "Loop", ["rounds", "", "spoiled"], body=body)
    model.graph.initializer.append(numpy_helper.from_array(np.array(2**63 - 1, np.int64), "rounds"))


def bomb(model: onnx.ModelProto) -> None:
    """Add 2⁴⁰ zeros to the answer: a few bytes of graph, four terabytes of memory."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**20, 2**20], np.int64), "huge"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["huge"], ["zeros"]))
    model.graph.node.append(helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0))
    _before_answer(model, "Add", ["spoiled", "sum"])


def _before_answer(model: onnx.ModelProto, operator: str, inputs: list[str], **attributes: object) -> None:
    """Let `operator` give the graph's output, from what gave it so far, now called `spoiled`."""
    output = model.graph.output[0].name
    for node in model.graph.node:
        for i, name in enumerate(node.output):
            if name == output:
                node.output[i] = "spoiled"
    model.graph.node.append(helper.make_node(operator, inputs, [output], **attributes))


def after(operator: str, *more: str, **attributes: object) -> Callable[[onnx.ModelProto], None]:
    """Return the change that puts an operator behind the answer."""
    return lambda model: _before_answer(model, operator, ["spoiled", *more], **attributes)


def constant(model: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    """Give a graph a constant."""
    model.graph.initializer.append(numpy_helper.from_array(values, name))


def weights(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[onnx.ModelProto], None]:
    """Return the change of a small net's weights."""

    def spoil(model: onnx.ModelProto) -> None:
        (found,) = [tensor for tensor in model.graph.initializer if tensor.name == "weights"]
        found.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(found).copy()), "weights"))

    return spoil
