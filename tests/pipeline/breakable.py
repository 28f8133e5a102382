"""Models that answer well until a picture makes them break, each in its own way.

All see the mean of a picture's channels, as `colours` does, and are sound on the grey picture of a probe.
"""

from enum import StrEnum
from pathlib import Path

import numpy as np
import onnx
from colours import SIZE
from onnx import TensorProto, helper, numpy_helper

RED_LIMIT = 0.9

SLOW_STEPS = 2_400_000
"""Most of a second's work of one core."""

ENDLESS_STEPS = 20 * SLOW_STEPS
"""Far longer than anybody waits; yet what is left of a hung backend gives its core back in the end."""

_CONFIG = """
name: "{name}"
backend: "onnxruntime"
max_batch_size: 8
input [{{ name: "image" data_type: TYPE_UINT8 dims: [{size}, {size}, 3] }}]
output [{{ name: "scores" data_type: TYPE_FP32 dims: [{labels}] }}]
instance_group [{{ count: 1 kind: KIND_AUTO }}]
dynamic_batching {{ priority_levels: 2 default_priority_level: 1 }}
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
"""


class Breakage(StrEnum):
    """What a model does with a picture that is too red."""

    NOT_FINITE = "not_finite"
    NOT_PROBABILITIES = "not_probabilities"
    MISSHAPEN = "misshapen"
    ENDLESS = "endless"
    SLOW = "slow"


def write_breakable(
    repository: Path,
    name: str,
    breakage: Breakage,
    versions: tuple[int, ...] = (1,),
    limit: float = RED_LIMIT,
) -> None:
    """Write, or write anew, a model of three labels (red, green, blue: the mean of that channel).

    It breaks where a picture's mean red is above `limit`; that of a probe is 0.5.
    """
    model = _graph(name, breakage, limit)
    # A server that works out the shape of an output wants the configuration to say the same.
    known = breakage in {Breakage.NOT_FINITE, Breakage.NOT_PROBABILITIES}
    labels = 3 if known else -1
    for version in versions:
        folder = repository / name / str(version)
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(model, folder / "model.onnx")
    (repository / name / "config.pbtxt").write_text(_CONFIG.format(name=name, size=SIZE, labels=labels))


def _graph(name: str, breakage: Breakage, limit: float) -> onnx.ModelProto:
    """image UINT8 [N, S, S, 3] → mean RGB in 0 … 1; `broken` is a scalar: one picture is too red."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "full"], ["rgb"]),
        helper.make_node("Gather", ["rgb", "zero"], ["reds"], axis=1),
        helper.make_node("ReduceMax", ["reds"], ["reddest"], keepdims=0),
        helper.make_node("Greater", ["reddest", "limit"], ["broken"]),
    ]
    constants = {
        "axes": np.array([1, 2], np.int64),
        "full": np.array(255, np.float32),
        "zero": np.array(0, np.int64),
        "limit": np.array(limit, np.float32),
    }
    match breakage:
        case Breakage.NOT_FINITE | Breakage.NOT_PROBABILITIES:
            wrong = np.nan if breakage is Breakage.NOT_FINITE else 2.0
            constants |= {"wrong": np.array(wrong, np.float32)}
            nodes += [helper.make_node("Where", ["broken", "wrong", "rgb"], ["scores"])]
        case Breakage.MISSHAPEN:
            constants |= {"two": np.array([2], np.int64), "three": np.array([3], np.int64)}
            constants |= {"start": np.array([0], np.int64), "axis": np.array([1], np.int64)}
            nodes += [
                helper.make_node("Where", ["broken", "two", "three"], ["end"]),
                helper.make_node("Slice", ["rgb", "start", "end", "axis"], ["scores"]),
            ]
        case Breakage.ENDLESS | Breakage.SLOW:
            steps = ENDLESS_STEPS if breakage is Breakage.ENDLESS else SLOW_STEPS
            constants |= {"many": np.array(steps, np.int64), "one": np.array(1, np.int64)}
            constants |= {"go": np.array(True)}
            nodes += [
                helper.make_node("Where", ["broken", "many", "one"], ["steps"]),
                helper.make_node("Loop", ["steps", "go", "rgb"], ["scores"], body=_step()),
            ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", "labels"])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _step() -> onnx.GraphProto:
    """A loop's body that changes nothing, at a price."""

    def scalar(name: str, kind: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [])

    def scores(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", "labels"])

    return helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["going_on"]),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "step",
        [scalar("step", TensorProto.INT64), scalar("go_on", TensorProto.BOOL), scores("before")],
        [scalar("going_on", TensorProto.BOOL), scores("after")],
    )
