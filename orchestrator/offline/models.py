"""The versions of a work list on this host: the right graphs, and ONNX Runtime where there is no Triton."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestrator.errors import Conflict, InferenceRejected, ModelError
from orchestrator.inference.answering import Answering
from orchestrator.inference.client import checked, read_config
from orchestrator.inference.progress import Progress
from orchestrator.offline.worklist import WantedVersion
from orchestrator.records import (
    Float32Tensor,
    Geometry,
    Label,
    LabelCategory,
    Priority,
    ServedModel,
    Thresholds,
    Uint8Tensor,
    VersionState,
    Vocabulary,
)
from orchestrator.registry.golden import check_scores, load_tensor
from orchestrator.registry.labels import read_labels
from orchestrator.registry.manifest import MANIFEST_NAME, file_sha256, read_manifest
from orchestrator.registry.names import SERVED_FILE, SERVED_INPUT, SERVED_OUTPUT

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded, so it stands before it
import onnxruntime as ort

_PREFERRED = ("CUDAExecutionProvider", "CPUExecutionProvider")
_FIRST_ANSWER = 120.0
"""Seconds for the first answers of a version: a GPU may have to get ready."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions that look. A version's `id` is its place in the work list."""

    models: tuple[ServedModel, ...]
    ready: bool = True

    @property
    def geometries(self) -> frozenset[Geometry]:
        """Every geometry that one of them needs."""
        return frozenset(model.geometry for model in self.models)


def find_versions(repository: Path, wanted: Sequence[WantedVersion]) -> Versions:
    """Return the versions of a work list, whose graphs lie in `repository` as Triton serves them.

    Raises ModelError (`graph_missing`), Conflict (`graph_differs`) for another graph than is wanted.
    """
    for one in wanted:
        graph = _graph(repository, one.name, one.version)
        if not graph.is_file():
            raise ModelError(f"{one} is wanted, but there is no {graph}", code="graph_missing")
        found = file_sha256(graph)
        if found != one.sha256:
            raise Conflict(
                f"{graph} is not the graph of {one} that the board has: its SHA-256 is {found[:12]}…,"
                f" {one.sha256[:12]}… is wanted; copy the version's folder again",
                code="graph_differs",
            )
    return Versions(tuple(_served(place, one) for place, one in enumerate(wanted)))


async def try_out(answering: Answering, repository: Path, versions: Versions) -> None:
    """Ask every version about its golden pictures, or about a grey one where it has none.

    Raises ModelError, InferenceUnavailable: what answers is then not what lies in the repository.
    """
    for model in versions.models:
        folder = _graph(repository, model.name, model.version).parent
        if not (folder / MANIFEST_NAME).is_file():
            size = model.geometry.size
            grey = np.full((1, size, size, 3), 128, np.uint8)
            await answering.infer(model, grey, priority=Priority.BACKFILL, deadline=_FIRST_ANSWER)
            continue
        manifest = read_manifest(folder)
        labels = read_labels(folder, manifest)
        for golden in manifest.golden:
            tensor = await asyncio.to_thread(load_tensor, folder, golden)
            scores = await answering.infer(
                model, tensor[None], priority=Priority.BACKFILL, deadline=_FIRST_ANSWER
            )
            check_scores(golden, labels, scores[0])


class LocalModels:
    """Versions in ONNX Runtime in this process, on the GPU where it can, asked as Triton is asked."""

    def __init__(self, repository: Path, sessions: Mapping[int, ort.InferenceSession]) -> None:
        self._repository = repository
        self._sessions = sessions

    @classmethod
    def open(cls, repository: Path, versions: Versions) -> "LocalModels":
        """Load every version. Raises ModelError (`graph_unloadable`)."""
        return cls(
            repository,
            {model.id: _session(_graph(repository, model.name, model.version)) for model in versions.models},
        )

    @property
    def provider(self) -> str:
        """What computes: `CUDAExecutionProvider`, …"""
        return str(next(iter(self._sessions.values())).get_providers()[0])

    async def infer(
        self,
        model: ServedModel,
        batch: Uint8Tensor,
        *,
        priority: Priority = Priority.BACKFILL,
        deadline: float | None = None,
    ) -> Float32Tensor:
        """Return the probabilities [N, L] of UINT8 RGB [N, S, S, 3], however long it takes.

        Raises InferenceRejected as `TritonClient.infer` does.
        """
        try:
            (scores,) = await asyncio.to_thread(
                self._sessions[model.id].run, [SERVED_OUTPUT], {SERVED_INPUT: np.ascontiguousarray(batch)}
            )
        except Exception as error:  # ONNX Runtime's own exceptions share no base but this
            raise InferenceRejected(f"{model.name} {model.version}: {error}") from error
        return checked(model, scores, len(batch))

    async def max_batch(self, model: ServedModel) -> int:
        """Return how many pictures Triton would take at once. Raises ManifestError."""
        return max(1, int(read_config(self._repository / model.name / "config.pbtxt").max_batch_size))

    async def progress(self, model: ServedModel, *, deadline: float) -> Progress:
        """Return that nothing is known, so that a version never counts as hung."""
        return Progress(executions=0, slowest=0.0)


def _graph(repository: Path, name: str, version: int) -> Path:
    return repository / name / str(version) / SERVED_FILE


def _session(graph: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decoders want the cores, too
    available = ort.get_available_providers()
    providers = [one for one in _PREFERRED if one in available]
    try:
        return ort.InferenceSession(str(graph), options, providers=providers)
    except Exception as error:  # as above
        raise ModelError(f"ONNX Runtime cannot load {graph}: {error}", code="graph_unloadable") from error


def _served(place: int, one: WantedVersion) -> ServedModel:
    """Return a version as inference takes it; it is never resolved, so its labels need no names."""
    return ServedModel(
        id=place,
        name=one.name,
        version=one.version,
        state=VersionState.ACTIVE,
        source="",
        vocabulary=Vocabulary.DANBOORU,
        geometry=one.geometry,
        labels=tuple(Label(index, str(index), LabelCategory.GENERAL) for index in range(one.labels)),
        thresholds=Thresholds(general=None, character=None, board=None),
        priority=place,
    )
