"""Model versions, for engineers."""

from typing import Any

from pydantic import Field

from orchestrator.records import VersionState, Vocabulary
from orchestrator.registry.manifest import Manifest
from orchestrator.wire.base import Answered, Moment, Probability, Sent, Sha256


class ShadowAnswer(Answered):
    """What a version looks at as a shadow, or looked at. `share`: of all images. `images`, `failures`: how
    many it has scored and could not. `held_back`: why it does not score now, None while it does."""

    share: Probability
    started_at: Moment
    images: int
    failures: int
    held_back: str | None


class ModelVersion(Answered):
    """A registered version. `loaded`: Triton serves it; `state`: what it is used for; `shadow`: None for one
    that never was one."""

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
    shadow: ShadowAnswer | None


class ShadowRequest(Sent):
    """Which part of all images a version shall look at."""

    share: float = Field(0.1, gt=0, le=1)


class PromotionRequest(Sent):
    """What promoting asks for: `min_images` that both versions have looked at, and at most `margin` of F1
    lost for sure. `force`: in any case, with a `reason`. `restale`: queue what only older versions have
    seen."""

    force: bool = False
    reason: str | None = Field(None, min_length=1, max_length=500)
    restale: bool = False
    min_images: int = Field(500, ge=0, le=10_000_000)
    margin: Probability = 0.01


class RetireRequest(Sent):
    """`force`: also the only version in use."""

    force: bool = False


class MeasuredAnswer(Answered):
    """What is known of a version beside the active one: `images` that both looked at, `judged` of them by
    people; `f1`: the active version's, then its own; `change`: of F1, a 95 % interval."""

    images: int
    judged: int
    f1: tuple[float, float] | None
    change: tuple[float, float] | None


class PromotionAnswer(Answered):
    """`model`: the version that is active now; `before`: the number of the one that was. `backfill`: the id
    of what was queued."""

    model: ModelVersion
    before: int | None
    measured: MeasuredAnswer | None
    forced: bool
    backfill: int | None


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
