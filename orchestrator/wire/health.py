"""Whether the parts work."""

from typing import Literal

from orchestrator.wire.base import Answered


class LiveAnswer(Answered):
    """The process answers."""

    status: Literal["ok"]
    version: str


class PartHealth(Answered):
    """One part. `detail` says what is wrong."""

    ready: bool
    detail: str | None = None


class ModelHealth(Answered):
    """An active model version, judged by a tiny inference. `code` and `detail` say what is wrong."""

    name: str
    version: int
    source: str
    ready: bool
    code: str | None = None
    detail: str | None = None


class InferenceHealth(Answered):
    """`provider`: what Triton computes on, when its metrics say."""

    ready: bool
    provider: Literal["cpu", "cuda"] | None
    expected_gpu: bool
    models: tuple[ModelHealth, ...]
    detail: str | None = None


class ReadyAnswer(Answered):
    """Every part, and whether all of them are ready."""

    ready: bool
    database: PartHealth
    redis: PartHealth
    inference: InferenceHealth
