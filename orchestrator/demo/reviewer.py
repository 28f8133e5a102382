"""A reviewer who knows what was drawn, and decides as somebody would who looks closely."""

from collections.abc import Mapping

from orchestrator.client import Client
from orchestrator.demo.agreement import Truth
from orchestrator.records import Decision, SuggestionStatus
from orchestrator.wire.requests import DecisionItem, ReviewRequest


async def review(moderator: Client, truth: Truth, expected: Mapping[int, frozenset[int]]) -> int:
    """Decide on everything pending of the images in `expected`; returns how many decisions that took.

    `expected`: image → canonical tags of what was drawn. A tag that was drawn, or stands above one, is
    approved; another one is wrong. Inferred sources are left to people. Raises ApiError, ApiUnavailable.
    """
    decided = 0
    for image_id, drawn in expected.items():
        right = drawn.union(*(truth.ancestors(tag_id) for tag_id in drawn))
        page = await moderator.list_suggestions(image_id)
        decisions = tuple(
            DecisionItem(
                suggestion_id=one.id,
                version=one.version,
                decision=Decision.APPROVE if one.tag.id in right else Decision.REJECT,
            )
            for one in page.items
            if one.status is SuggestionStatus.PENDING and not one.inferred
        )
        if decisions:
            await moderator.review_suggestions(image_id, ReviewRequest(decisions=decisions))
            decided += len(decisions)
    return decided
