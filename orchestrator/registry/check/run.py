"""Starts a check in a process of its own and makes a report of whatever becomes of it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from orchestrator.registry.check.report import CheckReport, Notes
from orchestrator.registry.check.wire import NEW_FOLDER, Job, Line, Look
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.manifest import MANIFEST_NAME, read_manifest_file
from orchestrator.registry.names import LARGEST_MODEL, ORIGINAL_FILE, SERVED_FILE

_KEPT_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR")
_FILE_MODE = 0o644
_SCRATCH_BYTES = 1024 * 1024
_LAST_WORDS = 2000


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """What a check may take. `memory_bytes` beyond what its libraries need; None: by the size of the files.

    Processor time is bounded by what every core could give in `wall_seconds`.
    """

    wall_seconds: float = 600.0
    memory_bytes: int | None = None


@dataclass(slots=True)
class Outcome:
    """What a process said: notes, and what it was asked for beyond a check."""

    notes: Notes = field(default_factory=Notes)
    look: Look | None = None
    scores: tuple[tuple[float, ...], ...] | None = None


def check_folder(folder: Path, *, limits: CheckLimits | None = None) -> CheckReport:
    """Check the version in `folder`, changing nothing. Blocks; raises nothing that the folder could cause."""
    return run_job(Job(kind="folder", path=str(folder.absolute())), limits).notes.report(str(folder))


def check_file(path: Path, *, limits: CheckLimits | None = None) -> CheckReport:
    """Check an ONNX file of which there is no manifest. Blocks as `check_folder`."""
    return run_job(Job(kind="file", path=str(path.absolute())), limits).notes.report(str(path))


def prepare_folder(folder: Path, *, limits: CheckLimits | None = None) -> CheckReport:
    """Check the version in `folder` and write its prepared graph and final manifest, if it passes.

    An original that has the served graph's name becomes original.onnx. Blocks as `check_folder`; raises
    OSError where the folder cannot be written.
    """
    new = folder / NEW_FOLDER
    shutil.rmtree(new, ignore_errors=True)
    try:
        outcome = run_job(Job(kind="prepare", path=str(folder.absolute())), limits)
        report = outcome.notes.report(str(folder))
        if report.passed:
            _take_in(folder, new)
        return report
    finally:
        shutil.rmtree(new, ignore_errors=True)


def run_job(job: Job, limits: CheckLimits | None = None) -> Outcome:
    """Do `job` in a process of its own. A crash, a hang and a kill become failures among the notes."""
    limits = limits or CheckLimits()
    memory = limits.memory_bytes or _memory_for(Path(job.path))
    cpu = int(limits.wall_seconds * len(os.sched_getaffinity(0))) + 1
    file_bytes = LARGEST_MODEL if job.kind == "prepare" else _SCRATCH_BYTES
    environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    # One arena of memory each thread would look like a bomb on a machine with many cores.
    environment |= {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-m", "orchestrator.registry.check.child", str(os.getpid())]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, str(memory), str(cpu), str(file_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
        timed_out = False
        try:
            said, _ = process.communicate(job.model_dump_json().encode(), timeout=limits.wall_seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
            process.kill()
            said, _ = process.communicate()
        except BaseException:
            process.kill()
            process.wait()
            raise
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _LAST_WORDS))
        last_words = errors.read().decode(errors="replace")
    return _outcome(said, process.returncode, last_words, limits, timed_out=timed_out)


def _outcome(said: bytes, code: int, last_words: str, limits: CheckLimits, *, timed_out: bool) -> Outcome:
    outcome = Outcome()
    doing, done = "starting", False
    for text in said.splitlines():
        try:
            line = Line.model_validate_json(text)
        except ValidationError:
            break  # cut off in the middle
        doing = line.begins or doing
        outcome.look = line.look or outcome.look
        outcome.scores = line.scores or outcome.scores
        if line.finding is not None:
            outcome.notes.take(line.finding)
        if line.facts is not None:
            outcome.notes.facts = line.facts
        done |= line.done
    if done:
        return outcome
    if timed_out or code == -signal.SIGXCPU:
        what = f"stopped after {limits.wall_seconds:g} seconds while {doing}"
        outcome.notes.fail(CheckCode.TIME_EXCEEDED, what)
    elif code == -signal.SIGKILL or "bad_alloc" in last_words or "MemoryError" in last_words:
        outcome.notes.fail(CheckCode.MEMORY_EXCEEDED, f"memory ran out while {doing}")
    else:
        end = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
        last = next((line for line in reversed(last_words.splitlines()) if line.strip()), "")
        outcome.notes.fail(CheckCode.CHECK_CRASHED, f"the check died ({end}) while {doing}. {last}".strip())
    return outcome


def _memory_for(path: Path) -> int:
    """Return bytes that are ample for a graph in `path`, and bounded for a bomb.

    A graph is held up to a dozen times: as read, as a graph, prepared, written, and in two sessions with
    repacked weights.
    """
    files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.stem}*")
    size = sum(file.stat().st_size for file in files if file.is_file())
    ample = 3 * 1024**3 + 12 * min(size, LARGEST_MODEL)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(ample, physical)


def _take_in(folder: Path, new: Path) -> None:
    """Put what a process prepared in its place; each file whole or not at all."""
    if read_manifest_file(folder).model.file == SERVED_FILE:
        (folder / SERVED_FILE).rename(folder / ORIGINAL_FILE)
    for name in (SERVED_FILE, MANIFEST_NAME):
        (new / name).chmod(_FILE_MODE)
        (new / name).replace(folder / name)
