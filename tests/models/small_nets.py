"""Small ONNX nets of every contract: each answer depends on every pixel's place and channel."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from orchestrator.registry.graph import affine
from orchestrator.registry.manifest import InputSpec, OutputSpec

SIDE = 32
LABELS = 5


@dataclass(frozen=True, slots=True)
class Contract:
    """A family's contract, and how its export is made."""

    layout: str = "NHWC"
    channel_order: str = "BGR"
    value_range: tuple[float, float] = (0.0, 255.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    activation: str = "probabilities"
    element: int = TensorProto.FLOAT
    batch: str | int = "batch"
    flatten: str = "Flatten"
    input_name: str = "input"
    output_name: str = "output"
    inner_names: tuple[str, str] = ("flat", "logits")
    opset: int = 17

    @property
    def input_spec(self) -> InputSpec:
        """What a manifest says of the input."""
        return InputSpec.model_validate(
            {
                "name": self.input_name,
                "layout": self.layout,
                "channel_order": self.channel_order,
                "value_range": self.value_range,
                "mean": self.mean,
                "std": self.std,
            }
        )

    @property
    def output_spec(self) -> OutputSpec:
        """What a manifest says of the output."""
        return OutputSpec.model_validate({"name": self.output_name, "activation": self.activation})


def build(contract: Contract) -> onnx.ModelProto:
    """Return a linear net whose logits are of order 1 for the values that the contract feeds it."""
    rng = np.random.default_rng(7)
    pixels = SIDE * SIDE * 3
    rows = contract.batch if isinstance(contract.batch, int) else 1
    number = np.float16 if contract.element == TensorProto.FLOAT16 else np.float32
    scale, _ = affine(contract.input_spec)
    weights = rng.normal(0, 1 / (float(scale.max()) * 128 * np.sqrt(pixels)), (pixels, LABELS)).astype(number)
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([rows, pixels], np.int64), "one_row"),
    ]
    flat, logits = contract.inner_names
    reshape = [contract.input_name, "one_row"] if contract.flatten == "Reshape" else [contract.input_name]
    nodes = [helper.make_node(contract.flatten, reshape, [flat], name=flat)]
    if contract.activation == "probabilities":
        nodes.append(helper.make_node("MatMul", [flat, "weights"], [logits], name=logits))
        nodes.append(helper.make_node("Sigmoid", [logits], [contract.output_name], name="last"))
    else:
        nodes.append(helper.make_node("MatMul", [flat, "weights"], [contract.output_name], name=logits))
    spatial = [SIDE, SIDE, 3] if contract.layout == "NHWC" else [3, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(contract.input_name, contract.element, [contract.batch, *spatial])],
        [helper.make_tensor_value_info(contract.output_name, contract.element, [contract.batch, LABELS])],
        constants if contract.flatten == "Reshape" else constants[:1],
    )
    opsets = [helper.make_opsetid("", contract.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)
