"""Two tiny models whose answers a person can predict: they see how much of each colour a picture has.

`colours` speaks Danbooru-like names (red, green, blue: the mean of that channel, 0 … 1). `shades` speaks the
board's tag ids (one label: the mean brightness). Both take and give the one wire format of all models.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIZE = 32
ALL_VERSIONS = {"colours": (1, 2), "shades": (1,)}

_CONFIG = """
name: "{name}"
backend: "onnxruntime"
max_batch_size: 16
input [{{ name: "image" data_type: TYPE_UINT8 dims: [{size}, {size}, 3] }}]
output [{{ name: "scores" data_type: TYPE_FP32 dims: [{labels}] }}]
instance_group [{{ count: 1 kind: KIND_AUTO }}]
dynamic_batching {{ priority_levels: 2 default_priority_level: 1 }}
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
"""


def _graph(name: str, weights: np.ndarray) -> onnx.ModelProto:
    """image UINT8 [N, S, S, 3] → mean RGB in 0 … 1 → times `weights` [3, L] → scores FP32 [N, L]."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "full"], ["rgb"]),
        helper.make_node("MatMul", ["rgb", "weights"], ["scores"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
        numpy_helper.from_array(np.array(255, np.float32), "full"),
        numpy_helper.from_array(weights.astype(np.float32), "weights"),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", weights.shape[1]])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _write(repository: Path, name: str, weights: np.ndarray, versions: tuple[int, ...]) -> None:
    folder = repository / name
    for version in versions:
        (folder / str(version)).mkdir(parents=True)
        (folder / str(version) / "model.onnx").write_bytes(_graph(name, weights).SerializeToString())
    config = _CONFIG.format(name=name, size=SIZE, labels=weights.shape[1])
    (folder / "config.pbtxt").write_text(config)


def write_repository(repository: Path) -> None:
    """Write both models; `colours` in two versions that answer alike."""
    _write(repository, "colours", np.eye(3), ALL_VERSIONS["colours"])
    _write(repository, "shades", np.full((3, 1), 1 / 3), ALL_VERSIONS["shades"])


def picture(red: int, green: int, blue: int, *, alpha: int | None = None, size: int = 48) -> bytes:
    """Return a PNG of one colour; its square is filled by it, so no white margin joins in."""
    if alpha is None:
        image = Image.new("RGB", (size, size), (red, green, blue))
    else:
        image = Image.new("RGBA", (size, size), (red, green, blue, alpha))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
