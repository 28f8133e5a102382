"""Golden pictures for a first manifest."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import GraphPreparationError, InvalidInput
from orchestrator.records import Label
from orchestrator.registry.check.run import CheckLimits, run_job
from orchestrator.registry.check.wire import Job
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.labels import read_labels
from orchestrator.registry.manifest import GoldenSpec, HashedFile, Manifest, file_sha256
from orchestrator.registry.reference import reference_letterbox

FOLDER = "golden"
SCORE_TOLERANCE = 0.005
"""Runtimes and machines differ by less; the usual mistakes differ by more."""

_ALL_LABELS = 200
_TOP_LABELS = 100
_DIGITS = 6
_Scores = TypeAdapter(dict[str, float])


def write_golden(
    folder: Path, manifest: Manifest, pictures: Sequence[Path], limits: CheckLimits | None = None
) -> tuple[GoldenSpec, ...]:
    """Copy `pictures` into `folder`/golden with their tensors, and return what is expected of them.

    The scores are those in `<picture>.json` ({label: score}) where there is one, else the graph's own. Of
    more than 200 labels the 100 highest are kept and a bound for the others. Raises InvalidInput
    (`golden_unreadable`), GraphPreparationError when the graph does not answer.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    files, tensors = [], []
    for picture in pictures:
        file = folder / FOLDER / picture.name
        tensor = file.with_name(f"{picture.stem}.tensor.png")
        try:
            with Image.open(picture) as image:
                square = reference_letterbox(image, manifest.geometry.record())
            if not file.exists() or not file.samefile(picture):
                shutil.copyfile(picture, file)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InvalidInput(
                f"{picture} cannot be read as a picture: {error}", code=CheckCode.GOLDEN_UNREADABLE
            ) from error
        Image.fromarray(square).save(tensor)
        files.append(file)
        tensors.append(tensor)
    labels = read_labels(folder, manifest)
    answers = _ask(folder, manifest, tensors, limits)
    return tuple(
        _spec(folder, file, tensor, *(_stated(picture) or _kept(labels, scores)))
        for picture, file, tensor, scores in zip(pictures, files, tensors, answers, strict=True)
    )


def _ask(
    folder: Path, manifest: Manifest, tensors: Sequence[Path], limits: CheckLimits | None
) -> tuple[tuple[float, ...], ...]:
    job = Job(
        kind="ask",
        path=str(folder.absolute()),
        manifest=manifest,
        pictures=tuple(str(tensor.absolute()) for tensor in tensors),
    )
    outcome = run_job(job, limits)
    if outcome.scores is None:
        failure = outcome.notes.report(str(folder)).failures[0]
        raise GraphPreparationError(f"{failure.what}: {failure.remedy}", code=failure.code)
    return outcome.scores


def _stated(picture: Path) -> tuple[dict[str, float], float | None] | None:
    """Return the scores that somebody else computed for a picture; labels without one may be anything."""
    path = picture.with_name(picture.name + ".json")
    if not path.is_file():
        return None
    try:
        return _Scores.validate_python(json.loads(path.read_text(encoding="utf-8"))), 1.0
    except (OSError, ValueError, ValidationError) as error:
        raise InvalidInput(
            f"{path} must be {{label: score}}: {error}", code=CheckCode.GOLDEN_UNREADABLE
        ) from error


def _kept(labels: Sequence[Label], scores: Sequence[float]) -> tuple[dict[str, float], float | None]:
    by_name = {label.name: round(score, _DIGITS) for label, score in zip(labels, scores, strict=True)}
    if len(by_name) <= _ALL_LABELS:
        return by_name, None
    ordered = sorted(by_name.items(), key=lambda entry: -entry[1])
    bound = min(1.0, math.ceil(ordered[_TOP_LABELS][1] * 10_000) / 10_000)
    return dict(ordered[:_TOP_LABELS]), bound


def _spec(
    folder: Path, file: Path, tensor: Path, scores: dict[str, float], others_at_most: float | None
) -> GoldenSpec:
    return GoldenSpec(
        file=file.relative_to(folder).as_posix(),
        sha256=file_sha256(file),
        tensor=HashedFile(file=tensor.relative_to(folder).as_posix(), sha256=file_sha256(tensor)),
        scores=scores,
        others_at_most=others_at_most,
        score_tolerance=SCORE_TOLERANCE,
    )
