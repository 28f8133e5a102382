"""A first manifest: from what a family is known for, what the graph shows, and what the engineer says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from orchestrator.errors import GraphPreparationError, InvalidInput, ManifestError, ModelError
from orchestrator.records import Vocabulary
from orchestrator.registry.check.run import CheckLimits, run_job
from orchestrator.registry.check.wire import Job, Look, Port
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.first_golden import write_golden
from orchestrator.registry.labels import BOARD_COLUMNS, parse_labels
from orchestrator.registry.manifest import (
    MANIFEST_NAME,
    BatchSpec,
    GeometrySpec,
    HashedFile,
    InputSpec,
    LabelsSpec,
    Manifest,
    OutputSpec,
    describe_problems,
    file_inside,
    file_sha256,
)
from orchestrator.registry.presets import CONTRACTS, Contract, Preset, Triple

T = TypeVar("T")

_CHANNELS = 3
_SPATIAL = 4


@dataclass(frozen=True, slots=True)
class Said:
    """What the engineer says, which counts more than what is seen or known; `None`: nothing."""

    size: int | None = None
    pad_colour: tuple[int, int, int] | None = None
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None
    layout: Literal["NHWC", "NCHW"] | None = None
    channel_order: Literal["RGB", "BGR"] | None = None
    value_range: tuple[float, float] | None = None
    mean: Triple | None = None
    std: Triple | None = None
    activation: Literal["probabilities", "logits"] | None = None
    output: str | None = None
    embedding: str | None = None
    vocabulary: Vocabulary | None = None
    model_source: str | None = None
    family: str | None = None


NOTHING_SAID = Said()


def initialise(
    folder: Path,
    *,
    preset: Preset,
    name: str,
    version: int,
    source: str,
    licence: str | None = None,
    model_file: str | None = None,
    labels_file: str | None = None,
    golden: Sequence[Path] = (),
    said: Said = NOTHING_SAID,
    replace: bool = False,
    limits: CheckLimits | None = None,
) -> Manifest:
    """Write `folder`/manifest.json for the ONNX file in it, and return it; nothing is proved by that.

    `golden`: pictures that become golden ones, with the graph's present scores, or with those in a file
    `<picture>.json` beside it ({label: score}). Blocks. Raises InvalidInput (`manifest_unclear`) with what
    has to be said, `manifest_exists` unless `replace`; GraphPreparationError for a bad model file,
    ManifestError for a bad labels file or fields that make no manifest.
    """
    if (folder / MANIFEST_NAME).exists() and not replace:
        raise InvalidInput(f"{folder} has a {MANIFEST_NAME} already", code="manifest_exists")
    contract = CONTRACTS[preset]
    model = model_file or _only(folder, ("*.onnx",), "the ONNX file", "give its own path")
    labels = labels_file or _labels_file(folder, contract)
    look = look_at(file_inside(folder, model), limits)
    vocabulary = said.vocabulary or contract.vocabulary
    labels_spec = _labels_spec(folder, labels, vocabulary)
    port = _input_port(look)
    output = _output_port(look, said, labels_spec.count)
    layout, size = _geometry(port, contract, said)
    try:
        manifest = Manifest(
            schema_version=1,
            name=name,
            version=version,
            family=said.family or str(preset),
            vocabulary=vocabulary,
            model_source=said.model_source or contract.model_source,
            geometry=GeometrySpec(
                size=size,
                pad_colour=said.pad_colour or contract.pad_colour,
                filter=said.filter or contract.filter,
            ),
            input=InputSpec(
                name=port.name,
                layout=layout,
                channel_order=_needed(said.channel_order or contract.channel_order, "channel-order"),
                value_range=_needed(said.value_range or contract.value_range, "value-range"),
                mean=said.mean or contract.mean,
                std=said.std or contract.std,
            ),
            output=OutputSpec(
                name=output.name, activation=_activation(output, contract, said), embedding=said.embedding
            ),
            labels=labels_spec,
            model=HashedFile(file=model, sha256=file_sha256(folder / model)),
            model_data=tuple(
                HashedFile(file=file, sha256=file_sha256(folder / file)) for file in look.data_files
            ),
            thresholds=contract.thresholds,
            batch=BatchSpec(maximum=16, preferred=8),
            source=source,
            licence=_needed(licence or contract.licence, "licence"),
            created=datetime.now(UTC).date(),
        )
    except ValidationError as error:
        raise ManifestError(describe_problems(error), code=CheckCode.MANIFEST_INVALID) from error
    if golden:
        manifest = manifest.model_copy(update={"golden": write_golden(folder, manifest, golden, limits)})
    partial = folder / f"{MANIFEST_NAME}.partial"
    partial.write_text(manifest.to_json(), encoding="utf-8")
    partial.replace(folder / MANIFEST_NAME)
    return manifest


def look_at(path: Path, limits: CheckLimits | None = None) -> Look:
    """Return what an ONNX file shows of itself. Raises GraphPreparationError, its code says what is wrong."""
    outcome = run_job(Job(kind="look", path=str(path.absolute())), limits)
    if outcome.look is None:
        failure = outcome.notes.report(str(path)).failures[0]
        raise GraphPreparationError(f"{failure.what}: {failure.remedy}", code=failure.code)
    return outcome.look


def _only(folder: Path, patterns: Sequence[str], what: str, remedy: str) -> str:
    found = sorted({path.name for pattern in patterns for path in folder.glob(pattern)})
    if len(found) != 1:
        listed = ", ".join(found) or "none"
        raise _unclear(f"{folder} must have one file that is {what}, and has {listed}: {remedy}")
    return found[0]


def _labels_file(folder: Path, contract: Contract) -> str:
    if (folder / contract.labels_file).is_file():
        return contract.labels_file
    return _only(folder, ("*.csv", "*.txt"), "the labels file", "name it with --labels")


def _labels_spec(folder: Path, name: str, vocabulary: Vocabulary) -> LabelsSpec:
    """The first line tells the formats apart."""
    path = file_inside(folder, name)
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline(1000).strip().split(",")
    format_: Literal["wd14_csv", "text", "board_csv"] = "text"
    if tuple(first) == BOARD_COLUMNS:
        format_ = "board_csv"
    elif {"name", "category"} <= set(first):
        format_ = "wd14_csv"
    draft = LabelsSpec(file=name, sha256=file_sha256(path), format=format_, count=1)
    return draft.model_copy(update={"count": max(1, len(parse_labels(path, draft, vocabulary, name)))})


def _input_port(look: Look) -> Port:
    if len(look.inputs) != 1:
        names = ", ".join(port.name for port in look.inputs) or "none"
        raise GraphPreparationError(
            f"the graph has the inputs {names}; one picture alone can be fed", code=CheckCode.INPUTS_DIFFER
        )
    return look.inputs[0]


def _output_port(look: Look, said: Said, labels: int) -> Port:
    fitting = [
        port for port in look.outputs if port.dims[-1:] in ((labels,), (None,)) and len(port.dims) == 2
    ]
    if said.output is not None:
        fitting = [port for port in look.outputs if port.name == said.output]
    if len(fitting) == 1:
        return fitting[0]
    if len(look.outputs) == 1 and look.outputs[0].dims[-1:] != (labels,):
        raise ModelError(
            f"the output '{look.outputs[0].name}' is {list(look.outputs[0].dims)}; there are {labels} labels",
            code=CheckCode.LABELS_WIDTH,
        )
    names = ", ".join(port.name for port in look.outputs)
    raise _unclear(f"which output has the {labels} labels' scores? name it with --output: {names}")


def _geometry(port: Port, contract: Contract, said: Said) -> tuple[Literal["NHWC", "NCHW"], int]:
    dims = port.dims
    seen: Literal["NHWC", "NCHW"] | None = None
    side: int | None = None
    if len(dims) == _SPATIAL and dims[1] == _CHANNELS and dims[3] != _CHANNELS:
        seen, side = "NCHW", dims[2]
    elif len(dims) == _SPATIAL and dims[3] == _CHANNELS:
        seen, side = "NHWC", dims[1]
    layout: Literal["NHWC", "NCHW"] | None = said.layout or seen or contract.layout
    return _needed(layout, "layout"), _needed(said.size or side or contract.size, "size")


def _activation(port: Port, contract: Contract, said: Said) -> Literal["probabilities", "logits"]:
    if said.activation is not None:
        return said.activation
    if port.operator == "Sigmoid":
        return "probabilities"
    return contract.activation or "logits"


def _needed(value: T | None, flag: str) -> T:
    if value is None:
        raise _unclear(f"neither the graph nor the preset shows the {flag.replace('-', ' ')}: say --{flag}")
    return value


def _unclear(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="manifest_unclear")
