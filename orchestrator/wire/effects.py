"""What a change of rules would do to the pending queue."""

from orchestrator.wire.base import Answered
from orchestrator.wire.schemas import TagAnswer

MAX_SAMPLE = 50_000


class TagEffectAnswer(Answered):
    """What becomes of a tag's pending suggestions. `comes`, `goes`: some images where one does."""

    tag: TagAnswer
    pending: int
    added: int
    removed: int
    updated: int
    comes: tuple[int, ...]
    goes: tuple[int, ...]


class EffectAnswer(Answered):
    """What a change would do to the pending queue.

    `looked`: images that were looked at. With `estimated` they are a sample, counts are scaled to all images,
    and the margins say what they may be off by, 95 times of 100. `tags`: most rows that come or go first;
    `pending` is how many the tag has now.
    """

    looked: int
    estimated: bool
    images: int
    added: int
    added_margin: int
    removed: int
    removed_margin: int
    updated: int
    tags: tuple[TagEffectAnswer, ...]
