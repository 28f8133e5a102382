"""The manifest that every model version ships: what its graph expects, what its answers mean, its checks.

Source of the fields: DESIGN 3, "WD14 contract" and "One wire format for every model". A manifest is JSON,
`manifest.json` in the version's folder; its paths are relative to that folder. docs/manifest.md explains
every field to those who write one.
"""

import hashlib
import json
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.errors import ManifestError
from orchestrator.records import Geometry, LabelCategory, Vocabulary
from orchestrator.registry.codes import CheckCode

MANIFEST_NAME = "manifest.json"
LARGEST_MANIFEST = 16 * 1024 * 1024
"""Bytes. Three golden pictures of 10,861 labels, every score written out, are 1.2 MB."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Byte = Annotated[int, Field(ge=0, le=255)]
ThreeFloats = tuple[float, float, float]


def is_inside(name: str) -> bool:
    """Whether a file's name is a relative path that stays in its folder, on any system."""
    path = PurePosixPath(name)
    return (
        bool(path.parts)
        and name.isprintable()
        and not (path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name)
    )


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class HashedFile(_Part):
    """A file below the version's folder and its SHA-256 in hex."""

    file: str
    sha256: Sha256

    @field_validator("file")
    @classmethod
    def _stay_inside(cls, value: str) -> str:
        if not is_inside(value):
            raise PydanticCustomError("path_outside", "must be a relative path inside the version's folder")
        return value


class GeometrySpec(_Part):
    """How a picture becomes a square (records.Geometry); transparency goes on the pad colour first."""

    size: int = Field(ge=32, le=2048)
    pad_colour: tuple[Byte, Byte, Byte]
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos"]

    def record(self) -> Geometry:
        """Return the same as the record that passes between stages."""
        return Geometry(self.size, self.pad_colour, self.filter)


class InputSpec(_Part):
    """What the original graph wants: float32 of one layout, channel order, range and normalisation.

    A byte b becomes (low + b * (high - low) / 255 - mean) / std; `mean` and `std` are given in the order
    of `channel_order`.
    """

    name: str = Field(min_length=1)
    layout: Literal["NHWC", "NCHW"]
    channel_order: Literal["RGB", "BGR"]
    value_range: tuple[float, float]
    mean: ThreeFloats = (0.0, 0.0, 0.0)
    std: ThreeFloats = (1.0, 1.0, 1.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.value_range
        if not low < high:
            raise ValueError("value_range must rise")
        if any(deviation <= 0 for deviation in self.std):
            raise ValueError("std must be positive")
        return self


class OutputSpec(_Part):
    """What the original graph answers: `probabilities` (a sigmoid is in the graph) or `logits`, [N, L].

    `embedding`: the tensor inside the graph, [N, …], that later heads want to see; None: no one does.
    """

    name: str = Field(min_length=1)
    activation: Literal["probabilities", "logits"]
    embedding: str | None = Field(default=None, min_length=1)

    @field_validator("activation", mode="before")
    @classmethod
    def _former_name(cls, value: object) -> object:
        """The first manifests called probabilities by what makes them."""
        return "probabilities" if value == "sigmoid" else value


class LabelsSpec(HashedFile):
    """The labels file, one label an output, in order.

    `wd14_csv`: columns `name` and `category`, others allowed; `best_threshold` is honoured. `text`: one name
    a line, a category after a tab where it is not general. `board_csv`: index,external_id,title of tags.
    `categories` says what the file's own words or numbers for categories mean, beyond WD14's.
    """

    format: Literal["wd14_csv", "text", "board_csv"]
    count: int = Field(ge=1)
    categories: dict[str, LabelCategory] = Field(default_factory=dict)


class ThresholdsSpec(_Part):
    """The version's own advice on raw-score floors; `None`: no opinion, the installation's default counts.

    `by_label` is keyed by label name and stands above the category's floor.
    """

    general: Probability | None = None
    character: Probability | None = None
    board: Probability | None = None
    by_label: dict[str, Probability] = Field(default_factory=dict)


class BatchSpec(_Part):
    """How many pictures a request may hold, and how many are best sent at once."""

    maximum: int = Field(ge=1, le=1024)
    preferred: int = Field(ge=1, le=1024)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.preferred > self.maximum:
            raise ValueError("preferred must not exceed maximum")
        return self


class Figures(_Part):
    """What was measured on one set of pictures: macro-F1 over labels, and the weakest label."""

    what: str
    images: int = Field(ge=1)
    threshold: Probability
    macro_f1: Probability
    weakest_label: str
    weakest_f1: Probability


class TrainingSpec(_Part):
    """Where the weights come from, and how good they were found to be."""

    data: str
    images: int | None = None
    held_out: Figures | None = None
    others: tuple[Figures, ...] = ()


class GoldenSpec(HashedFile):
    """A picture with known answers.

    `tensor`: a lossless RGB picture of the expected UINT8 tensor [S, S, 3]. `scores`: the expected
    probability of every label, or of the most telling ones: those left out are at most `others_at_most`.
    `tensor_tolerance` in 0–255 steps, `score_tolerance` in probability; both bound the largest difference.
    """

    tensor: HashedFile
    tensor_tolerance: int = Field(default=1, ge=0, le=8)
    scores: dict[str, Probability] = Field(min_length=1)
    others_at_most: Probability | None = None
    score_tolerance: float = Field(gt=0, le=0.05)


class Manifest(_Part):
    """A model version's manifest, schema version 1.

    `model` is the graph as its family exports it, `model_data` the files of weights beside it; `served` the
    prepared graph that Triton serves, `None` until it has been prepared.
    `model_source` is what suggestions show as their source.
    """

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    version: int = Field(ge=1)
    family: str = Field(min_length=1)
    vocabulary: Vocabulary
    model_source: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    geometry: GeometrySpec
    input: InputSpec
    output: OutputSpec
    labels: LabelsSpec
    model: HashedFile
    model_data: tuple[HashedFile, ...] = ()
    served: HashedFile | None = None
    thresholds: ThresholdsSpec = ThresholdsSpec()
    batch: BatchSpec = BatchSpec(maximum=16, preferred=8)
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    created: date
    training: TrainingSpec | None = None
    golden: tuple[GoldenSpec, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        unfit = "wd14_csv" if self.vocabulary is Vocabulary.BOARD else "board_csv"
        if self.labels.format == unfit:
            fit = "board_csv" if unfit == "wd14_csv" else "wd14_csv"
            raise ValueError(f"vocabulary '{self.vocabulary}' needs labels in the format '{fit}' or 'text'")
        if self.served is not None and self.served.file in (self.model.file, self.labels.file):
            raise ValueError("served must be a file of its own")
        return self

    def files(self) -> tuple[HashedFile, ...]:
        """Return every file that the manifest vouches for."""
        golden = [part for picture in self.golden for part in (picture, picture.tensor)]
        served = () if self.served is None else (self.served,)
        return (self.labels, self.model, *self.model_data, *served, *golden)

    @property
    def prepared(self) -> HashedFile:
        """The prepared graph. Raises ManifestError (`not_prepared`) when there is none yet."""
        if self.served is None:
            raise ManifestError(
                f"{self.name} {self.version} has no prepared graph: `tagdesk models publish` prepares it",
                code="not_prepared",
            )
        return self.served

    def renamed(self, name: str, version: int) -> "Manifest":
        """Return the manifest of the same model under another name and number. Raises ManifestError."""
        content = self.model_dump(mode="json") | {"name": name, "version": version}
        return parse_manifest(json.dumps(content))

    def to_json(self) -> str:
        """Return the manifest as it is stored: indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def parse_manifest(text: str) -> Manifest:
    """Return the manifest in `text`. Raises ManifestError, naming every field that does not fit."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        outside = any(problem["type"] == "path_outside" for problem in error.errors())
        raise ManifestError(
            describe_problems(error),
            code=CheckCode.PATH_OUTSIDE if outside else CheckCode.MANIFEST_INVALID,
        ) from error


def describe_problems(error: ValidationError) -> str:
    """Return every field that does not fit, with why, in one sentence."""
    problems = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'manifest'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    )
    return f"the manifest does not fit schema version 1: {problems}"


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the version in `folder` (`…/<name>/<version>`), its files unchecked.

    Raises ManifestError when it is missing, malformed, or not that folder's.
    """
    manifest = read_manifest_file(folder)
    if (manifest.name, str(manifest.version)) != (folder.parent.name, folder.name):
        raise ManifestError(
            f"the manifest speaks of {manifest.name}/{manifest.version},"
            f" but lies in {folder.parent.name}/{folder.name}"
        )
    return manifest


def read_manifest_file(folder: Path) -> Manifest:
    """Return the manifest in `folder`, whatever the folder is called. Raises ManifestError when it is
    missing, malformed or larger than `LARGEST_MANIFEST`."""
    path = folder / MANIFEST_NAME
    where = f"{MANIFEST_NAME} of {folder.parent.name}/{folder.name}"
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise ManifestError(f"{where} is larger than {LARGEST_MANIFEST} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise ManifestError(
            f"{where} cannot be read: {error}",
            code=CheckCode.MANIFEST_MISSING if missing else CheckCode.MANIFEST_INVALID,
        ) from error
    return parse_manifest(text)


def file_inside(folder: Path, name: str) -> Path:
    """Return the file `name` of `folder`. Raises ManifestError when it is none (`file_not_there`), or when a
    link leads out of the folder (`path_outside`)."""
    path = folder / name
    if not is_inside(name) or not path.resolve().is_relative_to(folder.resolve()):
        raise ManifestError(f"{name} leads out of the version's folder", code=CheckCode.PATH_OUTSIDE)
    if not path.is_file():
        raise ManifestError(f"{name} is missing", code=CheckCode.FILE_NOT_THERE)
    return path


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file's SHA-256 with the manifest's. Raises ManifestError on the first difference."""
    for part in manifest.files():
        try:
            path = file_inside(folder, part.file)
        except ManifestError as error:
            raise ManifestError(
                f"{manifest.name}/{manifest.version}: {error.detail}", code=error.code
            ) from error
        if file_sha256(path) != part.sha256:
            raise ManifestError(
                f"{manifest.name}/{manifest.version}: {part.file} is not the file it was (sha256)",
                code=CheckCode.FILE_CHANGED,
            )


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
