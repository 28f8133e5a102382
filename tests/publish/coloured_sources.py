"""Source folders as engineers hand them in: a tiny tagger whose answers a person can predict.

It sees how much of each colour a picture has. It takes float BGR 0–255 NHWC like WD14 and gives
probabilities; `gain` makes two versions answer differently.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from orchestrator.registry.manifest import MANIFEST_NAME, file_sha256

SIZE = 32
COLOUR = (200, 120, 40)
NAMES = ("red", "green", "blue", "bright", "warm")


@dataclass(frozen=True)
class Source:
    """What to hand in. `labels`: how many of NAMES; `claims_rgb`: the manifest lies about the channels."""

    name: str = "colours"
    version: int = 1
    labels: int = 3
    gain: float = 1.0
    size: int = SIZE
    claims_rgb: bool = False
    model_file: str = "model.onnx"
    maximum: int = 16

    def write(self, root: Path) -> Path:
        """Write the folder `root`/<name>/<version>; returns it."""
        folder = root / self.name / str(self.version)
        (folder / "golden").mkdir(parents=True)
        onnx.save(self._model(), folder / self.model_file)
        rows = [f"{i + 1},{name},0,{9 - i}" for i, name in enumerate(NAMES[: self.labels])]
        (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *rows, ""]))
        for file in ("picture.png", "tensor.png"):
            Image.new("RGB", (self.size, self.size), COLOUR).save(folder / "golden" / file)
        (folder / MANIFEST_NAME).write_text(json.dumps(self._manifest(folder), indent=2))
        return folder

    def expected(self) -> np.ndarray:
        """The probabilities of the golden picture, float32 [labels]."""
        return (np.array(COLOUR, np.float32) / 255 @ self._weights()).astype(np.float32)

    def _weights(self) -> np.ndarray:
        columns = np.concatenate([np.eye(3), np.full((3, 1), 1 / 3), [[0.5], [0.3], [0.2]]], axis=1)
        return (columns[:, : self.labels] * self.gain).astype(np.float32)

    def _model(self) -> onnx.ModelProto:
        nodes = [
            helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=0),
            helper.make_node("Div", ["mean", "full"], ["bgr"]),
            helper.make_node("MatMul", ["bgr", "weights"], ["output"]),
        ]
        constants = [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array(np.array(255, np.float32), "full"),
            numpy_helper.from_array(np.ascontiguousarray(self._weights()[::-1]), "weights"),
        ]
        graph = helper.make_graph(
            nodes,
            "colours",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", self.size, self.size, 3])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", self.labels])],
            constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    def _manifest(self, folder: Path) -> dict[str, object]:
        def hashed(file: str) -> dict[str, object]:
            return {"file": file, "sha256": file_sha256(folder / file)}

        scores = dict(zip(NAMES, map(float, self.expected()), strict=False))
        return {
            "schema_version": 1,
            "name": self.name,
            "version": self.version,
            "family": "colours",
            "vocabulary": "danbooru",
            "model_source": "danbooru",
            "geometry": {"size": self.size, "pad_colour": [255, 255, 255], "filter": "bicubic"},
            "input": {
                "name": "input",
                "layout": "NHWC",
                "channel_order": "RGB" if self.claims_rgb else "BGR",
                "value_range": [0, 255],
            },
            "output": {"name": "output", "activation": "probabilities"},
            "labels": {**hashed("selected_tags.csv"), "format": "wd14_csv", "count": self.labels},
            "model": hashed(self.model_file),
            "batch": {"maximum": self.maximum, "preferred": min(8, self.maximum)},
            "source": "made by a test",
            "licence": "Apache-2.0",
            "created": "2026-01-01",
            "golden": [
                {
                    **hashed("golden/picture.png"),
                    "tensor": hashed("golden/tensor.png"),
                    "scores": scores,
                    "score_tolerance": 0.01,
                }
            ],
        }
