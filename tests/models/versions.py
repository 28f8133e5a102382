"""Where the shipped models lie, and a small version folder to spoil."""

import json
from dataclasses import dataclass
from pathlib import Path

import onnx
from PIL import Image
from small_nets import LABELS, SIDE, Contract, build

from orchestrator.registry.manifest import MANIFEST_NAME, Manifest, file_sha256, parse_manifest
from orchestrator.registry.reference import reference_letterbox

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"
SHIPPED = ("wd14", "custom_theme")


@dataclass(frozen=True, slots=True)
class SmallVersion:
    """A version folder of a five-label net, complete but for the prepared graph."""

    folder: Path
    manifest: Manifest

    def write(self, manifest: Manifest) -> None:
        """Put `manifest` in its place."""
        (self.folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")


def small_version(root: Path, contract: Contract) -> SmallVersion:
    """Write `root`/small/1 with graph, labels, one golden picture and manifest."""
    folder = root / "small" / "1"
    folder.mkdir(parents=True)
    onnx.save(build(contract), folder / "original.onnx")
    rows = [
        "tag_id,name,category,count",
        "1,general,9,0",
        "2,smile,0,7",
        "3,hat,0,5",
        "4,cat,0,3",
        "5,someone,4,1",
    ]
    (folder / "selected_tags.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    picture = Image.linear_gradient("L").resize((40, 60)).convert("RGB")
    picture.save(folder / "golden.png")
    draft = {
        "schema_version": 1,
        "name": "small",
        "version": 1,
        "family": "wd14",
        "vocabulary": "danbooru",
        "model_source": "danbooru",
        "geometry": {"size": SIDE, "pad_colour": [255, 255, 255], "filter": "bicubic"},
        "input": contract.input_spec.model_dump(mode="json"),
        "output": contract.output_spec.model_dump(mode="json"),
        "labels": {
            "file": "selected_tags.csv",
            "sha256": file_sha256(folder / "selected_tags.csv"),
            "format": "wd14_csv",
            "count": LABELS,
        },
        "model": {"file": "original.onnx", "sha256": file_sha256(folder / "original.onnx")},
        "served": {"file": "model.onnx", "sha256": "0" * 64},
        "source": "made by a test",
        "licence": "Apache-2.0",
        "created": "2026-01-01",
    }
    manifest = Manifest.model_validate_json(_json(draft))
    tensor = reference_letterbox(picture, manifest.geometry.record())
    Image.fromarray(tensor).save(folder / "golden.tensor.png")
    draft["golden"] = [
        {
            "file": "golden.png",
            "sha256": file_sha256(folder / "golden.png"),
            "tensor": {"file": "golden.tensor.png", "sha256": file_sha256(folder / "golden.tensor.png")},
            "scores": {"general": 0.5, "smile": 0.5, "hat": 0.5, "cat": 0.5, "someone": 0.5},
            "score_tolerance": 0.01,
        }
    ]
    version = SmallVersion(folder, parse_manifest(_json(draft)))
    version.write(version.manifest)
    return version


def _json(value: object) -> str:
    return json.dumps(value)
