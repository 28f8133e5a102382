"""A typed client of the API: one method for every operation, called what the operation is called.

    async with Client("https://tags.board.example", token) as client:
        async for tag in every(client.show_worklist, WorklistQuery(type=TagType.THEME)):
            print(tag.tag.title, tag.pending)

Ids stand for themselves; queries and bodies are the models of `orchestrator.wire`, and so are the answers.
Every method raises ApiError when the API refuses, and ApiUnavailable when it cannot be reached. Methods with
a `key` are safe to repeat: a key is made for each call and kept over its retries; give your own to repeat a
call later on. Lists are walked with `every` and `pages`.
"""

from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx

from orchestrator.wire.bulk import (
    BulkReviewAnswer,
    BulkReviewRequest,
    JobAnswer,
    JobPage,
    JobsQuery,
    SamplePage,
    SamplesQuery,
)
from orchestrator.wire.comparison import ComparisonAnswer, ComparisonQuery
from orchestrator.wire.effects import EffectAnswer
from orchestrator.wire.health import LiveAnswer, ReadyAnswer
from orchestrator.wire.http import ApiError, ApiUnavailable, Body, Connection, Picture, new_key
from orchestrator.wire.leases import ClaimAnswer, ClaimRequest, LeaseAnswer, LeasePage, LeasesQuery, Released
from orchestrator.wire.mappings import (
    CoverageQuery,
    MappingAnswer,
    MappingChangePage,
    MappingChangesQuery,
    MappingCoverage,
    MappingFindings,
    MappingImport,
    MappingImportAnswer,
    MappingPage,
    MappingProposals,
    MappingsQuery,
    ProposalsQuery,
)
from orchestrator.wire.models import (
    ModelVersion,
    ModelVersionDetail,
    ModelVersionPage,
    PromotionAnswer,
    PromotionRequest,
    RetireRequest,
    ShadowRequest,
)
from orchestrator.wire.paging import every, pages
from orchestrator.wire.priorities import (
    PrioritiesAnswer,
    PrioritiesChange,
    PrioritiesChanged,
    PrioritiesPreview,
    PrioritiesRollBack,
    PriorityChangePage,
    PriorityChangesQuery,
)
from orchestrator.wire.queues import QueueAnswer, QueueQuery, WorklistAnswer, WorklistQuery
from orchestrator.wire.requests import (
    BatchesQuery,
    ImagesQuery,
    RegisterImage,
    ReviewRequest,
    SuggestionsQuery,
    UndoRequest,
    UploadFields,
)
from orchestrator.wire.retention import RawAnswer, RawPage, RetentionRequest
from orchestrator.wire.schemas import (
    AnalysisAnswer,
    BatchPage,
    Generating,
    ImageDetail,
    ImagePage,
    Registered,
    ReviewAnswer,
    StatusAnswer,
    SuggestionPage,
    UndoAnswer,
)
from orchestrator.wire.statistics import StatisticsAnswer, StatisticsQuery
from orchestrator.wire.tags import (
    EligibilityAnswer,
    EligibilityChange,
    NewTagRequest,
    TagDetail,
    TagEditAnswer,
    TagEditRequest,
    TaggingAnswer,
    TagList,
    TagPage,
    TagsQuery,
)
from orchestrator.wire.thresholds import (
    FloorsChange,
    PreviewRequest,
    RollBackRequest,
    ThresholdChangePage,
    ThresholdChangesQuery,
    ThresholdEffectAnswer,
    ThresholdsAnswer,
    ThresholdsChanged,
    ThresholdsQuery,
)

__all__ = ["ApiError", "ApiUnavailable", "Client", "Picture", "every", "pages"]

_API = "/api/v1"
_IMAGES = f"{_API}/images"
_SUGGESTIONS = f"{_API}/tag-suggestions"
_BATCHES = f"{_API}/review-batches"
_JOBS = f"{_API}/review-jobs"
_LEASES = f"{_API}/leases"
_TAGS = f"{_API}/tags"
_MAPPINGS = f"{_API}/mappings"
_MODELS = f"{_API}/models"
_PRIORITIES = f"{_API}/model-priorities"
_ACCEPTED = 202


class Client:
    """Calls to an API, as the user whose token it is: an async context manager, for one event loop."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        patience: float = 15.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`url`: of the API's host, without `/api/v1`. `token`: needed for all but health and metrics.

        `timeout`: seconds to wait for an answer. `patience`: seconds for which a call that is safe to repeat
        is tried again while the API is away; 0 for never. `transport`: instead of the network.
        Raises InvalidInput for what can be no address or token.
        """
        self._http = Connection(url, token, timeout=timeout, patience=patience, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    # -- images ---------------------------------------------------------------------------------------------

    async def register_image(
        self, picture: RegisterImage | Picture, *, external_id: int | None = None, key: str | None = None
    ) -> Registered:
        """Register a picture: by its address, or as it is. `external_id`: of a picture that is sent."""
        if isinstance(picture, RegisterImage):
            body = Body.json(picture)
        else:
            body = await Body.upload(picture, UploadFields(external_id=external_id))
        return await self._http.ask("POST", _IMAGES, Registered, body=body, key=key or new_key())

    async def list_images(self, query: ImagesQuery | None = None) -> ImagePage:
        """List images, newest first."""
        return await self._http.ask("GET", _IMAGES, ImagePage, query=query)

    async def show_image(self, image_id: int) -> ImageDetail:
        """Show an image and its tags."""
        return await self._http.ask("GET", f"{_IMAGES}/{image_id}", ImageDetail)

    async def show_picture(self, image_id: int) -> bytes:
        """Return the picture itself."""
        return (await self._http.send("GET", f"{_IMAGES}/{image_id}/file")).content

    async def set_tags(self, image_id: int, tags: TagList, *, key: str | None = None) -> TaggingAnswer:
        """Give an image exactly these tags."""
        return await self._tag("PUT", image_id, tags, key)

    async def add_tags(self, image_id: int, tags: TagList, *, key: str | None = None) -> TaggingAnswer:
        """Give an image these tags too."""
        return await self._tag("POST", image_id, tags, key)

    async def remove_tags(self, image_id: int, tags: TagList, *, key: str | None = None) -> TaggingAnswer:
        """Take these tags from an image."""
        return await self._tag("DELETE", image_id, tags, key)

    async def remove_tag(self, image_id: int, tag_id: int, *, key: str | None = None) -> TaggingAnswer:
        """Take one tag from an image."""
        path = f"{_IMAGES}/{image_id}/tags/{tag_id}"
        return await self._http.ask("DELETE", path, TaggingAnswer, key=key or new_key())

    async def change_eligibility(
        self, image_id: int, change: EligibilityChange, *, key: str | None = None
    ) -> EligibilityAnswer:
        """Say what the board says of an image."""
        path, body = f"{_IMAGES}/{image_id}", Body.json(change)
        return await self._http.ask("PATCH", path, EligibilityAnswer, body=body, key=key or new_key())

    # -- suggestions of an image ----------------------------------------------------------------------------

    async def list_suggestions(self, image_id: int, query: SuggestionsQuery | None = None) -> SuggestionPage:
        """List an image's suggestions, surest first."""
        return await self._http.ask(
            "GET", f"{_IMAGES}/{image_id}/tag-suggestions", SuggestionPage, query=query
        )

    async def review_suggestions(
        self, image_id: int, review: ReviewRequest, *, key: str | None = None
    ) -> ReviewAnswer:
        """Decide on suggestions of an image. When nothing goes through, ApiError.results say why."""
        path = f"{_IMAGES}/{image_id}/tag-suggestions/review"
        return await self._http.ask("POST", path, ReviewAnswer, body=Body.json(review), key=key or new_key())

    async def generate_suggestions(self, image_id: int) -> Generating:
        """Have an image analysed again."""
        return await self._http.ask("POST", f"{_IMAGES}/{image_id}/tag-suggestions/generate", Generating)

    async def show_status(self, image_id: int) -> StatusAnswer:
        """Say how far an image's analysis is."""
        return await self._http.ask("GET", f"{_IMAGES}/{image_id}/tag-suggestions/status", StatusAnswer)

    async def analyze(self, picture: Picture) -> AnalysisAnswer:
        """Analyse a picture and store nothing."""
        path, body = f"{_SUGGESTIONS}/analyze", await Body.raw(picture)
        return await self._http.ask("POST", path, AnalysisAnswer, body=body, repeatable=True)

    # -- review across images -------------------------------------------------------------------------------

    async def review_across_images(self, review: ReviewRequest, *, key: str | None = None) -> ReviewAnswer:
        """Decide on suggestions of any images. When nothing goes through, ApiError.results say why."""
        path, body = f"{_SUGGESTIONS}/review", Body.json(review)
        return await self._http.ask("POST", path, ReviewAnswer, body=body, key=key or new_key())

    async def list_batches(self, query: BatchesQuery | None = None) -> BatchPage:
        """List batches of verdicts, newest first."""
        return await self._http.ask("GET", _BATCHES, BatchPage, query=query)

    async def undo_batch(self, batch_id: int, request: UndoRequest | None = None) -> UndoAnswer | JobAnswer:
        """Take a batch back, or a part of it. A very large one goes on as a job."""
        body = Body.json(request or UndoRequest())
        response = await self._http.send("POST", f"{_BATCHES}/{batch_id}/undo", body=body)
        if response.status_code == _ACCEPTED:
            return self._http.understand(response, JobAnswer)
        return self._http.understand(response, UndoAnswer)

    # -- review by filter -----------------------------------------------------------------------------------

    async def batch_review(self, request: BulkReviewRequest) -> BulkReviewAnswer:
        """Look at what a filter finds; with the confirmation of that look, decide on all of it."""
        path, body = f"{_SUGGESTIONS}/batch-review", Body.json(request)
        # A look changes nothing, and a confirmation works once.
        return await self._http.ask("POST", path, BulkReviewAnswer, body=body, repeatable=True)

    async def list_review_jobs(self, query: JobsQuery | None = None) -> JobPage:
        """List jobs, newest first."""
        return await self._http.ask("GET", _JOBS, JobPage, query=query)

    async def show_review_job(self, job_id: int) -> JobAnswer:
        """Say how far a job is."""
        return await self._http.ask("GET", f"{_JOBS}/{job_id}", JobAnswer)

    async def list_review_samples(self, job_id: int, query: SamplesQuery | None = None) -> SamplePage:
        """List rows of a job that somebody should look at again."""
        return await self._http.ask("GET", f"{_JOBS}/{job_id}/samples", SamplePage, query=query)

    async def cancel_review_job(self, job_id: int) -> JobAnswer:
        """Stop a job; what it has done stays."""
        return await self._http.ask("POST", f"{_JOBS}/{job_id}/cancel", JobAnswer)

    # -- queues and leases ----------------------------------------------------------------------------------

    async def show_worklist(self, query: WorklistQuery | None = None) -> WorklistAnswer:
        """Show tags with pending suggestions, the most first."""
        return await self._http.ask("GET", f"{_SUGGESTIONS}/worklist", WorklistAnswer, query=query)

    async def show_queue(self, query: QueueQuery) -> QueueAnswer:
        """Show the pending suggestions of one tag."""
        return await self._http.ask("GET", _SUGGESTIONS, QueueAnswer, query=query)

    async def claim_lease(self, request: ClaimRequest, *, key: str | None = None) -> ClaimAnswer:
        """Be handed rows of a tag that nobody holds, or the whole tag."""
        body = Body.json(request)
        return await self._http.ask("POST", _LEASES, ClaimAnswer, body=body, key=key or new_key())

    async def list_leases(self, query: LeasesQuery | None = None) -> LeasePage:
        """Say who holds what, and until when."""
        return await self._http.ask("GET", _LEASES, LeasePage, query=query)

    async def renew_lease(self, lease_id: int) -> LeaseAnswer:
        """Keep what one was handed for longer."""
        return await self._http.ask("POST", f"{_LEASES}/{lease_id}/renew", LeaseAnswer)

    async def release_lease(self, lease_id: int) -> Released:
        """Give back what one was handed."""
        return await self._http.ask("DELETE", f"{_LEASES}/{lease_id}", Released)

    # -- statistics -----------------------------------------------------------------------------------------

    async def show_statistics(self, query: StatisticsQuery | None = None) -> StatisticsAnswer:
        """Say how much was decided, and how."""
        return await self._http.ask("GET", f"{_SUGGESTIONS}/stats", StatisticsAnswer, query=query)

    # -- the board's tags -----------------------------------------------------------------------------------

    async def list_tags(self, query: TagsQuery | None = None) -> TagPage:
        """List or search the board's tags."""
        return await self._http.ask("GET", _TAGS, TagPage, query=query)

    async def create_tag(self, tag: NewTagRequest, *, key: str | None = None) -> TagDetail:
        """Make a tag."""
        return await self._http.ask("POST", _TAGS, TagDetail, body=Body.json(tag), key=key or new_key())

    async def show_tag(self, tag_id: int) -> TagDetail:
        """Show a tag."""
        return await self._http.ask("GET", f"{_TAGS}/{tag_id}", TagDetail)

    async def edit_tag(self, tag_id: int, edit: TagEditRequest) -> TagEditAnswer:
        """Rename a tag, make it an alias, or move it in the hierarchy."""
        return await self._http.ask("PATCH", f"{_TAGS}/{tag_id}", TagEditAnswer, body=Body.json(edit))

    # -- mappings of external tags --------------------------------------------------------------------------

    async def list_mappings(self, query: MappingsQuery | None = None) -> MappingPage:
        """List the mappings."""
        return await self._http.ask("GET", _MAPPINGS, MappingPage, query=query)

    async def import_mappings(self, rows: MappingImport) -> MappingImportAnswer:
        """Make mappings, all of them or none. Where titles are unknown, ApiError.errors say which."""
        body = Body.json(rows)
        return await self._http.ask("POST", _MAPPINGS, MappingImportAnswer, body=body, repeatable=True)

    async def remove_mapping(self, mapping_id: int) -> MappingAnswer:
        """Remove a mapping."""
        return await self._http.ask("DELETE", f"{_MAPPINGS}/{mapping_id}", MappingAnswer)

    async def list_mapping_changes(self, query: MappingChangesQuery | None = None) -> MappingChangePage:
        """Say who changed which mapping when, the newest first."""
        return await self._http.ask("GET", f"{_API}/mapping-changes", MappingChangePage, query=query)

    async def validate_mappings(self) -> MappingFindings:
        """Say which mappings need a person."""
        return await self._http.ask("GET", f"{_API}/mapping-findings", MappingFindings)

    async def suggest_mappings(self, query: ProposalsQuery | None = None) -> MappingProposals:
        """Propose tags for names without a mapping."""
        return await self._http.ask("GET", f"{_API}/mapping-proposals", MappingProposals, query=query)

    async def show_coverage(self, query: CoverageQuery | None = None) -> MappingCoverage:
        """Say how much of what the models say is mapped."""
        return await self._http.ask("GET", f"{_API}/mapping-coverage", MappingCoverage, query=query)

    # -- model versions -------------------------------------------------------------------------------------

    async def list_models(self) -> ModelVersionPage:
        """List the model versions."""
        return await self._http.ask("GET", _MODELS, ModelVersionPage)

    async def show_model(self, name: str, version: int) -> ModelVersionDetail:
        """Show a version, its manifest and its history."""
        return await self._http.ask("GET", _version(name, version), ModelVersionDetail)

    async def shadow_model(self, name: str, version: int, request: ShadowRequest) -> ModelVersion:
        """Have a version look at a share of the images, without a say."""
        path = f"{_version(name, version)}/shadow"
        return await self._http.ask("POST", path, ModelVersion, body=Body.json(request))

    async def end_shadow(self, name: str, version: int) -> ModelVersion:
        """Have a version look no more."""
        return await self._http.ask("DELETE", f"{_version(name, version)}/shadow", ModelVersion)

    async def promote_model(
        self, name: str, version: int, request: PromotionRequest | None = None
    ) -> PromotionAnswer:
        """Use a version from the next picture on, if what is known of it lets it."""
        path, body = f"{_version(name, version)}/promote", Body.json(request or PromotionRequest())
        return await self._http.ask("POST", path, PromotionAnswer, body=body)

    async def roll_back_model(self, name: str) -> PromotionAnswer:
        """Use the version before the active one again."""
        return await self._http.ask("POST", f"{_MODELS}/{quote(name, safe='')}/rollback", PromotionAnswer)

    async def retire_model(
        self, name: str, version: int, request: RetireRequest | None = None
    ) -> ModelVersion:
        """Take a version out of use, or give up one that was to be."""
        path, body = f"{_version(name, version)}/retire", Body.json(request or RetireRequest())
        return await self._http.ask("POST", path, ModelVersion, body=body)

    async def activate_model(self, name: str, version: int) -> ModelVersion:
        """Promote a version, or go back to the one before."""
        return await self._http.ask("POST", f"{_version(name, version)}/activate", ModelVersion)

    async def deactivate_model(self, name: str, version: int) -> ModelVersion:
        """Take a version out of use; one that is not in use, out of Triton."""
        return await self._http.ask("POST", f"{_version(name, version)}/deactivate", ModelVersion)

    async def compare_models(
        self, name: str, version: int, query: ComparisonQuery | None = None
    ) -> ComparisonAnswer:
        """Compare a version with the active one, or another, on images that both have looked at."""
        path = f"{_version(name, version)}/comparison"
        return await self._http.ask("GET", path, ComparisonAnswer, query=query)

    async def remove_model(self, name: str, version: int) -> ModelVersion:
        """Give up a version that is not in use."""
        return await self._http.ask("DELETE", _version(name, version), ModelVersion)

    # -- thresholds of model versions -----------------------------------------------------------------------

    async def show_thresholds(
        self, name: str, version: int, query: ThresholdsQuery | None = None
    ) -> ThresholdsAnswer:
        """Show a version's thresholds."""
        return await self._http.ask("GET", _thresholds(name, version), ThresholdsAnswer, query=query)

    async def set_thresholds(self, name: str, version: int, change: FloorsChange) -> ThresholdsChanged:
        """Say thresholds of a version, all that are named or none."""
        path, body = _thresholds(name, version), Body.json(change)
        return await self._http.ask("POST", path, ThresholdsChanged, body=body, repeatable=True)

    async def preview_thresholds(
        self, name: str, version: int, change: PreviewRequest
    ) -> ThresholdEffectAnswer:
        """Say what a change would do to the pending queue."""
        path, body = f"{_thresholds(name, version)}/preview", Body.json(change)
        return await self._http.ask("POST", path, ThresholdEffectAnswer, body=body, repeatable=True)

    async def roll_back_thresholds(
        self, name: str, version: int, state: RollBackRequest
    ) -> ThresholdsChanged:
        """Bring an earlier state of a version's thresholds back."""
        path, body = f"{_thresholds(name, version)}/rollback", Body.json(state)
        return await self._http.ask("POST", path, ThresholdsChanged, body=body, repeatable=True)

    async def list_threshold_changes(self, query: ThresholdChangesQuery | None = None) -> ThresholdChangePage:
        """Say who changed which thresholds when, the newest first."""
        return await self._http.ask("GET", f"{_API}/threshold-changes", ThresholdChangePage, query=query)

    # -- which model goes first -----------------------------------------------------------------------------

    async def show_priorities(self) -> PrioritiesAnswer:
        """Show which model goes first where several speak of one tag."""
        return await self._http.ask("GET", _PRIORITIES, PrioritiesAnswer)

    async def set_priorities(self, change: PrioritiesChange) -> PrioritiesChanged:
        """Say which model goes first, for types of tags or single tags."""
        body = Body.json(change)
        return await self._http.ask("POST", _PRIORITIES, PrioritiesChanged, body=body, repeatable=True)

    async def preview_priorities(self, change: PrioritiesPreview) -> EffectAnswer:
        """Say what a change of priorities would do to the pending queue."""
        path, body = f"{_PRIORITIES}/preview", Body.json(change)
        return await self._http.ask("POST", path, EffectAnswer, body=body, repeatable=True)

    async def roll_back_priorities(self, state: PrioritiesRollBack) -> PrioritiesChanged:
        """Bring an earlier state of the priorities back."""
        path, body = f"{_PRIORITIES}/rollback", Body.json(state)
        return await self._http.ask("POST", path, PrioritiesChanged, body=body, repeatable=True)

    async def list_priority_changes(self, query: PriorityChangesQuery | None = None) -> PriorityChangePage:
        """Say who changed which priorities when, the newest first."""
        return await self._http.ask("GET", f"{_API}/priority-changes", PriorityChangePage, query=query)

    # -- raw predictions ------------------------------------------------------------------------------------

    async def list_raw_predictions(self) -> RawPage:
        """Say how many raw predictions each version has, and how long they are kept."""
        return await self._http.ask("GET", f"{_API}/raw-predictions", RawPage)

    async def set_raw_retention(self, name: str, version: int, policy: RetentionRequest) -> RawAnswer:
        """Say how long a version's raw predictions are kept."""
        path = f"{_version(name, version)}/raw-retention"
        return await self._http.ask("PUT", path, RawAnswer, body=Body.json(policy), repeatable=True)

    # -- operation ------------------------------------------------------------------------------------------

    async def health_live(self) -> LiveAnswer:
        """Say whether the process answers."""
        return await self._http.ask("GET", "/health/live", LiveAnswer)

    async def health_ready(self) -> ReadyAnswer:
        """Say whether every part is ready; also one that is not comes as an answer."""
        return await self._http.ask("GET", "/health/ready", ReadyAnswer, also=503)

    async def metrics(self) -> str:
        """Return Prometheus' metrics."""
        return (await self._http.send("GET", "/metrics")).text

    async def _tag(self, method: str, image_id: int, tags: TagList, key: str | None) -> TaggingAnswer:
        path, body = f"{_IMAGES}/{image_id}/tags", Body.json(tags)
        return await self._http.ask(method, path, TaggingAnswer, body=body, key=key or new_key())


def _version(name: str, version: int) -> str:
    return f"{_MODELS}/{quote(name, safe='')}/versions/{version}"


def _thresholds(name: str, version: int) -> str:
    return f"{_version(name, version)}/thresholds"
