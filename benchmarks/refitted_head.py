"""Versions of the demonstration tagger whose head was fitted anew for two labels on its frozen embedding: as
they were drawn, or deliberately the wrong way round. numpy only."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from orchestrator.demo.portraits.render import draw_portrait
from orchestrator.images.prepare import prepare
from orchestrator.registry.first_golden import write_golden
from orchestrator.registry.graph import with_output
from orchestrator.registry.labels import read_labels
from orchestrator.registry.manifest import MANIFEST_NAME, file_sha256, read_manifest_file
from orchestrator.registry.verify import open_session, run_raw

SWAPPED = ("long_hair", "short_hair")
EMBEDDING, WEIGHT, BIAS = "hardswish", "net.classify.weight", "net.classify.bias"
PORTRAITS = 200
FIRST_SEED = 30_000_000
"""Apart from training, evaluation and the demo."""

_ROUNDS, _RIDGE, _LONGER_SIDE = 12, 1.0, 480

Floats = NDArray[np.float64]


class Fit:
    """The embeddings of some portraits, and which of the two labels was drawn on each."""

    def __init__(self, source: Path) -> None:
        """Draw portraits and look at them. `source`: the shipped version's folder; takes half a minute."""
        self._source = source
        manifest = read_manifest_file(source)
        graph = with_output(onnx.load(source / manifest.model.file), EMBEDDING)
        session = open_session(graph.SerializeToString(), threads=0)
        geometry = manifest.geometry.record()
        rows, drawn = [], []
        for seed in range(FIRST_SEED, FIRST_SEED + PORTRAITS):
            portrait = draw_portrait(seed, longer_side=_LONGER_SIDE)
            file = io.BytesIO()
            portrait.image.convert("RGB").save(file, "JPEG", quality=90)
            tensor = prepare(file.getvalue(), [geometry]).tensors[geometry]
            rows.append(run_raw(session, tensor[None], manifest.input, EMBEDDING)[0])
            drawn.append([label in portrait.labels for label in SWAPPED])
        self._embedding = np.array(rows, dtype=np.float64)
        self._drawn = np.array(drawn, dtype=np.float64)

    def write(self, folder: Path, *, swapped: bool) -> Path:
        """Write a version with the two labels fitted as drawn, or `swapped`; returns its folder."""
        shutil.copytree(self._source, folder)
        manifest = read_manifest_file(folder)
        graph = onnx.load(folder / manifest.model.file)
        tensors = {one.name: one for one in graph.graph.initializer}
        weight, bias = (numpy_helper.to_array(tensors[name]).copy() for name in (WEIGHT, BIAS))
        names = [label.name for label in read_labels(folder, manifest)]
        drawn = self._drawn[:, ::-1] if swapped else self._drawn
        for label, wanted in zip(SWAPPED, drawn.T, strict=True):
            row = names.index(label)
            *weight[row], bias[row] = _logistic(self._embedding, wanted)
        for name, values in ((WEIGHT, weight), (BIAS, bias)):
            tensors[name].CopyFrom(numpy_helper.from_array(values, name))
        onnx.save(graph, folder / manifest.model.file)
        hashed = manifest.model.model_copy(update={"sha256": file_sha256(folder / manifest.model.file)})
        pictures = [folder / golden.file for golden in manifest.golden]
        fitted = manifest.model_copy(update={"model": hashed, "served": None, "golden": ()})
        fitted = fitted.model_copy(update={"golden": write_golden(folder, fitted, pictures)})
        (folder / MANIFEST_NAME).write_text(json.dumps(fitted.model_dump(mode="json")))
        return folder


def _logistic(embedding: Floats, wanted: Floats) -> Floats:
    """Return weights and bias [D + 1] of a ridge-penalised logistic regression, by Newton's method."""
    inputs = np.column_stack([embedding, np.ones(len(embedding))])
    penalty = _RIDGE * np.diag([*[1.0] * embedding.shape[1], 1e-6])
    weights = np.zeros(inputs.shape[1])
    for _ in range(_ROUNDS):
        said = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (said - wanted) + penalty @ weights
        bend = (inputs * (said * (1 - said) + 1e-9)[:, None]).T @ inputs + penalty
        weights -= np.linalg.solve(bend, slope)
    return weights
