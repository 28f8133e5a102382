"""Reading an ONNX file with care: what it really is, its external data, its size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError as ProtobufDecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, external_data_helper

from orchestrator.errors import GraphPreparationError, ManifestError
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.manifest import file_inside
from orchestrator.registry.names import LARGEST_MODEL

_HEAD = 512
_WEB_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
_OTHER_FORMATS = {b"\x89HDF": "an HDF5 file (Keras)", b"GGUF": "a GGUF file", b"\x93NUMPY": "a NumPy array"}


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A graph with all its weights in it, and the files, relative to the folder, that those came from."""

    model: onnx.ModelProto
    data_files: frozenset[str]


def load_model(folder: Path, name: str) -> ModelFile:
    """Return the ONNX graph in the file `name` of `folder`, its external data in it.

    Raises GraphPreparationError, with what is wrong as its code: no ONNX at all, damaged, too large, or its
    external data missing, damaged or outside the folder; ManifestError when there is no such file.
    """
    path = file_inside(folder, name)
    refuse_other_formats(path)
    try:
        model = onnx.load(path, load_external_data=False)
    except ProtobufDecodeError as error:
        raise GraphPreparationError(
            f"{name} cannot be read as ONNX; it may be cut off or damaged: {error}",
            code=CheckCode.MODEL_UNREADABLE,
        ) from error
    if not model.graph.node:
        raise GraphPreparationError(f"{name} has no graph in it", code=CheckCode.MODEL_UNREADABLE)
    size = path.stat().st_size + sum(
        _check_external(path.parent, folder, tensor) for tensor in _external_tensors(model)
    )
    if size > LARGEST_MODEL:
        raise _too_large(name, size)
    beside = path.parent.relative_to(folder)
    files = frozenset((beside / _external(tensor)[0]).as_posix() for tensor in _external_tensors(model))
    external_data_helper.load_external_data_for_model(model, str(path.parent))
    return ModelFile(model, files)


def refuse_other_formats(path: Path) -> None:
    """Look at a file's first bytes. Raises GraphPreparationError when they are surely no ONNX graph's."""
    size = path.stat().st_size
    if size > LARGEST_MODEL:
        raise _too_large(path.name, size)
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    found = _other_format(head)
    if found is not None:
        code, what = found
        raise GraphPreparationError(f"{path.name} is {what}", code=code)


def _other_format(head: bytes) -> tuple[CheckCode, str] | None:
    start = head.lstrip().lower()
    if not head:
        return CheckCode.MODEL_EMPTY, "empty"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return CheckCode.MODEL_IS_PICKLE, "a Python pickle, not an ONNX graph"
    if head[:4] == b"PK\x03\x04":
        return CheckCode.MODEL_IS_ARCHIVE, "a ZIP archive, as PyTorch saves checkpoints, not an ONNX graph"
    if head[:2] == b"\x1f\x8b":
        return CheckCode.MODEL_IS_ARCHIVE, "a gzip archive, not an ONNX graph"
    if start.startswith(_WEB_PAGES):
        return CheckCode.MODEL_IS_WEB_PAGE, "a web page, not an ONNX graph"
    if start.startswith(b"version https://git-lfs"):
        return CheckCode.MODEL_IS_POINTER, "a Git LFS pointer, not the file that it stands for"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < LARGEST_MODEL:
        return CheckCode.MODEL_IS_OTHER_FORMAT, "a safetensors file: weights without a graph"
    for magic, what in _OTHER_FORMATS.items():
        if head.startswith(magic):
            return CheckCode.MODEL_IS_OTHER_FORMAT, what
    return None


def _external_tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    for tensor in _tensors(model.graph):
        if external_data_helper.uses_external_data(tensor):
            yield tensor
    for function in model.functions:
        for tensor in _node_tensors(function.node):
            if external_data_helper.uses_external_data(tensor):
                yield tensor


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
            for graph in attribute.graphs:
                yield from _tensors(graph)


def _external(tensor: TensorProto) -> tuple[str, int, int | None]:
    """Return where a tensor's bytes are: file, offset, length. Raises GraphPreparationError."""
    facts = {entry.key: entry.value for entry in tensor.external_data}
    try:
        offset = int(facts.get("offset") or 0)
        length = int(facts["length"]) if facts.get("length") else None
    except ValueError as error:
        raise GraphPreparationError(
            f"the tensor '{tensor.name}' does not say where its data is: {error}",
            code=CheckCode.EXTERNAL_DATA_DAMAGED,
        ) from error
    return facts.get("location", ""), offset, length


def _check_external(beside: Path, folder: Path, tensor: TensorProto) -> int:
    """Return how many bytes a tensor takes from a file that is there, inside `folder` and long enough."""
    location, offset, length = _external(tensor)
    try:
        path = file_inside(beside, location)
    except ManifestError as error:
        missing = error.code == CheckCode.FILE_NOT_THERE
        raise GraphPreparationError(
            f"the weights '{tensor.name}' are in another file: {error.detail}",
            code=CheckCode.EXTERNAL_DATA_MISSING if missing else CheckCode.PATH_OUTSIDE,
        ) from error
    if not path.resolve().is_relative_to(folder.resolve()):
        raise GraphPreparationError(
            f"the weights '{tensor.name}' lie in {location}, outside", code=CheckCode.PATH_OUTSIDE
        )
    size = path.stat().st_size
    count = size - offset if length is None else length
    if offset < 0 or count < 0 or offset + count > size:
        raise GraphPreparationError(
            f"{location} is too short: '{tensor.name}' is said to be at {offset}, {count} bytes long, and the"
            f" file has {size}",
            code=CheckCode.EXTERNAL_DATA_DAMAGED,
        )
    return count


def _too_large(name: str, size: int) -> GraphPreparationError:
    return GraphPreparationError(
        f"{name} and its weights have {size:,} bytes; {LARGEST_MODEL:,} are the most",
        code=CheckCode.MODEL_TOO_LARGE,
    )
