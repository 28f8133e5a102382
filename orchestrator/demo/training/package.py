"""Version folders: exported graph, labels, golden pictures, prepared graph, manifest."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import onnx

from orchestrator.demo.portraits.vocabulary import CHARACTERS, GENERAL, LABELS, RATINGS, THEMES
from orchestrator.demo.training.golden import write_golden
from orchestrator.records import Float32Tensor, Uint8Tensor, Vocabulary
from orchestrator.registry.labels import BOARD_COLUMNS, WD14_COLUMNS, read_labels
from orchestrator.registry.manifest import (
    MANIFEST_NAME,
    BatchSpec,
    Figures,
    GeometrySpec,
    HashedFile,
    InputSpec,
    LabelsSpec,
    Manifest,
    OutputSpec,
    ThresholdsSpec,
    TrainingSpec,
    file_sha256,
    read_manifest,
)
from orchestrator.registry.prepare import prepare_version
from orchestrator.registry.verify import open_session, run_original

GEOMETRY = GeometrySpec(size=448, pad_colour=(255, 255, 255), filter="bicubic")
WD14_INPUT = InputSpec(name="input", layout="NHWC", channel_order="BGR", value_range=(0.0, 255.0))
WD14_OUTPUT = OutputSpec(name="output", activation="probabilities")
THEME_INPUT = InputSpec(
    name="pixels",
    layout="NCHW",
    channel_order="RGB",
    value_range=(0.0, 1.0),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
THEME_OUTPUT = OutputSpec(name="logits", activation="logits")

_UNKNOWN = "0" * 64


@dataclass(frozen=True, slots=True)
class Recipe:
    """What distinguishes one demonstration model's folder from the other's."""

    name: str
    family: str
    vocabulary: Vocabulary
    model_source: str
    input: InputSpec
    output: OutputSpec
    labels_file: str
    labels_count: int


WD14 = Recipe(
    "wd14", "wd14", Vocabulary.DANBOORU, "danbooru", WD14_INPUT, WD14_OUTPUT, "selected_tags.csv", len(LABELS)
)
CUSTOM_THEME = Recipe(
    "custom_theme",
    "demo-theme-head",
    Vocabulary.BOARD,
    "custom_theme",
    THEME_INPUT,
    THEME_OUTPUT,
    "labels.csv",
    len(THEMES),
)


def write_version(
    repository: Path, recipe: Recipe, original: onnx.ModelProto, images: int, thresholds: ThresholdsSpec
) -> Manifest:
    """Write version 1 of a model: everything but the figures and the model card. Returns its manifest.

    `images`: how many drawings it was trained on. Raises GraphPreparationError.
    """
    folder = repository / recipe.name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    labels_path = folder / recipe.labels_file
    _write_labels(recipe, labels_path)
    original_path = folder / "original.onnx"
    onnx.save(original, original_path)
    manifest = Manifest(
        schema_version=1,
        name=recipe.name,
        version=1,
        family=recipe.family,
        vocabulary=recipe.vocabulary,
        model_source=recipe.model_source,
        geometry=GEOMETRY,
        input=recipe.input,
        output=recipe.output,
        labels=LabelsSpec(
            file=recipe.labels_file,
            sha256=file_sha256(labels_path),
            format="wd14_csv" if recipe.vocabulary is Vocabulary.DANBOORU else "board_csv",
            count=recipe.labels_count,
        ),
        model=HashedFile(file="original.onnx", sha256=file_sha256(original_path)),
        served=HashedFile(file="model.onnx", sha256=_UNKNOWN),
        thresholds=thresholds,
        batch=BatchSpec(maximum=16, preferred=8),
        source="Trained by orchestrator.demo.training on portraits drawn by orchestrator.demo.portraits",
        licence="Apache-2.0",
        created=date.today(),  # noqa: DTZ011 - a date on a label
        training=TrainingSpec(data="drawn portraits, seeds 0 and up", images=images),
    )
    session = open_session(original_path.read_bytes())

    def ask(tensor: Uint8Tensor) -> Float32Tensor:
        answer: Float32Tensor = run_original(session, tensor[None], manifest.input, manifest.output)[0]
        return answer

    golden = write_golden(folder, manifest.geometry.record(), read_labels(folder, manifest), ask)
    manifest = manifest.model_copy(update={"golden": golden})
    prepared = prepare_version(folder, manifest)
    manifest = manifest.model_copy(update={"served": prepared.served})
    write_manifest(repository, manifest)
    return manifest


def add_figures(repository: Path, name: str, held_out: Figures, others: Sequence[Figures]) -> Manifest:
    """Write what was measured into the manifest of version 1 of `name`; return the new manifest."""
    manifest = read_manifest(repository / name / "1")
    training = manifest.training or TrainingSpec(data="unknown")
    training = training.model_copy(update={"held_out": held_out, "others": tuple(others)})
    manifest = manifest.model_copy(update={"training": training})
    write_manifest(repository, manifest)
    return manifest


def write_manifest(repository: Path, manifest: Manifest) -> None:
    """Write a manifest to its place in `repository`."""
    path = repository / manifest.name / str(manifest.version) / MANIFEST_NAME
    path.write_text(manifest.to_json(), encoding="utf-8")


def _write_labels(recipe: Recipe, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if recipe.vocabulary is Vocabulary.BOARD:
            writer.writerow(BOARD_COLUMNS)
            writer.writerows((i, theme.external_id, theme.title) for i, theme in enumerate(THEMES))
            return
        writer.writerow(WD14_COLUMNS)
        categories = [9] * len(RATINGS) + [0] * len(GENERAL) + [4] * len(CHARACTERS)
        # Danbooru's numbers and counts mean nothing for drawings: running numbers, and zero.
        writer.writerows(
            (900_000_000 + i, name, category, 0)
            for i, (name, category) in enumerate(zip(LABELS, categories, strict=True))
        )
