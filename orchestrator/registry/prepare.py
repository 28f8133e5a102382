"""From a version's original graph to the one that Triton serves."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from orchestrator.errors import GraphPreparationError
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.golden import load_tensor
from orchestrator.registry.graph import fixed_batch, prepare_graph, with_output
from orchestrator.registry.manifest import HashedFile, Manifest, OutputSpec, file_sha256
from orchestrator.registry.model_file import load_model
from orchestrator.registry.names import SERVED_FILE
from orchestrator.registry.verify import BATCHES, SINGLE, Equality, verify_graph

# How a graph fails whose inside bears no batch but the one that it was exported with.
_FAILURES_OF_BATCHES = frozenset(
    {
        CheckCode.PREPARATION_FAILED,
        CheckCode.GRAPH_UNLOADABLE,
        CheckCode.GRAPH_FAILS,
        CheckCode.PREPARATION_DIFFERS,
    }
)


@dataclass(frozen=True, slots=True)
class ProvedGraph:
    """A prepared graph, serialised, that was proved equal to its original.

    `batched`: whether it takes several pictures at once; `fixed`: the batch that the original insists on.
    """

    graph: bytes
    equality: Equality
    batched: bool
    fixed: int | None


@dataclass(frozen=True, slots=True)
class PreparedGraph:
    """A written, verified graph."""

    served: HashedFile
    equality: Equality
    batched: bool


def prove(folder: Path, manifest: Manifest, original: onnx.ModelProto, *, threads: int = 1) -> ProvedGraph:
    """Prepare `original`, whose data is in it, and prove the result equal, in batches if it can be.

    The golden tensors of the version in `folder` are among the pictures. A graph that fails in batches is
    prepared for single pictures. Raises GraphPreparationError.
    """
    fixed = fixed_batch(original, manifest.input.name)
    try:
        graph, equality = _attempt(folder, manifest, original, batched=True, threads=threads)
        return ProvedGraph(graph, equality, batched=True, fixed=fixed)
    except GraphPreparationError as error:
        if error.code not in _FAILURES_OF_BATCHES:
            raise
        if fixed not in (None, 1):
            raise GraphPreparationError(
                f"the graph insists on batches of {fixed}, and cannot be opened: {error.detail}",
                code=CheckCode.BATCH_FIXED,
            ) from error
    graph, equality = _attempt(folder, manifest, original, batched=False, threads=threads)
    return ProvedGraph(graph, equality, batched=False, fixed=fixed)


def original_bytes(original: onnx.ModelProto, spec: OutputSpec) -> bytes:
    """Return an original serialised, giving its embedding too where the manifest names one."""
    model = original if spec.embedding is None else with_output(original, spec.embedding)
    serialised: bytes = model.SerializeToString()
    return serialised


def prepare_version(folder: Path, manifest: Manifest) -> PreparedGraph:
    """Prepare `manifest.model` of the version in `folder` and write `manifest.served` once it is verified.

    The manifest's `served.sha256` is not looked at; the new one is returned. Raises GraphPreparationError or
    ManifestError, and then writes nothing.
    """
    proved = prove(folder, manifest, load_model(folder, manifest.model.file).model)
    target_name = SERVED_FILE if manifest.served is None else manifest.served.file
    target = folder / target_name
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(proved.graph)
    partial.replace(target)
    return PreparedGraph(
        HashedFile(file=target_name, sha256=file_sha256(target)), proved.equality, proved.batched
    )


def _attempt(
    folder: Path, manifest: Manifest, original: onnx.ModelProto, *, batched: bool, threads: int
) -> tuple[bytes, Equality]:
    size = manifest.geometry.size
    prepared = prepare_graph(
        original,
        manifest.input,
        manifest.output,
        size=size,
        labels=manifest.labels.count,
        batched=batched,
    ).SerializeToString()
    equality = verify_graph(
        original_bytes(original, manifest.output),
        prepared,
        manifest.input,
        manifest.output,
        size=size,
        images=[load_tensor(folder, golden) for golden in manifest.golden],
        batches=BATCHES if batched else SINGLE,
        threads=threads,
    )
    return prepared, equality
