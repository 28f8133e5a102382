"""Taggers of WD14-v3's shape with random weights, written node by node: for speed and size, not for sense.

`FULL` is a ViT-B/16 at 448 pixels with 10,861 outputs (95 million parameters, 378 MB); `SMALL` has one block
of 64 features, for tests. Both take what WD14 takes (`input`, float32 NHWC BGR 0–255) and give `output`,
float32 [N, labels] with the sigmoid inside.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# As the hub names them; not imported, for this runs where the rest of the project is not installed.
MODEL_FILE, LABELS_FILE = "model.onnx", "selected_tags.csv"

SIZE, PATCH = 448, 16
LABELS = 10_861
_RATINGS, _CHARACTERS = 4, 2751


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a vision transformer."""

    width: int
    depth: int
    heads: int
    labels: int = LABELS


FULL = Shape(width=768, depth=12, heads=12)
SMALL = Shape(width=64, depth=1, heads=4)


class _Graph:
    """Nodes and weights one after the other; `rng` makes the same model from the same seed."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(seed)

    def constant(self, value: NDArray[np.generic]) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def random(self, *shape: int, scale: float) -> str:
        return self.constant(self._rng.normal(0, scale, shape).astype(np.float32))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        result = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [result], **attributes))
        return result

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        weight = self.random(inputs, outputs, scale=inputs**-0.5)
        return self.add("Add", self.add("MatMul", x, weight), self.random(outputs, scale=0.02))

    def normalised(self, x: str, width: int) -> str:
        scale, shift = self.constant(np.ones(width, np.float32)), self.constant(np.zeros(width, np.float32))
        return self.add("LayerNormalization", x, scale, shift, axis=-1)

    def reshaped(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, self.constant(np.array(shape, np.int64)))


def build(shape: Shape, *, seed: int = 0) -> onnx.ModelProto:
    """Return the model."""
    graph, width, side = _Graph(seed), shape.width, SIZE // PATCH
    x = graph.add("Mul", "input", graph.number(1 / 127.5))
    x = graph.add("Sub", x, graph.number(1))
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    kernel = graph.random(width, 3, PATCH, PATCH, scale=(3 * PATCH * PATCH) ** -0.5)
    x = graph.add("Conv", x, kernel, strides=[PATCH, PATCH], kernel_shape=[PATCH, PATCH])
    x = graph.add("Transpose", graph.reshaped(x, 0, width, side * side), perm=[0, 2, 1])
    x = graph.add("Add", x, graph.random(1, side * side, width, scale=0.02))
    for _ in range(shape.depth):
        x = graph.add("Add", x, _attention(graph, graph.normalised(x, width), shape, side * side))
        x = graph.add("Add", x, _feed_forward(graph, graph.normalised(x, width), width))
    axes = graph.constant(np.array([1], np.int64))
    pooled = graph.add("ReduceMean", graph.normalised(x, width), axes, keepdims=0)
    graph.nodes.append(helper.make_node("Sigmoid", [graph.linear(pooled, width, shape.labels)], ["output"]))
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "vit",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", SIZE, SIZE, 3])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", shape.labels])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )


def _attention(graph: _Graph, x: str, shape: Shape, tokens: int) -> str:
    width, head = shape.width, shape.width // shape.heads
    parts = []
    for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        part = graph.reshaped(graph.linear(x, width, width), 0, tokens, shape.heads, head)
        parts.append(graph.add("Transpose", part, perm=perm))
    scores = graph.add("Mul", graph.add("MatMul", parts[0], parts[1]), graph.number(head**-0.5))
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), parts[2])
    mixed = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
    return graph.linear(graph.reshaped(mixed, 0, tokens, width), width, width)


def _feed_forward(graph: _Graph, x: str, width: int) -> str:
    hidden = graph.linear(x, width, 4 * width)
    error = graph.add("Erf", graph.add("Div", hidden, graph.number(2**0.5)))
    half = graph.add("Mul", hidden, graph.number(0.5))
    active = graph.add("Mul", half, graph.add("Add", error, graph.number(1)))
    return graph.linear(active, 4 * width, width)


def write_source(folder: Path, shape: Shape, *, labels: Path | None = None, seed: int = 0) -> None:
    """Write model and labels file into `folder`, as the hub would give them.

    `labels`: a selected_tags.csv of 10,861 rows; made up unless given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(build(shape, seed=seed), folder / MODEL_FILE)
    text = made_up_labels(shape.labels) if labels is None else labels.read_text(encoding="utf-8")
    (folder / LABELS_FILE).write_text(text, encoding="utf-8")


def made_up_labels(count: int) -> str:
    """Return a labels file: ratings, then general tags, then characters, in WD14's order and columns."""
    rows = ["tag_id,name,category,count"]
    for index in range(count):
        category = 9 if index < _RATINGS else 4 if index >= count - _CHARACTERS else 0
        rows.append(f"{100_000 + index},made_up_{index},{category},{count - index}")
    return "\n".join(rows) + "\n"
