"""The expendable process that opens model files: `python -m orchestrator.registry.check.child PARENT …`.

A job comes on standard input, lines leave on standard output (wire.py). Whatever the file does to it, the
process that started it goes on: memory, time and the size of files are bounded, and it may be killed.
"""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TextIO

import numpy as np
import onnx
from onnx import TensorProto
from PIL import Image

from orchestrator.errors import TagdeskError
from orchestrator.registry.check.answers import fails_for_memory, open_original
from orchestrator.registry.check.graph import first_line
from orchestrator.registry.check.inspection import (
    Inspected,
    cores,
    inspect_file,
    inspect_folder,
)
from orchestrator.registry.check.report import Finding, Notes
from orchestrator.registry.check.wire import NEW_FOLDER, Job, Line, Look, Port
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.graph import fixed_batch
from orchestrator.registry.manifest import MANIFEST_NAME, HashedFile, file_sha256
from orchestrator.registry.model_file import load_model
from orchestrator.registry.names import ORIGINAL_FILE, SERVED_FILE
from orchestrator.registry.verify import run_original

_PR_SET_PDEATHSIG = 1


class _SpokenNotes(Notes):
    """Notes that are passed on at once: whatever was found before the end is not lost with it."""

    def __init__(self, answers: TextIO) -> None:
        super().__init__()
        self._answers = answers

    def take(self, finding: Finding) -> None:
        super().take(finding)
        self.say(Line(finding=finding))

    def begin(self, what: str) -> None:
        self.say(Line(begins=what))

    def say(self, line: Line) -> None:
        """Pass a line on."""
        self._answers.write(line.model_dump_json() + "\n")
        self._answers.flush()


def main(parent: int, memory: int, seconds: int, file_bytes: int) -> None:
    """Do the job that comes on standard input within the limits."""
    _die_with(parent)
    job = Job.model_validate_json(sys.stdin.read())
    answers = _take_over_standard_output()
    _limit(memory, seconds, file_bytes)
    Image.MAX_IMAGE_PIXELS = 25_000_000  # Pillow raises above twice that
    notes = _SpokenNotes(answers)
    try:
        _do(notes, job)
    except TagdeskError as error:
        notes.fail(error.code, error.detail)
    except Exception as error:  # whatever a hostile file makes the libraries raise
        code = CheckCode.MEMORY_EXCEEDED if fails_for_memory(error) else CheckCode.CHECK_CRASHED
        notes.fail(code, f"{type(error).__name__}: {first_line(error)}")
    notes.say(Line(facts=notes.facts, done=True))


def _do(notes: _SpokenNotes, job: Job) -> None:
    path = Path(job.path)
    match job.kind:
        case "folder":
            inspect_folder(notes, path, anew=False)
        case "file":
            inspect_file(notes, path)
        case "prepare":
            inspected = inspect_folder(notes, path, anew=True)
            if inspected is not None:
                notes.begin("writing the prepared graph")
                _write(path, inspected)
        case "look":
            notes.say(Line(look=_look(path)))
        case "ask":
            notes.say(Line(scores=_ask(path, job)))


def _write(folder: Path, inspected: Inspected) -> None:
    """Write the prepared graph and the final manifest into a folder of their own."""
    new = folder / NEW_FOLDER
    new.mkdir()
    served = new / SERVED_FILE
    served.write_bytes(inspected.proved.graph)
    manifest = inspected.manifest
    update: dict[str, object] = {"served": HashedFile(file=SERVED_FILE, sha256=file_sha256(served))}
    if manifest.model.file == SERVED_FILE:
        update["model"] = manifest.model.model_copy(update={"file": ORIGINAL_FILE})
    if not inspected.proved.batched:
        update["batch"] = manifest.batch.model_copy(update={"maximum": 1, "preferred": 1})
    (new / MANIFEST_NAME).write_text(manifest.model_copy(update=update).to_json(), encoding="utf-8")


def _look(path: Path) -> Look:
    loaded = load_model(path.parent, path.name)
    graph = loaded.model.graph
    constants = {initializer.name for initializer in graph.initializer}
    givers = {name: node.op_type for node in graph.node for name in node.output}
    inputs = [entry for entry in graph.input if entry.name not in constants]
    return Look(
        inputs=tuple(_port(entry, "") for entry in inputs),
        outputs=tuple(_port(entry, givers.get(entry.name, "")) for entry in graph.output),
        data_files=tuple(sorted(loaded.data_files)),
        batch=fixed_batch(loaded.model, inputs[0].name) if inputs else None,
    )


def _port(entry: onnx.ValueInfoProto, operator: str) -> Port:
    tensor = entry.type.tensor_type
    dims = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    element = TensorProto.DataType.Name(tensor.elem_type)
    return Port(name=entry.name, element=element, dims=dims, operator=operator)


def _ask(folder: Path, job: Job) -> tuple[tuple[float, ...], ...]:
    """Return the original's probabilities of every tensor that the job names."""
    if job.manifest is None:
        raise ValueError("a manifest is needed to ask a graph")
    model = load_model(folder, job.manifest.model.file).model
    session = open_original(model.SerializeToString(), cores())
    pictures = [np.asarray(Image.open(name).convert("RGB"), np.uint8) for name in job.pictures]
    scores = run_original(session, np.stack(pictures), job.manifest.input, job.manifest.output)
    return tuple(tuple(float(score) for score in row) for row in scores)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(0)


def _take_over_standard_output() -> TextIO:
    """Keep the pipe for lines alone: a stray print must not end up among them."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _limit(memory: int, seconds: int, file_bytes: int) -> None:
    """Bound address space beyond what the interpreter and its libraries map now, processor time, files."""
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 (a kernel interface)
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    for kind, bound in (
        (resource.RLIMIT_AS, mapped + memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        lower = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (lower, lower))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:5]))
