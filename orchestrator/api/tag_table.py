"""The operations on tags, those of images and those of the board, and on what the board says of an image."""

from collections.abc import Mapping

from orchestrator.accounts import Action
from orchestrator.api import tags
from orchestrator.api.operations import Answer, Operation
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

_IMAGES = "Images"
_TAGS = "Tags"
_COUNTS = {"pending": 3, "approved": 3, "rejected": 1}


def tag_operations(prefix: str, *, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    """Return the operations, below `prefix`. `tag`: an example of one."""
    return (*_of_images(prefix, tag), *_of_the_board(prefix, tag))


def _of_images(prefix: str, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    path = f"{prefix}/images/{{image_id}}/tags"
    happened = {
        "image_id": 12,
        "batch_id": 8,
        "tags": [tag],
        "added": [tag],
        "removed": [],
        "aliases": [],
        "approved": [90],
        "cleared": [],
        "unlinked": [],
        "counts": _COUNTS,
    }
    named = {"tag_ids": [7], "external_ids": [1042]}
    answered = {200: Answer("What really happened", TaggingAnswer, example=happened)}
    return (
        Operation(
            method="PUT",
            path=path,
            name="setTags",
            group=_IMAGES,
            summary="Give an image exactly these tags",
            description=(
                "The board tells what people tagged. A pending suggestion of a tag that was not there is "
                "approved by implication, what the new tags make redundant is cleared: one batch, which can "
                "be undone. Rejected suggestions stay rejected. Doing so again changes nothing."
            ),
            handler=tags.set_tags,
            action=Action.REVIEW_OWN,
            any_of=(Action.REVIEW_ANY,),
            body=TagList,
            body_example=named,
            idempotency_key=True,
            problems=(409,),
            answers=answered,
        ),
        Operation(
            method="POST",
            path=path,
            name="addTags",
            group=_IMAGES,
            summary="Give an image these tags too",
            handler=tags.add_tags,
            action=Action.REVIEW_OWN,
            any_of=(Action.REVIEW_ANY,),
            body=TagList,
            body_example=named,
            idempotency_key=True,
            problems=(409,),
            answers=answered,
        ),
        Operation(
            method="DELETE",
            path=path,
            name="removeTags",
            group=_IMAGES,
            summary="Take these tags from an image",
            description="Suggestions that were approved stay so; the log notes that their tag went.",
            handler=tags.remove_tags,
            action=Action.REVIEW_OWN,
            any_of=(Action.REVIEW_ANY,),
            body=TagList,
            body_example=named,
            idempotency_key=True,
            problems=(409,),
            answers=answered,
        ),
        Operation(
            method="DELETE",
            path=f"{path}/{{tag_id}}",
            name="removeTag",
            group=_IMAGES,
            summary="Take one tag from an image",
            handler=tags.remove_tag,
            action=Action.REVIEW_OWN,
            any_of=(Action.REVIEW_ANY,),
            idempotency_key=True,
            problems=(409,),
            answers=answered,
        ),
        Operation(
            method="PATCH",
            path=f"{prefix}/images/{{image_id}}",
            name="changeEligibility",
            group=_IMAGES,
            summary="Say what the board says of an image",
            description=(
                "A repost or a deleted image loses its pending suggestions. When it is `active` or a "
                "`spoiler` again they are made anew from the stored scores by the rules of now; no model "
                "looks again. Decided suggestions stay."
            ),
            handler=tags.change_eligibility,
            action=Action.SET_ELIGIBILITY,
            body=EligibilityChange,
            body_example={"eligibility": "spoiler"},
            idempotency_key=True,
            problems=(409,),
            answers={
                200: Answer(
                    "What really happened",
                    EligibilityAnswer,
                    example={
                        "id": 12,
                        "before": "deleted",
                        "eligibility": "active",
                        "removed": 0,
                        "restored": 3,
                        "queued": False,
                        "counts": _COUNTS,
                    },
                )
            },
        ),
    )


def _of_the_board(prefix: str, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    detail = {**tag, "alias_of": None, "parent_id": 3, "links": 48_211, "pending": 940}
    return (
        Operation(
            method="GET",
            path=f"{prefix}/tags",
            name="listTags",
            group=_TAGS,
            summary="List or search the board's tags",
            handler=tags.list_tags,
            action=Action.READ_STATUS,
            query=TagsQuery,
            answers={
                200: Answer("A page of tags", TagPage, example={"items": [detail], "next_cursor": None})
            },
        ),
        Operation(
            method="POST",
            path=f"{prefix}/tags",
            name="createTag",
            group=_TAGS,
            summary="Make a tag",
            handler=tags.make_tag,
            action=Action.EDIT_TAGS,
            body=NewTagRequest,
            body_example={"title": "blue eyes", "type": "theme", "external_id": 1042, "parent_id": 3},
            idempotency_key=True,
            problems=(404, 409),
            answers={201: Answer("The tag", TagDetail, example=detail)},
        ),
        Operation(
            method="GET",
            path=f"{prefix}/tags/{{tag_id}}",
            name="showTag",
            group=_TAGS,
            summary="Show a tag",
            handler=tags.show_tag,
            action=Action.READ_STATUS,
            answers={200: Answer("The tag", TagDetail, example=detail)},
        ),
        Operation(
            method="PATCH",
            path=f"{prefix}/tags/{{tag_id}}",
            name="editTag",
            group=_TAGS,
            summary="Rename a tag, make it an alias, or move it in the hierarchy",
            description=(
                "Aliases of a tag that becomes an alias follow it to the canonical one; an alias is no "
                "target, and a tag leaves the hierarchy before it becomes one. Cycles are refused. Pending "
                "suggestions follow: to the canonical tag, or away where the image has it, or a tag below "
                "it, by now. Links stay where they are: one on an alias counts for its canonical tag."
            ),
            handler=tags.change_tag,
            action=Action.EDIT_TAGS,
            body=TagEditRequest,
            body_example={"title": "azure eyes", "parent_id": None},
            answers={
                200: Answer(
                    "The tag, and what became of suggestions",
                    TagEditAnswer,
                    example={"tag": detail, "moved": 0, "removed": 12, "unlinked": 0, "left": 0},
                )
            },
        ),
    )
