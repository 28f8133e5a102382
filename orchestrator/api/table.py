"""The route table: every operation of the API, once."""

from orchestrator.accounts import Action
from orchestrator.api import analyze, examples, health, images, metrics, registration, suggestions
from orchestrator.api.answers import PREFIX
from orchestrator.api.bodies import BodyLimit
from orchestrator.api.bulk_table import bulk_operations
from orchestrator.api.comparison_table import comparison_operations
from orchestrator.api.mapping_table import mapping_operations
from orchestrator.api.model_table import model_operations
from orchestrator.api.operations import MULTIPART, Answer, Operation
from orchestrator.api.priority_table import priority_operations
from orchestrator.api.queue_table import queue_operations
from orchestrator.api.retention_table import retention_operations
from orchestrator.api.review_table import review_operations
from orchestrator.api.statistics_table import statistics_operations
from orchestrator.api.tag_table import tag_operations
from orchestrator.api.threshold_table import threshold_operations
from orchestrator.wire.health import LiveAnswer, ReadyAnswer
from orchestrator.wire.requests import ImagesQuery, RegisterImage, ReviewRequest, SuggestionsQuery
from orchestrator.wire.schemas import (
    AnalysisAnswer,
    Generating,
    ImageDetail,
    ImagePage,
    Registered,
    ReviewAnswer,
    ReviewProblem,
    StatusAnswer,
    SuggestionPage,
)

PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif")


def operations() -> tuple[Operation, ...]:
    """Return every operation, in the order of the documentation."""
    return (
        *_images(),
        *_suggestions(),
        *review_operations(PREFIX, result=examples.RESULT, stale=examples.STALE),
        *bulk_operations(PREFIX, tag=examples.TAG),
        *queue_operations(PREFIX, tag=examples.TAG),
        *tag_operations(PREFIX, tag=examples.TAG),
        *statistics_operations(PREFIX, tag=examples.TAG),
        *mapping_operations(PREFIX, tag=examples.TAG),
        *model_operations(PREFIX),
        *comparison_operations(PREFIX, tag=examples.TAG),
        *threshold_operations(PREFIX, tag=examples.TAG),
        *priority_operations(PREFIX, tag=examples.TAG),
        *retention_operations(PREFIX),
        *_operation(),
    )


def _images() -> tuple[Operation, ...]:
    return (
        Operation(
            method="POST",
            path=f"{PREFIX}/images",
            name="registerImage",
            group="Images",
            summary="Register a picture",
            description=(
                "By URL, by upload (multipart field `file`), or by a path below an allowed root (engineer "
                "and admin). Answers as soon as the row is stored; the analysis follows. Idempotent by "
                "`external_id` and by `Idempotency-Key`. What is no picture, or not there, ends as `failed`."
            ),
            handler=registration.register_image,
            action=Action.REGISTER_IMAGE,
            body=RegisterImage,
            body_example={"url": "https://board.example/pictures/4711.jpg", "external_id": 4711},
            uploads=(MULTIPART,),
            limit=BodyLimit.PICTURE,
            idempotency_key=True,
            problems=(409,),
            answers={
                202: Answer(
                    "Registered, or known before",
                    Registered,
                    example={
                        "id": 12,
                        "external_id": 4711,
                        "status": "queued",
                        "created": True,
                        "links": examples.LINKS,
                    },
                )
            },
        ),
        Operation(
            method="GET",
            path=f"{PREFIX}/images",
            name="listImages",
            group="Images",
            summary="List images, newest first",
            description=(
                "With `pending=true` the queue of images to look through, each with how many of its "
                "suggestions are pending. Who may review only their own images sees only those."
            ),
            handler=images.list_images,
            action=Action.READ_STATUS,
            query=ImagesQuery,
            query_example={"pending": True, "type": "theme", "model": "wd14"},
            answers={200: Answer("A page of images", ImagePage, example=examples.IMAGE_PAGE)},
        ),
        Operation(
            method="GET",
            path=f"{PREFIX}/images/{{image_id}}",
            name="showImage",
            group="Images",
            summary="Show an image and its tags",
            handler=images.show_image,
            action=Action.READ_STATUS,
            answers={200: Answer("The image", ImageDetail, example=examples.IMAGE_DETAIL)},
        ),
        Operation(
            method="GET",
            path=f"{PREFIX}/images/{{image_id}}/file",
            name="showPicture",
            group="Images",
            summary="The picture itself",
            description="As it was registered; a picture registered by URL is fetched under the same limits.",
            handler=images.show_file,
            action=Action.READ_STATUS,
            problems=(422,),
            answers={
                200: Answer("The picture", media_types=PICTURE_TYPES),
                304: Answer("Not modified", media_types=()),
            },
        ),
    )


def _suggestions() -> tuple[Operation, ...]:
    return (
        Operation(
            method="GET",
            path=f"{PREFIX}/images/{{image_id}}/tag-suggestions",
            name="listSuggestions",
            group="Suggestions",
            summary="List an image's suggestions",
            description="Surest first, with the counts of every state. What is shown is noted as shown.",
            handler=suggestions.list_suggestions,
            action=Action.REVIEW_OWN,
            any_of=(Action.REVIEW_ANY,),
            query=SuggestionsQuery,
            answers={
                200: Answer(
                    "A page of suggestions",
                    SuggestionPage,
                    example={"items": [examples.SUGGESTION], "counts": examples.COUNTS, "next_cursor": None},
                )
            },
        ),
        Operation(
            method="POST",
            path=f"{PREFIX}/images/{{image_id}}/tag-suggestions/review",
            name="reviewSuggestions",
            group="Suggestions",
            summary="Approve or reject suggestions",
            description=(
                "Each decision names the row version it was made on. A row that changed meanwhile is a "
                "conflict of its own and says who decided what; the rest goes through. When nothing goes "
                "through the answer is 409 with the same results."
            ),
            handler=suggestions.review_suggestions,
            action=Action.REVIEW_OWN,
            any_of=(Action.REVIEW_ANY,),
            body=ReviewRequest,
            body_example={
                "decisions": [
                    {"suggestion_id": 90, "version": 1, "decision": "approve"},
                    {"suggestion_id": 91, "version": 1, "decision": "reject", "reason": "wrong"},
                ]
            },
            idempotency_key=True,
            answers={
                200: Answer(
                    "What really happened",
                    ReviewAnswer,
                    example={"batch_id": 5, "results": [examples.RESULT], "counts": examples.COUNTS},
                ),
                409: Answer(
                    "Nothing went through, or the idempotency key was used for another request",
                    ReviewProblem,
                    media_types=("application/problem+json",),
                    example={
                        "type": "urn:tagdesk:problem:stale_version",
                        "title": "Conflict",
                        "status": 409,
                        "detail": "every suggestion has changed since it was shown",
                        "code": "stale_version",
                        "results": [examples.STALE],
                        "counts": examples.COUNTS,
                    },
                ),
            },
        ),
        Operation(
            method="POST",
            path=f"{PREFIX}/images/{{image_id}}/tag-suggestions/generate",
            name="generateSuggestions",
            group="Suggestions",
            summary="Analyse an image again",
            description="Also after a failure. Decided suggestions stay as they are.",
            handler=images.generate,
            action=Action.REVIEW_OWN,
            any_of=(Action.REVIEW_ANY,),
            answers={
                202: Answer(
                    "Asked for",
                    Generating,
                    example={"id": 12, "status": "queued", "links": examples.LINKS},
                )
            },
        ),
        Operation(
            method="GET",
            path=f"{PREFIX}/images/{{image_id}}/tag-suggestions/status",
            name="showStatus",
            group="Suggestions",
            summary="How far an image's analysis is",
            handler=images.show_status,
            action=Action.READ_STATUS,
            answers={200: Answer("The state", StatusAnswer, example=examples.STATUS)},
        ),
        Operation(
            method="POST",
            path=f"{PREFIX}/tag-suggestions/analyze",
            name="analyze",
            group="Suggestions",
            summary="Analyse a picture and store nothing",
            description="The picture as the body itself, or as the multipart field `file`.",
            handler=analyze.analyze,
            action=Action.ANALYZE,
            uploads=analyze.MEDIA_TYPES,
            limit=BodyLimit.PICTURE,
            answers={
                200: Answer("What models and rules make of it", AnalysisAnswer, example=examples.ANALYSIS)
            },
        ),
    )


def _operation() -> tuple[Operation, ...]:
    return (
        Operation(
            method="GET",
            path="/health/live",
            name="healthLive",
            group="Operation",
            summary="The process answers",
            handler=health.live,
            answers={200: Answer("Alive", LiveAnswer, example={"status": "ok", "version": "0.1.0"})},
        ),
        Operation(
            method="GET",
            path="/health/ready",
            name="healthReady",
            group="Operation",
            summary="Every part is ready",
            description="Database, Redis, and a tiny inference by every active model version.",
            handler=health.ready,
            answers={
                200: Answer("Ready", ReadyAnswer, example=examples.READY),
                503: Answer("Not ready; the parts say why", ReadyAnswer, example=examples.NOT_READY),
            },
        ),
        Operation(
            method="GET",
            path="/metrics",
            name="metrics",
            group="Operation",
            summary="Prometheus metrics",
            handler=metrics.metrics,
            answers={200: Answer("Metrics", media_types=("text/plain",))},
        ),
    )
