"""Small ONNX models and the configurations that serve them."""

from dataclasses import dataclass, field
from pathlib import Path

import onnx
from onnx import TensorProto, helper

TYPES = {
    "UINT8": TensorProto.UINT8,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
}


@dataclass(frozen=True)
class Served:
    """A model that gives back its input `x` [N, 5] as `y`, by way of `operator`, and how it is configured."""

    name: str
    triton_type: str = "FP32"
    operator: str = "Identity"
    input_line: str = 'name: "x" data_type: TYPE_FP32 dims: [5]'
    output_line: str = 'name: "y" data_type: TYPE_FP32 dims: [5]'
    extra: str = ""
    max_batch_size: int = 8
    shape: tuple[int | str, ...] = field(default=("N", 5))

    def write(self, repository: Path) -> Path:
        """Write version 1 of the model into `repository`; returns the model file."""
        file = repository / self.name / "1" / "model.onnx"
        file.parent.mkdir(parents=True)
        node = helper.make_node(self.operator, ["x"], ["y"])
        element = TYPES[self.triton_type]
        graph = helper.make_graph(
            [node],
            self.name,
            [helper.make_tensor_value_info("x", element, list(self.shape))],
            [helper.make_tensor_value_info("y", element, list(self.shape))],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, file)
        config = (
            f'name: "{self.name}"\nbackend: "onnxruntime"\nmax_batch_size: {self.max_batch_size}\n'
            f"input [{{ {self.input_line} }}]\noutput [{{ {self.output_line} }}]\n"
            f"instance_group [{{ count: 1 kind: KIND_AUTO }}]\n{self.extra}\n"
        )
        (repository / self.name / "config.pbtxt").write_text(config)
        return file


def of_type(triton_type: str) -> Served:
    """Return a model of one type that gives back its input untouched."""
    tensor = f"data_type: TYPE_{triton_type} dims: [5]"
    return Served(
        name=f"same_{triton_type.lower()}",
        triton_type=triton_type,
        input_line=f'name: "x" {tensor}',
        output_line=f'name: "y" {tensor}',
    )


def parameter(key: str, value: str) -> str:
    """Return a configuration's line for a parameter."""
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'


def accelerator(name: str, key: str) -> str:
    """Return a configuration's lines for an accelerator of the GPU container."""
    return (
        "optimization { execution_accelerators { gpu_execution_accelerator "
        f'[{{ name: "{name}" parameters {{ key: "{key}" value: "1" }} }}] }} }}'
    )


BATCHING = of_type("UINT8")
GATHERING = Served(
    name="gathering",
    operator="Sqrt",
    # Long enough for requests that are sent together to meet.
    extra="dynamic_batching { preferred_batch_size: [8] max_queue_delay_microseconds: 2000000 }",
)

FITTING = [
    Served("open_input", shape=("N", "M"), output_line='name: "y" data_type: TYPE_FP32 dims: [-1]'),
    Served("threads", extra=parameter("intra_op_thread_count", "1")),
    Served("spinning", extra=parameter("session.intra_op.allow_spinning", "0")),
    Served("graph_level", extra="optimization { graph { level: 1 } }"),
    Served("tensorrt", extra=accelerator("tensorrt", "precision_mode")),
    Served(
        "unbatched",
        max_batch_size=0,
        shape=(2, 5),
        input_line='name: "x" data_type: TYPE_FP32 dims: [2, 5]',
        output_line='name: "y" data_type: TYPE_FP32 dims: [2, 5]',
    ),
]
"""What the native backend loads."""

MISFITS = {
    "input's name": Served("input_name", input_line='name: "z" data_type: TYPE_FP32 dims: [5]'),
    "output's name": Served("output_name", output_line='name: "z" data_type: TYPE_FP32 dims: [5]'),
    "input's type": Served("input_type", input_line='name: "x" data_type: TYPE_UINT8 dims: [5]'),
    "output's type": Served("output_type", output_line='name: "y" data_type: TYPE_FP16 dims: [5]'),
    "input's size": Served("input_size", input_line='name: "x" data_type: TYPE_FP32 dims: [6]'),
    "input's rank": Served("input_rank", input_line='name: "x" data_type: TYPE_FP32 dims: [5, 1]'),
    "input open, model fixed": Served("input_open", input_line='name: "x" data_type: TYPE_FP32 dims: [-1]'),
    "output open, model fixed": Served(
        "output_open", output_line='name: "y" data_type: TYPE_FP32 dims: [-1]'
    ),
    "output fixed, model open": Served("output_fixed", shape=("N", "M")),
    "fixed batch": Served("fixed_batch", shape=(1, 5)),
    "surplus input": Served(
        "surplus_input",
        input_line='name: "x" data_type: TYPE_FP32 dims: [5] }, { name: "w" data_type: TYPE_FP32 dims: [5]',
    ),
    "empty thread count": Served("empty_threads", extra=parameter("intra_op_thread_count", "")),
    "negative thread count": Served("negative_threads", extra=parameter("intra_op_thread_count", "-1")),
    "execution mode": Served("execution_mode", extra=parameter("execution_mode", "5")),
    "misspelt parameter": Served("misspelt", extra=parameter("intra_op_threads", "1")),
    "arena shrinkage": Served("shrinkage", extra=parameter("memory.enable_memory_arena_shrinkage", "cpu:0")),
    "graph level": Served("bad_level", extra="optimization { graph { level: 7 } }"),
    "accelerator": Served("bad_accelerator", extra=accelerator("tensorflow", "precision_mode")),
    "accelerator's key": Served("bad_key", extra=accelerator("tensorrt", "precision_mod")),
    "warm-up batch": Served(
        "warm_up",
        extra='model_warmup [{ name: "w" batch_size: 9 inputs { key: "x" value: '
        "{ data_type: TYPE_FP32 dims: [5] zero_data: true } } }]",
    ),
}
"""What the native backend refuses, or fails with later; by what is wrong."""
