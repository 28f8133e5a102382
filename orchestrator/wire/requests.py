"""What callers send: frozen pydantic models that refuse unknown fields."""

from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.records import Decision, ImageState, RejectReason, SuggestionStatus, TagType
from orchestrator.wire.base import MAX_DECISIONS, Id, ModelName, PageQuery, Sent, Uploaded


class RegisterImage(Sent):
    """Register a picture by its address. Exactly one of `url` and `path`."""

    url: str | None = Field(None, min_length=1, max_length=2048, description="http or https")
    path: str | None = Field(
        None, min_length=1, max_length=2048, description="absolute, below an allowed root; engineer and admin"
    )
    external_id: Id | None = Field(
        None, description="the board's own id; registering it again changes nothing"
    )

    @model_validator(mode="after")
    def _one_address(self) -> "RegisterImage":
        if (self.url is None) == (self.path is None):
            raise ValueError("give exactly one of url and path")
        return self


class DecisionItem(Sent):
    """One decision, valid only while the suggestion is still at `version`."""

    suggestion_id: Id
    version: Annotated[int, Field(ge=1, le=2**32 - 1)]
    decision: Decision
    reason: RejectReason | None = Field(None, description="of a rejection; `wrong` unless given")
    note: str | None = Field(None, max_length=500, description="needed with the reason `other`")

    @model_validator(mode="after")
    def _reasons_fit(self) -> "DecisionItem":
        if self.decision is Decision.APPROVE and (self.reason is not None or self.note is not None):
            raise ValueError("reason and note go with a rejection only")
        if self.reason is RejectReason.OTHER and not (self.note or "").strip():
            raise ValueError("the reason 'other' needs a note")
        return self


class ReviewRequest(Sent):
    """Decisions on suggestions of one image, each at most once."""

    decisions: Annotated[tuple[DecisionItem, ...], Field(min_length=1, max_length=MAX_DECISIONS)]


class UndoRequest(Sent):
    """What of a batch to take back; all of it unless `suggestion_ids` says."""

    suggestion_ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MAX_DECISIONS)] | None = None


class ImagesQuery(PageQuery):
    """Which images. Those who may review only their own images see only those."""

    pending: bool = Field(False, description="only images with pending suggestions")
    state: ImageState | None = None
    mine: bool = Field(False, description="only the caller's own")
    uploader: str | None = Field(
        None, min_length=1, max_length=100, description="the name of who uploaded it"
    )
    uploaded_after: Uploaded | None = Field(None, description="at this moment or later")
    uploaded_before: Uploaded | None = Field(None, description="before this moment")
    type: TagType | None = Field(None, description="with pending suggestions of tags of this type")
    model: ModelName | None = Field(None, description="with pending suggestions that this model decided")

    @model_validator(mode="after")
    def _of_pending(self) -> "ImagesQuery":
        if not self.pending and (self.type is not None or self.model is not None):
            raise ValueError("type and model ask about pending suggestions: say pending=true")
        return self


class BatchesQuery(PageQuery):
    """Which batches. Who may undo only their own sees only those."""

    mine: bool = Field(False, description="only the caller's own")


class SuggestionsQuery(PageQuery):
    """Which suggestions; all but cleared ones unless `status` says."""

    limit: int = Field(200, ge=1, le=500)
    status: SuggestionStatus | None = None


class UploadFields(Sent):
    """The fields of an upload beside its file."""

    external_id: Id | None = None
