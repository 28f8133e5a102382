"""Checks of a graph that need not run it."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from orchestrator.registry.check.report import Notes
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.graph import OLDEST_IR, OLDEST_OPSET, opset_of

NEWEST_OPSET: Final = 26
NEWEST_IR: Final = 13
"""What both runtimes take. The GPU container tritonserver:26.07 has ONNX Runtime 1.27.0 (build.py of Triton
2.71.0), which took in ONNX 1.21 (pull request 27601 of ONNX Runtime): opset 26, IR 13 by ONNX's own table of
versions. The ONNX Runtime 1.32 of this project takes opset 28 and IR 14."""

KNOWN_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Whose operators every build of ONNX Runtime has."""

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}


def check_graph(notes: Notes, model: onnx.ModelProto) -> None:
    """Check versions, operators, names, ONNX's own rules, shapes and weights."""
    opset, ir = opset_of(model), model.ir_version
    constants = {initializer.name for initializer in model.graph.initializer}
    notes.know(
        opset=opset,
        ir_version=ir,
        inputs=tuple(describe(entry) for entry in model.graph.input if entry.name not in constants),
        outputs=tuple(describe(entry) for entry in model.graph.output),
        parameters=sum(int(np.prod(list(entry.dims))) for entry in model.graph.initializer),
    )
    _check_versions(notes, opset, ir)
    _check_operators(notes, model)
    _check_outputs(notes, model)
    if not notes.failed():  # the rules below would only say the same, and less clearly
        _check_rules(notes, model)
    _check_weights(notes, model)
    if not notes.failed():
        notes.ok("graph", f"a valid ONNX graph of {len(model.graph.node)} nodes, opset {opset}, IR {ir}")


def describe(entry: onnx.ValueInfoProto) -> str:
    """Return an input or output in words: name, type and shape."""
    tensor = entry.type.tensor_type
    dims = [
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim
    ]
    return f"{entry.name} {TensorProto.DataType.Name(tensor.elem_type)} [{', '.join(dims)}]"


def _check_versions(notes: Notes, opset: int, ir: int) -> None:
    if opset > NEWEST_OPSET:
        notes.fail(CheckCode.OPSET_TOO_NEW, f"the graph's opset is {opset}; {NEWEST_OPSET} is the newest")
    if opset < OLDEST_OPSET:
        notes.fail(CheckCode.OPSET_TOO_OLD, f"the graph's opset is {opset}; {OLDEST_OPSET} is the oldest")
    if ir > NEWEST_IR:
        notes.fail(CheckCode.IR_TOO_NEW, f"the graph's IR version is {ir}; {NEWEST_IR} is the newest")
    if ir < OLDEST_IR:
        notes.fail(CheckCode.IR_TOO_OLD, f"the graph's IR version is {ir}; {OLDEST_IR} is the oldest")


def _check_operators(notes: Notes, model: onnx.ModelProto) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    unknown = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in _nodes(model.graph)
            if node.domain not in KNOWN_DOMAINS and (node.domain, node.op_type) not in own
        }
    )
    if unknown:
        notes.fail(
            CheckCode.OPERATORS_UNKNOWN, f"no runtime here has the operators {', '.join(unknown[:10])}"
        )


def _check_outputs(notes: Notes, model: onnx.ModelProto) -> None:
    names = [entry.name for entry in model.graph.output]
    twice = sorted({name for name in names if names.count(name) > 1})
    given = [name for node in model.graph.node for name in node.output if name]
    if len(given) != len(set(given)):
        seen: set[str] = set()
        twice += sorted({name for name in given if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
    if twice:
        notes.fail(CheckCode.OUTPUTS_DUPLICATED, f"given more than once: {', '.join(twice[:10])}")


def _check_rules(notes: Notes, model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        notes.fail(CheckCode.GRAPH_INVALID, f"not valid ONNX: {first_line(error)}")


def _check_weights(notes: Notes, model: onnx.ModelProto) -> None:
    """NaN only: infinity is what attention masks and open bounds are made of."""
    bad = []
    for tensor in model.graph.initializer:
        if tensor.data_type in _FLOATS:
            values = numpy_helper.to_array(tensor)
            # A sum of finite numbers is NaN only if it overflows to both infinities: look closely then alone.
            if np.isnan(values.sum(dtype=np.float64)) and np.isnan(values.astype(np.float64)).any():
                bad.append(tensor.name)
    if bad:
        notes.fail(CheckCode.WEIGHTS_NAN, f"{len(bad)} tensors hold NaN, among them {', '.join(bad[:5])}")


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)
            for inner in attribute.graphs:
                yield from _nodes(inner)


def first_line(error: Exception) -> str:
    """Return the part of a library's message that says something, without its stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:400] if lines else type(error).__name__
