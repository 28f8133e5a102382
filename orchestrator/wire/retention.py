"""Raw predictions by version and how long they are kept, for engineers."""

from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.records import RawPolicy, VersionState
from orchestrator.wire.base import Answered, Sent


class RetentionRequest(Sent):
    """Which raw predictions of a version are kept: all, those of the newest images, or none."""

    policy: RawPolicy
    newest: Annotated[int, Field(ge=1, le=2**32 - 1)] | None = Field(
        None, description="of so many images, the newest; for that policy only"
    )
    force: bool = Field(
        False,
        description="also while the version is active or a shadow, and where no newer version has looked",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> "RetentionRequest":
        if (self.policy is RawPolicy.NEWEST) != (self.newest is not None):
            raise ValueError("newest goes with the policy of that name")
        return self


class RawAnswer(Answered):
    """A version's raw predictions. `images`: that it has looked at. `rows`, `bytes`: about, on disk.
    `dropped_images`, `dropped_rows`: what the policies have let go so far."""

    name: str
    version: int
    state: VersionState
    images: int
    rows: int
    bytes: int
    policy: RawPolicy
    newest: int | None
    forced: bool
    dropped_images: int
    dropped_rows: int


class RawPage(Answered):
    """Every version. `bytes_on_disk`: of the whole table; what was dropped is used again by new rows."""

    items: tuple[RawAnswer, ...]
    next_cursor: str | None
    bytes_on_disk: int
