"""Which tags would tell people nothing new."""

from collections.abc import Collection

from orchestrator.records import ProposedSuggestion, TagType
from orchestrator.tagging.board import Board

STRONG_CHILD = 9_000
"""Confidence, in ten-thousandths, from which a suggested child supersedes its suggested ancestors."""


def said_by_applied(board: Board, applied: frozenset[int]) -> frozenset[int]:
    """Return the canonical tags in `applied` and all their ancestors."""
    said = set(applied)
    for tag_id in applied:
        said.update(board.ancestors(tag_id))
    return frozenset(said)


def is_part_of_applied_theme(board: Board, tag_id: int, applied: Collection[int]) -> bool:
    """Whether a theme's title is a whole-word part of an applied theme's: "kimono" of "short kimono"."""
    tag = board.tags[tag_id]
    if tag.type is not TagType.THEME:
        return False
    return any(
        is_whole_word_part(tag.title, board.tags[other].title)
        for other in applied
        if other in board.tags and board.tags[other].type is TagType.THEME
    )


def is_whole_word_part(part: str, whole: str) -> bool:
    """Whether `part` stands in `whole` between word boundaries, case and spacing aside, and is shorter."""
    part, whole = _plain(part), _plain(whole)
    if not part or len(part) >= len(whole):
        return False
    at = whole.find(part)
    while at >= 0:
        end = at + len(part)
        free_before = at == 0 or not _joins(whole[at - 1], whole[at])
        free_after = end == len(whole) or not _joins(whole[end - 1], whole[end])
        if free_before and free_after:
            return True
        at = whole.find(part, at + 1)
    return False


def without_superseded(
    board: Board, suggestions: dict[int, ProposedSuggestion]
) -> dict[int, ProposedSuggestion]:
    """Leave out the ancestors of suggested tags of at least `STRONG_CHILD` confidence."""
    superseded = {
        ancestor
        for tag_id, suggestion in suggestions.items()
        if suggestion.confidence >= STRONG_CHILD
        for ancestor in board.ancestors(tag_id)
    }
    return {tag_id: one for tag_id, one in suggestions.items() if tag_id not in superseded}


def _plain(title: str) -> str:
    return " ".join(title.casefold().replace("_", " ").split())


def _joins(left: str, right: str) -> bool:
    """Whether two neighbouring characters belong to one word."""
    return left.isalnum() and right.isalnum()
