"""config.pbtxt: written from a template for a new model, and kept where people have set things by hand.

One file serves every version of a model, so what versions differ in stays open in it: the number of labels
(the prepared graphs leave that dimension open). The versions to serve are sent with every load, and the
file's own policy is not looked at (inference.client.TritonClient.load).
"""

from dataclasses import dataclass
from string import Template

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from orchestrator.errors import ManifestError
from orchestrator.registry.manifest import Manifest
from orchestrator.registry.names import SERVED_INPUT, SERVED_OUTPUT

CONFIG_NAME = "config.pbtxt"
BACKEND = "onnxruntime"

_OPEN = -1

# Flags that the embedded backend and the native one both take (DESIGN 3, "Serving").
_TEMPLATE = Template(
    """\
# Served the same by Triton's native backend and by the embedded one (triton_config/backends/onnxruntime).
# Everything is written out: the server runs with auto-completion off. Change what you like below `output`:
# publishing another version keeps it. Which versions are served is sent with every load.
name: "$name"
backend: "$backend"
max_batch_size: $maximum
input [
  {
    name: "$input"
    data_type: TYPE_UINT8
    dims: [ $size, $size, 3 ]
  }
]
output [
  {
    name: "$output"
    data_type: TYPE_FP32
    dims: [ -1 ]
  }
]
# AUTO: a GPU where there is one, else the CPU. Without this group a CPU gets two instances.
instance_group [
  {
    count: 1
    kind: KIND_AUTO
  }
]
# Priority 1 is live work, 2 (the default) backfill.
dynamic_batching {
  preferred_batch_size: [ $preferred ]
  max_queue_delay_microseconds: 1000
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 30000000
    allow_timeout_override: true
    max_queue_size: 512
  }
  priority_queue_policy [
    {
      key: 1
      value: {
        timeout_action: REJECT
        default_timeout_microseconds: 5000000
        allow_timeout_override: true
        max_queue_size: 256
      }
    },
    {
      key: 2
      value: {
        timeout_action: REJECT
        default_timeout_microseconds: 30000000
        allow_timeout_override: true
        max_queue_size: 512
      }
    }
  ]
}
model_warmup [
  {
    name: "one picture"
    batch_size: 1
    inputs {
      key: "$input"
      value: {
        data_type: TYPE_UINT8
        dims: [ $size, $size, 3 ]
        zero_data: true
      }
    }
  }
]
parameters [
  {
    key: "intra_op_thread_count"
    value: { string_value: "$threads" }
  },
  {
    key: "session.intra_op.allow_spinning"
    value: { string_value: "0" }
  }
]
"""
)

_TENSORRT = Template(
    """\
# TensorRT for the GPU container; on a CPU it is idle. An engine is built at the first load, which takes
# minutes, and kept in the cache folder; the profile is what batches it is built for.
optimization {
  execution_accelerators {
    gpu_execution_accelerator [
      {
        name: "tensorrt"
        parameters { key: "precision_mode" value: "FP16" }
        parameters { key: "trt_engine_cache_enable" value: "1" }
        parameters { key: "trt_engine_cache_path" value: "$cache" }
        parameters { key: "trt_profile_min_shapes" value: "$input:1x${size}x${size}x3" }
        parameters { key: "trt_profile_opt_shapes" value: "$input:${preferred}x${size}x${size}x3" }
        parameters { key: "trt_profile_max_shapes" value: "$input:${maximum}x${size}x${size}x3" }
      }
    ]
  }
}
"""
)


@dataclass(frozen=True, slots=True)
class ConfigOptions:
    """What a new config.pbtxt may be asked for. `tensorrt_cache`: a folder on Triton's host; None: without
    TensorRT. `threads`: of one inference on a CPU; 0 takes every core."""

    tensorrt_cache: str | None = None
    threads: int = 0


def render_config(manifest: Manifest, options: ConfigOptions | None = None) -> str:
    """Return the config.pbtxt of a model that has none yet."""
    options = options or ConfigOptions()
    values = {
        "name": manifest.name,
        "backend": BACKEND,
        "input": SERVED_INPUT,
        "output": SERVED_OUTPUT,
        "size": manifest.geometry.size,
        "maximum": manifest.batch.maximum,
        "preferred": manifest.batch.preferred,
        "threads": options.threads,
        "cache": options.tensorrt_cache,
    }
    text = _TEMPLATE.substitute(values)
    return text if options.tensorrt_cache is None else text + _TENSORRT.substitute(values)


def merge_config(existing: str, manifest: Manifest) -> str:
    """Return `existing` fit for the manifest's version as well: untouched when it is, else with as little
    changed as possible (its comments are lost then).

    Raises ManifestError (`config_mismatch`) where one file cannot serve both: another picture size, another
    backend, another model's name.
    """
    config = parse_config(existing, manifest.name)
    _check(config, manifest)
    before = config.SerializeToString(deterministic=True)
    maximum = manifest.batch.maximum
    if not 0 < config.max_batch_size <= maximum:
        config.max_batch_size = maximum
        _limit_batches(config, maximum)
    config.output[0].dims[:] = [_OPEN]
    if config.SerializeToString(deterministic=True) == before:
        return existing
    return str(text_format.MessageToString(config))


def parse_config(text: str, name: str) -> "model_config_pb2.ModelConfig":
    """Return the configuration of the model `name`. Raises ManifestError (`config_invalid`)."""
    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ManifestError(
            f"{name}/{CONFIG_NAME} cannot be read: {error}; mend it, or move it away to get a new one",
            code="config_invalid",
        ) from error


def _check(config: "model_config_pb2.ModelConfig", manifest: Manifest) -> None:
    size = manifest.geometry.size
    inputs = [(entry.name, list(entry.dims)) for entry in config.input]
    outputs = [entry.name for entry in config.output]
    expected = [(SERVED_INPUT, [size, size, 3])]
    problem = None
    if config.name not in ("", manifest.name):
        problem = f"is that of the model '{config.name}'"
    elif config.backend != BACKEND:
        problem = f"names the backend '{config.backend}', not '{BACKEND}'"
    elif inputs != expected:
        problem = f"has the inputs {inputs}, and this version needs {expected}"
    elif outputs != [SERVED_OUTPUT]:
        problem = f"has the outputs {outputs}, not '{SERVED_OUTPUT}' alone"
    if problem is not None:
        raise ManifestError(
            f"{manifest.name}/{CONFIG_NAME} {problem}; versions of one model share the file, so publish this"
            " one under another name",
            code="config_mismatch",
        )


def _limit_batches(config: "model_config_pb2.ModelConfig", maximum: int) -> None:
    batching = config.dynamic_batching
    fitting = sorted({size for size in batching.preferred_batch_size if size <= maximum})
    if batching.preferred_batch_size:
        batching.preferred_batch_size[:] = fitting or [maximum]
    for warmup in config.model_warmup:
        # The native backend crashes at a warm-up above max_batch_size.
        warmup.batch_size = min(warmup.batch_size, maximum)
