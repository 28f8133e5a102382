"""Versions of the theme model with another head on the same frozen embedding, made without training."""

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from orchestrator.registry.manifest import (
    MANIFEST_NAME,
    HashedFile,
    file_sha256,
    parse_manifest,
    read_manifest,
)

LAST_LAYER = ("head.layers.3.weight", "head.layers.3.bias")


def write_head(shipped: Path, folder: Path, *, swapped: tuple[int, int] | None = None) -> Path:
    """Write a copy of the shipped version in `shipped` to `folder`, to be published; returns it.

    `swapped`: two labels whose training data were mixed up. A head that is fitted so ends up with the rows of
    these labels exchanged, and with nothing else changed: they are exchanged here. Its golden pictures are
    left out, for with the wrong scores in them the checks would refuse the version before anybody sees it.
    """
    shutil.copytree(shipped, folder, dirs_exist_ok=True)
    manifest = read_manifest(shipped)
    graph = folder / manifest.model.file
    if swapped is not None:
        model = onnx.load(graph)
        for tensor in model.graph.initializer:
            if tensor.name in LAST_LAYER:
                rows = np.array(numpy_helper.to_array(tensor))
                rows[list(swapped)] = rows[list(swapped[::-1])]
                tensor.CopyFrom(numpy_helper.from_array(rows, tensor.name))
        onnx.save(model, graph)
        (folder / manifest.prepared.file).unlink()
        model_file = HashedFile(file=manifest.model.file, sha256=file_sha256(graph))
        manifest = manifest.model_copy(update={"model": model_file, "served": None, "golden": ()})
        shutil.rmtree(folder / "golden", ignore_errors=True)
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2, exclude_none=True))
    parse_manifest((folder / MANIFEST_NAME).read_text())
    return folder
