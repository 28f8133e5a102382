"""Triton's `onnxruntime` backend for machines without the GPU container, as a python-based backend.

It reads the same config.pbtxt as the native backend, gives the same numbers, and refuses to load what the
native one refuses (or loads and then fails at), so that a repository that serves here serves there.

Tensors cross between Triton and NumPy through DLPack only. The server's stubs were built for NumPy 1: with
NumPy 2, `pb_utils.Tensor(name, array)` gives an empty tensor and `as_numpy()` reads the wrong bytes, both
without a word.
"""

from __future__ import annotations  # Triton adds its types to pb_utils after this module was read

import ctypes
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

Array = np.ndarray[Any, np.dtype[Any]]

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

TRITON_TYPES: Final[Mapping[str, str]] = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
}
"""ONNX Runtime's names of tensor types, and config.pbtxt's."""

# What the native backend makes of optimization.graph.level.
_LEVELS: Final = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    0: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_FLAGS: Final = frozenset({"0", "1"})
_SESSION_KEYS: Final = frozenset(
    {
        "session.set_denormal_as_zero",
        "session.disable_prepacking",
        "session.intra_op.allow_spinning",
        "session.inter_op.allow_spinning",
        "session.use_device_allocator_for_initializers",
    }
)
_TENSORRT_KEYS: Final = frozenset({"precision_mode", "max_workspace_size_bytes"})
# ONNX Runtime's own options of its TensorRT provider, which the native backend passes on.
_TENSORRT_OPTIONS: Final = frozenset(
    f"trt_{name}"
    for name in (
        "max_partition_iterations",
        "min_subgraph_size",
        "max_workspace_size",
        "fp16_enable",
        "int8_enable",
        "dla_enable",
        "dla_core",
        "int8_calibration_table_name",
        "int8_use_native_calibration_table",
        "dump_subgraphs",
        "engine_cache_enable",
        "engine_cache_path",
        "engine_cache_prefix",
        "timing_cache_enable",
        "timing_cache_path",
        "force_timing_cache",
        "force_sequential_engine_build",
        "context_memory_sharing_enable",
        "layer_norm_fp32_fallback",
        "build_heuristics_enable",
        "sparsity_enable",
        "builder_optimization_level",
        "auxiliary_streams",
        "tactic_sources",
        "profile_min_shapes",
        "profile_max_shapes",
        "profile_opt_shapes",
        "cuda_graph_enable",
    )
)
_CUDA_KEYS: Final = frozenset(
    {
        "cudnn_conv_algo_search",
        "cudnn_conv_use_max_workspace",
        "gpu_mem_limit",
        "arena_extend_strategy",
        "do_copy_in_default_stream",
        "use_tf32",
    }
)

_USED_NAME: Final = ctypes.c_char_p(b"used_dltensor")
_set_capsule_name: Final = ctypes.pythonapi.PyCapsule_SetName
_set_capsule_name.argtypes = [ctypes.py_object, ctypes.c_char_p]


class Refused(Exception):
    """A configuration that does not fit its model, or that the native backend would not take."""


class ModelTensor(Protocol):
    """An input or output of an ONNX model, as ONNX Runtime describes it."""

    name: str
    type: str
    shape: Sequence[int | str | None]


class _Handover:
    """An array on its way to Triton.

    Triton's name for a capsule that was used up is not the one that NumPy knows, so that NumPy would print
    a traceback for every output. `finish` gives it the standard one.
    """

    def __init__(self, array: Array) -> None:
        self._array = array
        self._capsule: object | None = None

    def __dlpack__(self, stream: object = None) -> object:
        self._capsule = self._array.__dlpack__()
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def finish(self) -> None:
        if self._capsule is not None:
            _set_capsule_name(self._capsule, _USED_NAME)


def to_triton(name: str, array: Array) -> pb_utils.Tensor:
    """Return `array` as Triton's tensor `name`, bit for bit."""
    handover = _Handover(np.ascontiguousarray(array))
    tensor = pb_utils.Tensor.from_dlpack(name, handover)
    handover.finish()
    return tensor


def from_triton(tensor: pb_utils.Tensor) -> Array:
    """Return Triton's tensor as an array over the same memory."""
    return np.from_dlpack(tensor)


def parameters_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the `parameters` of a model's configuration."""
    return {key: value.get("string_value", "") for key, value in (config.get("parameters") or {}).items()}


def session_options(config: Mapping[str, Any], warn: Callable[[str], None]) -> onnxruntime.SessionOptions:
    """Return the session options that a configuration asks for. Raises Refused."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    for key, value in parameters_of(config).items():
        if key == "intra_op_thread_count":
            options.intra_op_num_threads = _count(key, value)
        elif key == "inter_op_thread_count":
            options.inter_op_num_threads = _count(key, value)
        elif key == "execution_mode":
            parallel = _flag(key, value)
            mode = onnxruntime.ExecutionMode
            options.execution_mode = mode.ORT_PARALLEL if parallel else mode.ORT_SEQUENTIAL
        elif key == "enable_mem_arena":
            options.enable_cpu_mem_arena = _flag(key, value)
        elif key == "enable_mem_pattern":
            options.enable_mem_pattern = _flag(key, value)
        elif key in _SESSION_KEYS:
            options.add_session_config_entry(key, str(int(_flag(key, value))))
        else:
            raise Refused(f"parameter '{key}' is not known, or fails with the native backend")
    optimization = config.get("optimization") or {}
    level = int((optimization.get("graph") or {}).get("level", 0))
    if level not in _LEVELS:
        raise Refused(f"optimization.graph.level is {level}, not one of {sorted(_LEVELS)}")
    options.graph_optimization_level = _LEVELS[level]
    check_accelerators(optimization.get("execution_accelerators") or {}, warn)
    return options


def check_accelerators(accelerators: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Refuse accelerators and keys that the native backend does not know; warn that the others are idle."""
    known = {"tensorrt": _TENSORRT_KEYS | _TENSORRT_OPTIONS, "cuda": _CUDA_KEYS}
    for accelerator in accelerators.get("gpu_execution_accelerator") or []:
        name = accelerator.get("name", "")
        if name not in known:
            raise Refused(f"unknown execution accelerator '{name}'")
        unknown = sorted((accelerator.get("parameters") or {}).keys() - known[name])
        if unknown:
            raise Refused(f"accelerator '{name}' has no parameter '{unknown[0]}'")
        warn(f"accelerator '{name}' is for the GPU container: not used here")
    for accelerator in accelerators.get("cpu_execution_accelerator") or []:
        if accelerator.get("name") != "openvino":
            raise Refused(f"unknown execution accelerator '{accelerator.get('name', '')}'")
        warn("accelerator 'openvino' is not used here")


def _count(key: str, value: str) -> int:
    if not value.isdecimal():
        raise Refused(f"parameter '{key}' is '{value}', not a whole number from 0")
    return int(value)


def _flag(key: str, value: str) -> bool:
    if value not in _FLAGS:
        raise Refused(f"parameter '{key}' is '{value}', not 0 or 1")
    return value == "1"


def check_configuration(
    config: Mapping[str, Any], inputs: Sequence[ModelTensor], outputs: Sequence[ModelTensor]
) -> None:
    """Refuse a configuration whose tensors are not the model's: names, types, dimensions.

    As with the native backend, an input's dimension that the model leaves open may be fixed by the
    configuration, and an output's may not; every input has to be named, outputs may be left out.
    """
    batched = int(config.get("max_batch_size", 0)) > 0
    if len(config["input"]) != len(inputs):
        raise Refused(f"the model has {len(inputs)} inputs, the configuration {len(config['input'])}")
    if not config["output"]:
        raise Refused("the configuration names no output")
    for entry in config["input"]:
        _check_tensor("input", entry, inputs, batched=batched, exactly=False)
    for entry in config["output"]:
        _check_tensor("output", entry, outputs, batched=batched, exactly=True)
    for warmup in config.get("model_warmup") or []:
        size = int(warmup.get("batch_size", 0))
        if size > int(config.get("max_batch_size", 0)):
            raise Refused(
                f"warm-up '{warmup.get('name', '')}' has a batch of {size}, more than max_batch_size"
            )


def _check_tensor(
    kind: str, entry: Mapping[str, Any], tensors: Sequence[ModelTensor], *, batched: bool, exactly: bool
) -> None:
    who = f"{kind} '{entry['name']}'"
    tensor = next((tensor for tensor in tensors if tensor.name == entry["name"]), None)
    if tensor is None:
        raise Refused(f"{who} is not in the model, which has {', '.join(t.name for t in tensors)}")
    if entry.get("reshape"):
        raise Refused(f"{who}: reshape is not supported here")
    expected = TRITON_TYPES.get(tensor.type)
    if expected != entry["data_type"]:
        raise Refused(f"{who} is {expected or tensor.type} in the model, not {entry['data_type']}")
    model = [size if isinstance(size, int) else -1 for size in tensor.shape]
    given = [-1] * batched + [int(size) for size in entry["dims"]]
    if batched and model[:1] != [-1]:
        raise Refused(f"{who}: with max_batch_size the model's first dimension must be open, not of {model}")
    fits = len(model) == len(given) and all(
        ours == theirs or (theirs == -1 and not exactly) for ours, theirs in zip(given, model, strict=True)
    )
    if not fits:
        raise Refused(f"{who} is {model} in the model, not {given}")


class TritonPythonModel:
    """One version of one model, on one instance. Triton calls these methods from one thread."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model file. Raises TritonModelException when the configuration does not fit it."""
        config: dict[str, Any] = json.loads(args["model_config"])
        file = Path(
            args["model_repository"], args["model_version"], config.get("default_model_filename") or ""
        )
        if not config.get("default_model_filename"):
            file = file / "model.onnx"
        try:
            options = session_options(config, pb_utils.Logger.log_warn)
            self._session = onnxruntime.InferenceSession(file, options, providers=_providers(args))
            check_configuration(config, self._session.get_inputs(), self._session.get_outputs())
        except Exception as error:  # ONNX Runtime's errors have no common base of their own
            raise pb_utils.TritonModelException(f"{file}: {error}") from error
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]
        self._outputs = [entry["name"] for entry in config["output"]]
        self._batched = int(config.get("max_batch_size", 0)) > 0
        self._joined: dict[str, Array] = {}
        provider = self._session.get_providers()[0]
        pb_utils.Logger.log_info(f"{args['model_name']} version {args['model_version']} runs on {provider}")

    def execute(self, requests: Sequence[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer `requests`, in one run of the model where it can be batched."""
        groups = [requests] if self._batched else [[request] for request in requests]
        return [response for group in groups for response in self._answer(group)]

    def finalize(self) -> None:
        """Let go of the model."""
        del self._session

    def _answer(self, requests: Sequence[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        try:
            arrays = [
                [from_triton(pb_utils.get_input_tensor_by_name(request, name)) for name in self._inputs]
                for request in requests
            ]
            feed = {
                name: self._join(name, [array[index] for array in arrays])
                for index, name in enumerate(self._inputs)
            }
            results = self._session.run(self._outputs, feed)
        except Exception as error:  # whatever it is, the requests have to be answered
            problem = pb_utils.TritonError(f"onnx runtime error: {error}")
            return [pb_utils.InferenceResponse(error=problem) for _ in requests]
        if len(requests) == 1:
            return [self._response(requests[0], results)]
        responses, first = [], 0
        for request, array in zip(requests, arrays, strict=True):
            last = first + array[0].shape[0]
            responses.append(self._response(request, [result[first:last] for result in results]))
            first = last
        return responses

    def _response(
        self, request: pb_utils.InferenceRequest, results: Sequence[Array]
    ) -> pb_utils.InferenceResponse:
        asked = set(request.requested_output_names())
        tensors = [
            to_triton(name, result)
            for name, result in zip(self._outputs, results, strict=True)
            if name in asked
        ]
        return pb_utils.InferenceResponse(tensors)

    def _join(self, name: str, parts: Sequence[Array]) -> Array:
        """Return the batches as one, in memory that is kept from call to call."""
        if len(parts) == 1:
            return parts[0]
        rows, shape, dtype = sum(part.shape[0] for part in parts), parts[0].shape[1:], parts[0].dtype
        kept = self._joined.get(name)
        if kept is None or kept.shape[0] < rows or kept.shape[1:] != shape:
            kept = self._joined[name] = np.empty((rows, *shape), dtype)
        return np.concatenate(parts, out=kept[:rows])


def _providers(args: Mapping[str, str]) -> list[str | tuple[str, dict[str, str]]]:
    """Return what the model shall run on: the GPU that Triton assigned, where ONNX Runtime can use it."""
    on_gpu = args.get("model_instance_kind") == "GPU" and CUDA in onnxruntime.get_available_providers()
    return [(CUDA, {"device_id": args["model_instance_device_id"]}), CPU] if on_gpu else [CPU]
