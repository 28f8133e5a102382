"""Every method of the client once, against an API that runs as a process: what the table says is called."""

import re
from collections.abc import Awaitable, Callable, Mapping
from secrets import token_hex

import httpx
import pytest
from installation import CLIENTS, Installation, portrait

from orchestrator.api.operations import Operation
from orchestrator.api.table import operations
from orchestrator.client import ApiError, Client, every
from orchestrator.records import (
    Decision,
    Eligibility,
    FloorWord,
    LabelCategory,
    MappingAction,
    RawPolicy,
    Role,
    TagType,
)
from orchestrator.wire.bulk import BulkFilter, BulkReviewRequest
from orchestrator.wire.leases import ClaimRequest
from orchestrator.wire.mappings import MappingImport, MappingRow, MappingsQuery
from orchestrator.wire.models import ShadowRequest
from orchestrator.wire.priorities import (
    PrioritiesChange,
    PrioritiesPreview,
    PrioritiesRollBack,
    PriorityItem,
)
from orchestrator.wire.queues import QueueQuery
from orchestrator.wire.requests import (
    BatchesQuery,
    DecisionItem,
    RegisterImage,
    ReviewRequest,
    SuggestionsQuery,
)
from orchestrator.wire.retention import RetentionRequest
from orchestrator.wire.tags import EligibilityChange, NewTagRequest, TagEditRequest, TagList
from orchestrator.wire.thresholds import FloorItem, FloorsChange, PreviewRequest, RollBackRequest

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("role-matrix")]

REFUSED = {
    "cancelReviewJob": "job_finished",  # a few rows are no job that could be stopped
    "shadowModel": "version_in_use",  # of the only version that is active
    "rollBackModel": "nothing_before",
}

TABLE = {operation.name: operation for operation in operations()}


class Watching(httpx.AsyncHTTPTransport):
    """The network, remembering the last call and its answer."""

    last: tuple[httpx.Request, httpx.Response]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self.last = request, response
        return response


def assert_called(operation: Operation, transport: Watching, answer: object) -> None:
    """The call was this operation's, as the table has it, and so is the answer."""
    request, response = transport.last
    template = re.sub(r"{\w+}", "[^/]+", operation.path)
    assert (request.method, bool(re.fullmatch(template, request.url.path))) == (operation.method, True)
    assert ("Idempotency-Key" in request.headers) == operation.idempotency_key
    if isinstance(answer, ApiError):
        assert answer.status in operation.problem_statuses
    else:
        model = operation.answers[response.status_code].model
        assert isinstance(answer, (bytes, str) if model is None else model)


async def calls(client: Client, served: Installation) -> Mapping[str, Callable[[], Awaitable[object]]]:
    """Return a call of every operation, on rows that other tests do not need."""
    image_id = served.kept[Role.ADMIN]
    tag = await client.create_tag(NewTagRequest(title=f"of the client {token_hex(4)}", type=TagType.ARTIST))
    held = await client.claim_lease(ClaimRequest(tag_id=served.tag_id, limit=1))
    assert held.lease is not None
    lease_id = held.lease.id

    async def review() -> ReviewRequest:
        (row,) = (await client.list_suggestions(image_id, SuggestionsQuery(status="pending", limit=1))).items
        decision = DecisionItem(suggestion_id=row.id, version=row.version, decision=Decision.REJECT)
        return ReviewRequest(decisions=(decision,))

    async def undo() -> object:
        batch_id = (await client.review_suggestions(image_id, await review())).batch_id
        assert batch_id is not None
        return await client.undo_batch(batch_id)

    async def reviewed() -> object:
        return await client.review_suggestions(image_id, await review())

    async def reviewed_across() -> object:
        return await client.review_across_images(await review())

    look = BulkReviewRequest(decision=Decision.REJECT, filter=BulkFilter(image_ids=(image_id,)))
    seen = (await client.batch_review(look)).look
    assert seen is not None
    done = (await client.batch_review(look.model_copy(update={"confirmation": seen.confirmation}))).job
    assert done is not None
    await client.undo_batch(done.batch_id)

    async def mapped() -> int:
        row = MappingRow(external_tag=f"client_{token_hex(4)}", action=MappingAction.IGNORE)
        await client.import_mappings(MappingImport(rows=(row,), apply=True))
        (made, *_) = [one async for one in every(client.list_mappings, MappingsQuery(limit=200))][::-1]
        assert made.external_tag == row.external_tag
        return made.id

    mapping_id = await mapped()
    nothing = MappingRow(external_tag="client", action=MappingAction.IGNORE)

    first = PriorityItem(type=TagType.ARTIST, models=("wd14",))
    said = FloorItem(category=LabelCategory.GENERAL, floor=FloorWord.DEFAULT)

    tags = TagList(tag_ids=(tag.id,))
    return {
        "registerImage": lambda: client.register_image(RegisterImage(url="https://pictures.example/1.png")),
        "listImages": client.list_images,
        "showImage": lambda: client.show_image(image_id),
        "showPicture": lambda: client.show_picture(image_id),
        "listSuggestions": lambda: client.list_suggestions(image_id),
        "reviewSuggestions": reviewed,
        "reviewAcrossImages": reviewed_across,
        "undoBatch": undo,
        "listBatches": client.list_batches,
        "batchReview": lambda: client.batch_review(look),
        "listReviewJobs": client.list_review_jobs,
        "showReviewJob": lambda: client.show_review_job(done.id),
        "listReviewSamples": lambda: client.list_review_samples(done.id),
        "cancelReviewJob": lambda: client.cancel_review_job(done.id),
        "showStatistics": client.show_statistics,
        "generateSuggestions": lambda: client.generate_suggestions(image_id),
        "showStatus": lambda: client.show_status(image_id),
        "analyze": lambda: client.analyze(portrait(20_260_107)),
        "showWorklist": client.show_worklist,
        "showQueue": lambda: client.show_queue(QueueQuery(tag_id=served.tag_id)),
        "claimLease": lambda: client.claim_lease(ClaimRequest(tag_id=served.tag_id, limit=1)),
        "listLeases": client.list_leases,
        "renewLease": lambda: client.renew_lease(lease_id),
        "releaseLease": lambda: client.release_lease(lease_id),
        "setTags": lambda: client.set_tags(image_id, tags),
        "addTags": lambda: client.add_tags(image_id, tags),
        "removeTags": lambda: client.remove_tags(image_id, tags),
        "removeTag": lambda: client.remove_tag(image_id, tag.id),
        "changeEligibility": lambda: client.change_eligibility(
            image_id, EligibilityChange(eligibility=Eligibility.ACTIVE)
        ),
        "listTags": client.list_tags,
        "createTag": lambda: client.create_tag(
            NewTagRequest(title=f"of the client {token_hex(4)}", type=TagType.ARTIST)
        ),
        "showTag": lambda: client.show_tag(tag.id),
        "editTag": lambda: client.edit_tag(tag.id, TagEditRequest(parent_id=None)),
        "listMappings": client.list_mappings,
        "importMappings": lambda: client.import_mappings(MappingImport(rows=(nothing,))),
        "removeMapping": lambda: client.remove_mapping(mapping_id),
        "listMappingChanges": client.list_mapping_changes,
        "validateMappings": client.validate_mappings,
        "suggestMappings": client.suggest_mappings,
        "showCoverage": client.show_coverage,
        "listModels": client.list_models,
        "showModel": lambda: client.show_model("wd14", 1),
        "compareModels": lambda: client.compare_models("wd14", 1),
        "activateModel": lambda: client.activate_model("wd14", 1),
        "shadowModel": lambda: client.shadow_model("wd14", 1, ShadowRequest(share=0.1)),
        "endShadow": lambda: client.end_shadow("wd14", 1),
        "promoteModel": lambda: client.promote_model("wd14", 1),
        "rollBackModel": lambda: client.roll_back_model("wd14"),
        "retireModel": lambda: client.retire_model(*CLIENTS),
        "deactivateModel": lambda: client.deactivate_model(*CLIENTS),
        "removeModel": lambda: client.remove_model(*CLIENTS),
        "showThresholds": lambda: client.show_thresholds("wd14", 1),
        "setThresholds": lambda: client.set_thresholds("wd14", 1, FloorsChange(floors=(said,))),
        "previewThresholds": lambda: client.preview_thresholds("wd14", 1, PreviewRequest(floors=(said,))),
        "rollBackThresholds": lambda: client.roll_back_thresholds("wd14", 1, RollBackRequest(back_to=0)),
        "listThresholdChanges": client.list_threshold_changes,
        "showPriorities": client.show_priorities,
        "setPriorities": lambda: client.set_priorities(PrioritiesChange(rules=(first,))),
        "previewPriorities": lambda: client.preview_priorities(PrioritiesPreview(rules=(first,))),
        "rollBackPriorities": lambda: client.roll_back_priorities(PrioritiesRollBack(back_to=0)),
        "listPriorityChanges": client.list_priority_changes,
        "listRawPredictions": client.list_raw_predictions,
        "setRawRetention": lambda: client.set_raw_retention(
            "wd14", 1, RetentionRequest(policy=RawPolicy.KEEP)
        ),
        "healthLive": client.health_live,
        "healthReady": client.health_ready,
        "metrics": client.metrics,
    }


async def test_every_operation_is_called_by_its_method(served: Installation) -> None:
    transport = Watching()
    async with Client(served.address, served.tokens[Role.ADMIN], transport=transport) as client:
        ours = await calls(client, served)
        assert set(ours) == set(TABLE)
        for name, call in ours.items():
            try:
                answer = await call()
            except ApiError as error:
                assert REFUSED.get(name) == error.code
                answer = error
            assert_called(TABLE[name], transport, answer)
        # What others test with is as it was
        await client.release_lease((await client.list_leases()).items[0].id)
        for batch in (await client.list_batches(BatchesQuery(mine=True))).items:
            if batch.undoes is None and batch.undone_by is None:
                await client.undo_batch(batch.id)
