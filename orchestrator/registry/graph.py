"""Graph preparation: one wire format for every model.

Whatever a family wants, its prepared graph takes `image`, UINT8 RGB NHWC [N, S, S, 3], and gives `scores`,
float32 probabilities [N, L]. Cast, channel flip, normalisation, layout and sigmoid become part of the graph,
so a client knows nothing but geometry (DESIGN 3, "One wire format for every model").
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from orchestrator.errors import GraphPreparationError
from orchestrator.registry.manifest import InputSpec, OutputSpec

SERVED_INPUT = "image"
SERVED_OUTPUT = "scores"

_INNER = "original/"
_OLDEST_OPSET = 7  # Mul and Add broadcast since then
_OLDEST_IR = 4  # initializers need not be inputs since then
_FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


def prepare_graph(
    original: onnx.ModelProto, input_spec: InputSpec, output_spec: OutputSpec, *, size: int, labels: int
) -> onnx.ModelProto:
    """Return `original` with the one wire format; `original` itself is left alone.

    The original must have the one float input and the float output that the specs name, with dimensions that
    admit [N, size, size, 3] (or NCHW) and [N, labels]. A fixed batch is opened; `verify_graph` finds out
    whether the inside bears that. Raises GraphPreparationError.
    """
    _check_versions(original)
    inner_input = _find_input(original, input_spec, size)
    inner_output = _find_output(original, output_spec, labels)
    # A prefix on every inner name: neither `image`, `scores` nor our own names can collide with any.
    model = compose.add_prefix(original, _INNER)
    graph = model.graph
    head, constants = _input_nodes(input_spec, inner_input.type.tensor_type.elem_type)
    tail = _output_nodes(output_spec, inner_output.type.tensor_type.elem_type)
    body = list(graph.node)
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend([*head, *body, *tail])
    graph.initializer.extend(constants)
    graph.input.append(helper.make_tensor_value_info(SERVED_INPUT, TensorProto.UINT8, ["N", size, size, 3]))
    graph.output.append(helper.make_tensor_value_info(SERVED_OUTPUT, TensorProto.FLOAT, ["N", labels]))
    model.producer_name, model.producer_version = "tagdesk graph preparation", "1"
    try:
        onnx.checker.check_model(model, full_check=model.ByteSize() < onnx.checker.MAXIMUM_PROTOBUF)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphPreparationError(f"the prepared graph is not valid ONNX: {error}") from error
    return model


def _check_versions(model: onnx.ModelProto) -> None:
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < _OLDEST_OPSET:
        raise GraphPreparationError(f"the graph's opset is {opset}; at least {_OLDEST_OPSET} is needed")
    if model.ir_version < _OLDEST_IR:
        raise GraphPreparationError(
            f"the graph's IR version is {model.ir_version}; at least {_OLDEST_IR} is needed"
        )


def _find_input(model: onnx.ModelProto, spec: InputSpec, size: int) -> onnx.ValueInfoProto:
    constants = {initializer.name for initializer in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in constants]
    if [entry.name for entry in inputs] != [spec.name]:
        names = ", ".join(entry.name for entry in inputs) or "none"
        raise GraphPreparationError(f"the graph's inputs are {names}; the manifest names '{spec.name}' alone")
    expected = (None, size, size, 3) if spec.layout == "NHWC" else (None, 3, size, size)
    found: onnx.ValueInfoProto = inputs[0]
    _check_tensor("input", found, expected)
    return found


def _find_output(model: onnx.ModelProto, spec: OutputSpec, labels: int) -> onnx.ValueInfoProto:
    found: onnx.ValueInfoProto | None = next(
        (entry for entry in model.graph.output if entry.name == spec.name), None
    )
    if found is None:
        names = ", ".join(entry.name for entry in model.graph.output)
        raise GraphPreparationError(f"the graph's outputs are {names}; the manifest names '{spec.name}'")
    _check_tensor("output", found, (None, labels))
    return found


def _check_tensor(what: str, entry: onnx.ValueInfoProto, expected: Sequence[int | None]) -> None:
    """`None` in `expected`, and a symbolic dimension in the graph, admit any number."""
    tensor = entry.type.tensor_type
    if tensor.elem_type not in _FLOATS:
        name = TensorProto.DataType.Name(tensor.elem_type)
        raise GraphPreparationError(f"the {what} '{entry.name}' is {name}; it must be FLOAT or FLOAT16")
    if not tensor.HasField("shape"):
        return
    actual = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    fits = len(actual) == len(expected) and all(
        have is None or want is None or have == want for have, want in zip(actual, expected, strict=True)
    )
    if not fits:
        raise GraphPreparationError(
            f"the {what} '{entry.name}' has the shape {_shape(actual)}; {_shape(expected)} is needed"
        )


def _shape(dims: Sequence[int | None]) -> str:
    return "[" + ", ".join("N" if dim is None else str(dim) for dim in dims) + "]"


def _input_nodes(spec: InputSpec, element: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """From `image` to the original's input: flip (while still bytes), cast, scale and shift, transpose."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    target = _INNER + spec.name
    current = SERVED_INPUT

    def step(operator: str, *constant: NDArray[np.generic], **attributes: int | list[int]) -> None:
        nonlocal current
        names = [f"prepare/{operator}_{len(nodes)}_constant" for _ in constant]
        constants.extend(
            numpy_helper.from_array(value, name) for value, name in zip(constant, names, strict=True)
        )
        result = f"prepare/{operator}_{len(nodes)}"
        nodes.append(_node(operator, [current, *names], result, attributes))
        current = result

    if spec.channel_order == "BGR":
        step("Gather", np.array([2, 1, 0], np.int64), axis=3)
    step("Cast", to=TensorProto.FLOAT)
    scale, shift = affine(spec)
    if not np.array_equal(scale, np.ones(3, np.float32)):
        step("Mul", scale)
    if shift.any():
        step("Add", shift)
    if spec.layout == "NCHW":
        step("Transpose", perm=[0, 3, 1, 2])
    if element == TensorProto.FLOAT16:
        step("Cast", to=TensorProto.FLOAT16)
    nodes[-1].output[0] = target
    return nodes, constants


def _output_nodes(spec: OutputSpec, element: int) -> list[onnx.NodeProto]:
    """From the original's output to `scores`."""
    operators: list[tuple[str, dict[str, int | list[int]]]] = []
    if element == TensorProto.FLOAT16:
        operators.append(("Cast", {"to": TensorProto.FLOAT}))
    if spec.activation == "logits":
        operators.append(("Sigmoid", {}))
    operators = operators or [("Identity", {})]
    nodes, current = [], _INNER + spec.name
    for i, (operator, attributes) in enumerate(operators):
        result = SERVED_OUTPUT if i == len(operators) - 1 else f"answer/{operator}_{i}"
        nodes.append(_node(operator, [current], result, attributes))
        current = result
    return nodes


def _node(
    operator: str, inputs: Sequence[str], result: str, attributes: Mapping[str, int | list[int]]
) -> onnx.NodeProto:
    """A node named for its operator and its result."""
    node = helper.make_node(operator, list(inputs), [result], name=f"{operator}/{result}")
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return node


def affine(spec: InputSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return float32 [3] scale and shift, in the model's channel order, from a byte to its input value."""
    low, high = spec.value_range
    std = np.array(spec.std, np.float64)
    scale = (high - low) / 255 / std
    shift = (low - np.array(spec.mean, np.float64)) / std
    return scale.astype(np.float32), shift.astype(np.float32)
