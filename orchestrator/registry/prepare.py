"""From a version's original graph to the one that Triton serves."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError as ProtobufDecodeError  # type: ignore[import-untyped]

from orchestrator.errors import GraphPreparationError
from orchestrator.registry.golden import load_tensor
from orchestrator.registry.graph import prepare_graph
from orchestrator.registry.manifest import HashedFile, Manifest, file_sha256
from orchestrator.registry.verify import Equality, verify_graph


@dataclass(frozen=True, slots=True)
class PreparedGraph:
    """A written, verified graph."""

    served: HashedFile
    equality: Equality


def prepare_version(folder: Path, manifest: Manifest) -> PreparedGraph:
    """Prepare `manifest.model` of the version in `folder` and write `manifest.served` once it is verified.

    The golden tensors are among the pictures that it is verified with. The manifest's `served.sha256` is not
    looked at; the new one is returned. Raises GraphPreparationError, and then writes nothing.
    """
    path = folder / manifest.model.file
    try:
        original = onnx.load(path)
    except (OSError, ProtobufDecodeError) as error:
        raise GraphPreparationError(f"{manifest.model.file} cannot be read as ONNX: {error}") from error
    prepared = prepare_graph(
        original, manifest.input, manifest.output, size=manifest.geometry.size, labels=manifest.labels.count
    )
    serialised = prepared.SerializeToString()
    target_name = "model.onnx" if manifest.served is None else manifest.served.file
    equality = verify_graph(
        original.SerializeToString(),
        serialised,
        manifest.input,
        manifest.output,
        size=manifest.geometry.size,
        images=[load_tensor(folder, golden) for golden in manifest.golden],
    )
    target = folder / target_name
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(serialised)
    partial.replace(target)
    return PreparedGraph(HashedFile(file=target_name, sha256=file_sha256(target)), equality)
