"""Model versions, for engineers."""

from typing import Any

from orchestrator.records import VersionState, Vocabulary
from orchestrator.registry.manifest import Manifest
from orchestrator.wire.base import Answered, Moment, Sha256


class ModelVersion(Answered):
    """A registered version. `loaded`: Triton serves it; `state`: what it is used for."""

    name: str
    version: int
    state: VersionState
    loaded: bool
    source: str
    vocabulary: Vocabulary
    sha256: Sha256
    created_at: Moment
    activated_at: Moment | None
    retired_at: Moment | None


class ModelVersionPage(Answered):
    """Every version by name, the newest first."""

    items: tuple[ModelVersion, ...]
    next_cursor: str | None


class AuditAnswer(Answered):
    """One act on a version: who, what, when."""

    at: Moment
    actor: str
    action: str
    detail: dict[str, Any]


class ModelVersionDetail(ModelVersion):
    """A version with its manifest and what was done to it, the newest act first."""

    manifest: Manifest
    history: tuple[AuditAnswer, ...]
