"""Graph preparation: one wire format for every model.

Whatever a family wants, its prepared graph takes `image`, UINT8 RGB NHWC [N, S, S, 3], and gives `scores`,
float32 probabilities [N, L], and `embedding`, float32 [N, D], where the manifest names one. Cast, channel
flip, normalisation, layout and sigmoid become part of the graph, so a client knows nothing but geometry
(DESIGN 3, "One wire format for every model").

One config.pbtxt serves every version of a model, and Triton compares its dimensions with the graph's exactly.
So the graph does not say how many labels it has: an operator whose result's size no shape inference knows
(Compress, by a constant that keeps everything) stands before `scores`.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from orchestrator.errors import GraphPreparationError
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.manifest import InputSpec, OutputSpec
from orchestrator.registry.names import SERVED_EMBEDDING, SERVED_INPUT, SERVED_OUTPUT

OLDEST_OPSET = 9
"""Compress exists since then; Mul and Add broadcast since 7."""
OLDEST_IR = 4
"""Initializers need not be inputs since then."""

_INNER = "original/"
_OPEN_DIMENSIONS = {SERVED_OUTPUT: "labels", SERVED_EMBEDDING: "features"}
_SPLIT_COUNTS = 18
_FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


def prepare_graph(
    original: onnx.ModelProto,
    input_spec: InputSpec,
    output_spec: OutputSpec,
    *,
    size: int,
    labels: int,
    batched: bool = True,
) -> onnx.ModelProto:
    """Return `original` with the one wire format; `original` itself is left alone, its data must be in it.

    The original must have the one float input and the float output that the specs name, with dimensions that
    admit [N, size, size, 3] (or NCHW) and [N, labels]. With `batched`, a fixed batch is opened:
    `verify_graph` finds out whether the inside bears that. Without, the graph says that it takes any batch,
    as Triton wants it, and takes one picture at a time. Raises GraphPreparationError.
    """
    inner_input, inner_output = check_contract(original, input_spec, output_spec, size=size, labels=labels)
    # A prefix on every inner name: neither `image`, `scores` nor our own names can collide with any.
    model = compose.add_prefix(original, _INNER)
    graph = model.graph
    element = inner_input.type.tensor_type.elem_type
    head = _input_chain(input_spec, element, None if batched else size, opset_of(original))
    tails = [_scores_chain(output_spec, inner_output.type.tensor_type.elem_type, labels)]
    if output_spec.embedding is not None:
        tails.append(_embedding_chain(output_spec.embedding))
    if not batched:
        for tail in tails:
            tail.step("Compress", np.array([True]), axis=0)
    body = list(graph.node)
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend([*head.ending(_INNER + input_spec.name), *body])
    graph.initializer.extend(head.constants)
    graph.input.append(helper.make_tensor_value_info(SERVED_INPUT, TensorProto.UINT8, ["N", size, size, 3]))
    for tail in tails:
        graph.node.extend(tail.ending(tail.name))
        graph.initializer.extend(tail.constants)
        graph.output.append(
            helper.make_tensor_value_info(tail.name, TensorProto.FLOAT, ["N", _OPEN_DIMENSIONS[tail.name]])
        )
    model.producer_name, model.producer_version = "tagdesk graph preparation", "3"
    try:
        onnx.checker.check_model(model, full_check=model.ByteSize() < onnx.checker.MAXIMUM_PROTOBUF)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphPreparationError(f"the prepared graph is not valid ONNX: {error}") from error
    return model


def check_contract(
    original: onnx.ModelProto, input_spec: InputSpec, output_spec: OutputSpec, *, size: int, labels: int
) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]:
    """Return the input and the output that the specs name. Raises GraphPreparationError, with what does not
    fit as its code: versions, names, types, dimensions, the embedding."""
    _check_versions(original)
    found = _find_input(original, input_spec, size), _find_output(original, output_spec, labels)
    _check_embedding(original, output_spec)
    return found


def fixed_batch(model: onnx.ModelProto, input_name: str) -> int | None:
    """Return the number of pictures that a graph's input insists on; None when it takes any."""
    for entry in model.graph.input:
        if entry.name == input_name and entry.type.tensor_type.shape.dim:
            first = entry.type.tensor_type.shape.dim[0]
            return first.dim_value if first.HasField("dim_value") else None
    return None


def with_output(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """Return a copy of a graph that gives the inner `tensor` as an output too."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if all(entry.name != tensor for entry in copy.graph.output):
        copy.graph.output.append(onnx.ValueInfoProto(name=tensor))
    return copy


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators that a graph uses; 0 for none."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def _check_versions(model: onnx.ModelProto) -> None:
    opset = opset_of(model)
    if opset < OLDEST_OPSET:
        raise GraphPreparationError(
            f"the graph's opset is {opset}; at least {OLDEST_OPSET} is needed", code=CheckCode.OPSET_TOO_OLD
        )
    if model.ir_version < OLDEST_IR:
        raise GraphPreparationError(
            f"the graph's IR version is {model.ir_version}; at least {OLDEST_IR} is needed",
            code=CheckCode.IR_TOO_OLD,
        )


def _find_input(model: onnx.ModelProto, spec: InputSpec, size: int) -> onnx.ValueInfoProto:
    constants = {initializer.name for initializer in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in constants]
    if [entry.name for entry in inputs] != [spec.name]:
        names = ", ".join(entry.name for entry in inputs) or "none"
        raise GraphPreparationError(
            f"the graph's inputs are {names}; the manifest names '{spec.name}' alone",
            code=CheckCode.INPUTS_DIFFER,
        )
    expected = (None, size, size, 3) if spec.layout == "NHWC" else (None, 3, size, size)
    found: onnx.ValueInfoProto = inputs[0]
    _check_tensor(found, expected, f"the input '{found.name}'", CheckCode.INPUT_TYPE, CheckCode.INPUT_SHAPE)
    return found


def _find_output(model: onnx.ModelProto, spec: OutputSpec, labels: int) -> onnx.ValueInfoProto:
    found: onnx.ValueInfoProto | None = next(
        (entry for entry in model.graph.output if entry.name == spec.name), None
    )
    if found is None:
        names = ", ".join(entry.name for entry in model.graph.output)
        raise GraphPreparationError(
            f"the graph's outputs are {names}; the manifest names '{spec.name}'",
            code=CheckCode.OUTPUTS_DIFFER,
        )
    _check_tensor(
        found, (None, labels), f"the output '{found.name}'", CheckCode.OUTPUT_TYPE, CheckCode.LABELS_WIDTH
    )
    return found


def _check_embedding(model: onnx.ModelProto, spec: OutputSpec) -> None:
    if spec.embedding is not None and not any(spec.embedding in node.output for node in model.graph.node):
        raise GraphPreparationError(
            f"no node of the graph gives '{spec.embedding}', which the manifest names as the embedding",
            code=CheckCode.EMBEDDING_MISSING,
        )


def _check_tensor(
    entry: onnx.ValueInfoProto,
    expected: Sequence[int | None],
    what: str,
    bad_type: CheckCode,
    bad_shape: CheckCode,
) -> None:
    """`None` in `expected`, and a symbolic dimension in the graph, admit any number."""
    tensor = entry.type.tensor_type
    if tensor.elem_type not in _FLOATS:
        name = TensorProto.DataType.Name(tensor.elem_type)
        raise GraphPreparationError(f"{what} is {name}; it must be FLOAT or FLOAT16", code=bad_type)
    if not tensor.HasField("shape"):
        return
    actual = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    fits = len(actual) == len(expected) and all(
        have is None or want is None or have == want for have, want in zip(actual, expected, strict=True)
    )
    if not fits:
        raise GraphPreparationError(
            f"{what} has the shape {_shape(actual)}; {_shape(expected)} is needed", code=bad_shape
        )


def _shape(dims: Sequence[int | None]) -> str:
    return "[" + ", ".join("N" if dim is None else str(dim) for dim in dims) + "]"


class _Chain:
    """Operators one after another, from the tensor `start` on; `name` keeps their names apart."""

    def __init__(self, name: str, start: str) -> None:
        self.name = name
        self.constants: list[onnx.TensorProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._current = start

    def step(self, operator: str, *constant: NDArray[np.generic], **attributes: int | list[int]) -> None:
        """Put `operator` behind what is there, with `constant` as its further inputs."""
        result = f"prepare/{self.name}/{operator}_{len(self._nodes)}"
        names = [f"{result}_constant" for _ in constant]
        self.constants.extend(
            numpy_helper.from_array(value, name) for value, name in zip(constant, names, strict=True)
        )
        node = helper.make_node(operator, [self._current, *names], [result], name=result)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        self._current = result

    def reverse(self, parts: int, axis: int, opset: int) -> None:
        """Reverse an axis of so many entries. A Gather says the same and takes seven times as long."""
        names = [f"prepare/{self.name}/Split_{len(self._nodes)}_{part}" for part in range(parts)]
        # Equal parts are what Split makes where nothing is said; since then the number has to be said.
        split = helper.make_node("Split", [self._current], names, name=names[0], axis=axis)
        if opset >= _SPLIT_COUNTS:
            split.attribute.append(helper.make_attribute("num_outputs", parts))
        self._nodes.append(split)
        self._current = f"prepare/{self.name}/Concat_{len(self._nodes)}"
        joined = helper.make_node("Concat", names[::-1], [self._current], name=self._current, axis=axis)
        self._nodes.append(joined)

    def ending(self, result: str) -> list[onnx.NodeProto]:
        """Return the nodes; the last one gives the tensor `result`."""
        self._nodes[-1].output[0] = result
        return self._nodes


def _input_chain(spec: InputSpec, element: int, single: int | None, opset: int) -> _Chain:
    """From `image` to the original's input: flip (while still bytes), cast, scale and shift, transpose.

    `single`: the size when no more than one picture is taken.
    """
    chain = _Chain("input", SERVED_INPUT)
    if single is not None:
        chain.step("Reshape", np.array([1, single, single, 3], np.int64))
    if spec.channel_order == "BGR":
        chain.reverse(3, axis=3, opset=opset)
    chain.step("Cast", to=TensorProto.FLOAT)
    scale, shift = affine(spec)
    if not np.array_equal(scale, np.ones(3, np.float32)):
        chain.step("Mul", scale)
    if shift.any():
        chain.step("Add", shift)
    if spec.layout == "NCHW":
        chain.step("Transpose", perm=[0, 3, 1, 2])
    if element == TensorProto.FLOAT16:
        chain.step("Cast", to=TensorProto.FLOAT16)
    return chain


def _scores_chain(spec: OutputSpec, element: int, labels: int) -> _Chain:
    """From the original's output to `scores`."""
    chain = _Chain(SERVED_OUTPUT, _INNER + spec.name)
    if element == TensorProto.FLOAT16:
        chain.step("Cast", to=TensorProto.FLOAT)
    if spec.activation == "logits":
        chain.step("Sigmoid")
    chain.step("Compress", np.ones(labels, np.bool_), axis=1)
    return chain


def _embedding_chain(tensor: str) -> _Chain:
    """From a tensor inside the original to `embedding`: all that is known of a picture there, in one row."""
    chain = _Chain(SERVED_EMBEDDING, _INNER + tensor)
    chain.step("Cast", to=TensorProto.FLOAT)
    chain.step("Flatten", axis=1)
    return chain


def affine(spec: InputSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return float32 [3] scale and shift, in the model's channel order, from a byte to its input value."""
    low, high = spec.value_range
    std = np.array(spec.std, np.float64)
    scale = (high - low) / 255 / std
    shift = (low - np.array(spec.mean, np.float64)) / std
    return scale.astype(np.float32), shift.astype(np.float32)
