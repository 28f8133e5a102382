"""A tagger that computes next to nothing, in WD14-v3's contract: what is left is everything else's cost.

It looks at one pixel, sees `SEEN` of its 10,861 labels in every picture, and is sure of most of them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.wd14_shape import LABELS, LABELS_FILE, MODEL_FILE, SIZE, made_up_labels

SEEN = 24
_FIRST = 10
"""The first label that it sees; the ratings come before."""
_NEVER = -12.0
_PIXEL_WEIGHT = 1e-4


def write_source(folder: Path) -> None:
    """Write model and labels file into `folder`, as the hub would give them."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_model(), folder / MODEL_FILE)
    (folder / LABELS_FILE).write_text(made_up_labels(LABELS), encoding="utf-8")


def seen_names() -> list[str]:
    """Return the external tags that it sees in every picture, the surest last."""
    rows = made_up_labels(LABELS).splitlines()[1 + _FIRST : 1 + _FIRST + SEEN]
    return [row.split(",")[1] for row in rows]


def _model() -> onnx.ModelProto:
    bias = np.full(LABELS, _NEVER, np.float32)
    scores = np.linspace(0.08, 0.96, SEEN)
    bias[_FIRST : _FIRST + SEEN] = np.log(scores / (1 - scores))
    weights = np.zeros((3, LABELS), np.float32)
    weights[:, _FIRST : _FIRST + SEEN] = _PIXEL_WEIGHT
    constants: dict[str, NDArray[Any]] = {
        "start": np.array([0, 0], np.int64),
        "end": np.array([1, 1], np.int64),
        "axes": np.array([1, 2], np.int64),
        "shape": np.array([0, 3], np.int64),
        "weights": weights,
        "bias": bias,
    }
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["input", "start", "end", "axes"], ["pixel"]),
            helper.make_node("Reshape", ["pixel", "shape"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["output"]),
        ],
        "null",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", LABELS])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
