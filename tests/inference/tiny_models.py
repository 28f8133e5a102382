"""The smallest models that can be asked: an 8 × 8 picture in, its brightness and darkness out."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from orchestrator.records import (
    Geometry,
    Label,
    LabelCategory,
    ServedModel,
    Thresholds,
    VersionState,
    Vocabulary,
)

SIZE = 8

_CONFIG = """
name: "{name}"
backend: "onnxruntime"
max_batch_size: 8
input [ {{ name: "image" data_type: TYPE_UINT8 dims: [ 8, 8, 3 ] }} ]
output [ {{ name: "scores" data_type: TYPE_FP32 dims: [ 3 ] }} ]
version_policy {{ specific {{ versions: [ 1 ] }} }}
instance_group [ {{ count: 1 kind: KIND_AUTO }} ]
dynamic_batching {{
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy {{ allow_timeout_override: true }}
}}
"""


def served(name: str, version: int, *, labels: int = 3) -> ServedModel:
    """The record of a tiny model's version."""
    return ServedModel(
        id=1,
        name=name,
        version=version,
        state=VersionState.ACTIVE,
        source="danbooru",
        vocabulary=Vocabulary.DANBOORU,
        geometry=Geometry(size=SIZE),
        labels=tuple(Label(index, f"label_{index}", LabelCategory.GENERAL) for index in range(labels)),
        thresholds=Thresholds(3_500, None, None),
        priority=1,
    )


def write_tiny(repository: Path, name: str, *, versions: Sequence[int], scale: float = 255.0) -> None:
    """Write a model whose version v answers [brightness, darkness, v / 10 · brightness / brightness].

    The third is NaN for a black picture. With a `scale` below 255 the answers are no probabilities.
    """
    for version in versions:
        folder = repository / name / str(version)
        folder.mkdir(parents=True)
        onnx.save(_graph(version, scale), folder / "model.onnx")
    (repository / name / "config.pbtxt").write_text(_CONFIG.format(name=name))


def _graph(version: int, scale: float) -> onnx.ModelProto:
    def constant(name: str, value: float) -> onnx.TensorProto:
        return helper.make_tensor(name, TensorProto.FLOAT, [], [value])

    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("ReduceMean", ["flat", "axis"], ["mean"], keepdims=1),
        helper.make_node("Div", ["mean", "scale"], ["bright"]),
        helper.make_node("Sub", ["one", "bright"], ["dark"]),
        helper.make_node("Div", ["bright", "bright"], ["certain"]),
        helper.make_node("Mul", ["certain", "tenth"], ["mark"]),
        helper.make_node("Concat", ["bright", "dark", "mark"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])],
        initializer=[
            constant("scale", scale),
            constant("one", 1.0),
            constant("tenth", version / 10),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
