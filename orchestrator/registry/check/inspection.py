"""One check from beginning to end. It runs in a process that may be killed (child.py)."""

import os
from dataclasses import dataclass
from pathlib import Path

import onnx

from orchestrator.errors import ManifestError, TagdeskError
from orchestrator.records import Label
from orchestrator.registry.check.answers import check_answers, fails_for_memory, open_original
from orchestrator.registry.check.golden import check_golden, load_tensors
from orchestrator.registry.check.graph import check_graph, first_line
from orchestrator.registry.check.report import Notes
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.graph import check_contract, fixed_batch
from orchestrator.registry.labels import read_labels, with_file_thresholds
from orchestrator.registry.manifest import Manifest, file_inside, file_sha256, read_manifest_file
from orchestrator.registry.model_file import ModelFile, load_model, refuse_other_formats
from orchestrator.registry.names import ORIGINAL_FILE, SERVED_FILE
from orchestrator.registry.prepare import ProvedGraph, original_bytes, prove
from orchestrator.registry.verify import verify_graph

_MOST_CORES = 4


@dataclass(frozen=True, slots=True)
class Inspected:
    """A version that passed: its manifest, thresholds of the labels file included, and its prepared graph."""

    manifest: Manifest
    proved: ProvedGraph


def cores() -> int:
    """Return how many cores a check takes."""
    return min(_MOST_CORES, len(os.sched_getaffinity(0)))


def inspect_folder(notes: Notes, folder: Path, *, anew: bool) -> Inspected | None:
    """Check the version in `folder`, up to the proof of its prepared graph; None when it does not pass.

    `anew`: a prepared graph that is there already does not count.
    """
    notes.begin("reading the manifest")
    manifest = _read_manifest(notes, folder)
    if manifest is None:
        return None
    notes.begin("hashing the files")
    _check_files(notes, folder, manifest, anew=anew)
    if notes.failed():
        return None
    notes.begin("reading the ONNX file")
    loaded = None
    with notes.failing():
        loaded = load_model(folder, manifest.model.file)
        notes.know(bytes_total=loaded.model.ByteSize())
    labels = _check_labels(notes, folder, manifest)
    if loaded is None:
        return None
    model = loaded.model
    notes.begin("checking the graph")
    check_graph(notes, model)
    _check_declared(notes, loaded, manifest)
    if notes.failed() or labels is None:
        return None
    with notes.failing():
        check_contract(
            model,
            manifest.input,
            manifest.output,
            size=manifest.geometry.size,
            labels=manifest.labels.count,
        )
    if notes.failed():
        return None
    inspected = _ask(notes, folder, manifest, model, labels)
    if inspected is not None and manifest.served is not None and not anew:
        notes.begin("comparing the prepared graph that is there")
        _check_served(notes, folder, manifest, model, inspected.proved)
    return inspected


def inspect_file(notes: Notes, path: Path) -> None:
    """Check an ONNX file of which nothing else is known."""
    notes.begin("reading the ONNX file")
    model = None
    with notes.failing():
        if not path.is_file():
            raise ManifestError(f"{path} is no file", code=CheckCode.ARTEFACT_MISSING)
        model = load_model(path.parent, path.name).model
        notes.know(bytes_total=model.ByteSize())
    if model is None:
        return
    notes.begin("checking the graph")
    check_graph(notes, model)
    if notes.failed():
        return
    notes.begin("loading the graph")
    with notes.failing():
        open_original(model.SerializeToString(), cores())
        notes.ok("load", "ONNX Runtime loads it")
    for entry in model.graph.input:
        batch = fixed_batch(model, entry.name)
        if batch is not None:
            notes.warn(
                CheckCode.BATCH_SINGLE if batch == 1 else CheckCode.BATCH_FIXED, f"its batch is {batch}"
            )
    notes.warn(
        CheckCode.MANIFEST_MISSING, "without a manifest nobody knows what it is fed and what it answers"
    )


def _read_manifest(notes: Notes, folder: Path) -> Manifest | None:
    with notes.failing():
        if not folder.is_dir():
            raise ManifestError(f"{folder} is no folder", code=CheckCode.ARTEFACT_MISSING)
        return read_manifest_file(folder)
    return None


def _check_files(notes: Notes, folder: Path, manifest: Manifest, *, anew: bool) -> None:
    served = None if manifest.served is None else manifest.served.file
    parts = [part for part in manifest.files() if not (anew and part.file == served)]
    with notes.failing():  # before hashing: what is no graph at all, or far too large, is said as that
        refuse_other_formats(file_inside(folder, manifest.model.file))
    if notes.failed():
        return
    for part in parts:
        with notes.failing():
            if file_sha256(file_inside(folder, part.file)) != part.sha256:
                raise ManifestError(
                    f"{part.file} is not the file it was (sha256)", code=CheckCode.FILE_CHANGED
                )
    others = {part.file for part in parts if part is not manifest.model}
    for name in (SERVED_FILE, ORIGINAL_FILE):
        if name in others and name != served:
            notes.fail(CheckCode.NAME_TAKEN, f"{name} is a file of the version, and not its graph")
    if manifest.model.file == SERVED_FILE and (folder / ORIGINAL_FILE).exists():
        notes.fail(CheckCode.NAME_TAKEN, f"{SERVED_FILE} is to become {ORIGINAL_FILE}, and that exists")
    if not notes.failed():
        notes.ok("files", f"the manifest is complete, and {len(parts)} files are the ones it names")


def _check_labels(notes: Notes, folder: Path, manifest: Manifest) -> tuple[Label, ...] | None:
    with notes.failing():
        labels = read_labels(folder, manifest)
        with_file_thresholds(folder, manifest)
        notes.know(labels=len(labels))
        notes.ok("labels", f"{len(labels)} labels, each once")
        return labels
    return None


def _check_declared(notes: Notes, loaded: ModelFile, manifest: Manifest) -> None:
    undeclared = sorted(loaded.data_files - {part.file for part in manifest.model_data})
    if undeclared:
        notes.fail(
            CheckCode.EXTERNAL_DATA_UNDECLARED,
            f"the graph's weights are also in {', '.join(undeclared[:10])}, which the manifest does not name",
        )


def _ask(
    notes: Notes, folder: Path, manifest: Manifest, model: onnx.ModelProto, labels: tuple[Label, ...]
) -> Inspected | None:
    notes.begin("reading the golden pictures")
    tensors = load_tensors(notes, folder, manifest)
    if notes.failed():
        return None
    notes.begin("loading the graph")
    notes.know(cores=cores())
    with notes.failing():
        session = open_original(model.SerializeToString(), cores())
        check_answers(notes, session, manifest, tensors)
        if not notes.failed():
            notes.begin("asking the graph about the golden pictures")
            check_golden(notes, session, manifest, labels, tensors)
    if notes.failed():
        return None
    del session
    notes.begin("preparing the graph and proving it equal")
    try:
        proved = prove(folder, manifest, model, threads=cores())
    except TagdeskError as error:
        notes.fail(CheckCode.MEMORY_EXCEEDED if fails_for_memory(error) else error.code, error.detail)
        return None
    except Exception as error:  # ONNX's own errors share no base but this
        code = CheckCode.MEMORY_EXCEEDED if fails_for_memory(error) else CheckCode.PREPARATION_FAILED
        notes.fail(code, first_line(error))
        return None
    _say_proved(notes, proved)
    return Inspected(with_file_thresholds(folder, manifest), proved)


def _check_served(
    notes: Notes, folder: Path, manifest: Manifest, model: onnx.ModelProto, proved: ProvedGraph
) -> None:
    """A prepared graph that is there must equal the original, if it is not the one that preparing gives."""
    name = manifest.prepared.file
    served = file_inside(folder, name).read_bytes()
    if served == proved.graph:
        notes.ok("served", f"{name} is the graph that preparing the original gives")
        return
    with notes.failing():
        verify_graph(
            original_bytes(model, manifest.output),
            served,
            manifest.input,
            manifest.output,
            size=manifest.geometry.size,
            batches=proved.equality.batches,
            threads=cores(),
        )
        notes.warn(CheckCode.SERVED_STALE, f"{name} was prepared by another release; it is equal")


def _say_proved(notes: Notes, proved: ProvedGraph) -> None:
    equality = proved.equality
    notes.know(
        batched=proved.batched,
        largest_difference=equality.largest_difference,
        images_compared=equality.images,
        batches=equality.batches,
    )
    if not proved.batched:
        notes.warn(CheckCode.BATCH_SINGLE, "the graph bears no batches; it is served one picture at a time")
    elif proved.fixed is not None:
        notes.warn(CheckCode.BATCH_OPENED, f"the graph says that its batch is {proved.fixed}; it bears any")
    notes.ok(
        "preparation",
        f"the prepared graph equals its original within {equality.largest_difference:.1e}"
        f" on {equality.images} pictures in batches of {', '.join(map(str, equality.batches))}",
    )
