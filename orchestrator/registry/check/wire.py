"""What passes between a check's process and the one that started it: a job in, lines of JSON out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.registry.check.report import Facts, Finding
from orchestrator.registry.manifest import Manifest

NEW_FOLDER = ".prepared"
"""Where, in the version's folder, the process leaves what it has prepared."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Job(_Message):
    """What to do with `path`: check a folder, or a file alone; prepare a folder; look at a file; or ask the
    graph of an unfinished `manifest` about the tensors `pictures`."""

    kind: Literal["folder", "file", "prepare", "look", "ask"]
    path: str
    manifest: Manifest | None = None
    pictures: tuple[str, ...] = ()


class Port(_Message):
    """An input or output of a graph: dimensions are numbers, or `None` where they are open.

    `operator`: what gives an output.
    """

    name: str
    element: str
    dims: tuple[int | None, ...]
    operator: str = ""


class Look(_Message):
    """What an ONNX file shows of itself."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    data_files: tuple[str, ...]
    batch: int | None


class Line(_Message):
    """One line of a process: what it does now, what it found, or its end with all the facts."""

    begins: str | None = None
    finding: Finding | None = None
    facts: Facts | None = None
    look: Look | None = None
    scores: tuple[tuple[float, ...], ...] | None = Field(default=None)
    done: bool = False
