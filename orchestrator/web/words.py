"""How the desk says things: times, percentages, outcomes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from orchestrator.records import (
    RejectReason,
    ReviewOutcome,
    SuggestionStatus,
    TagType,
    UndoneAs,
    UndoResult,
    VerdictOutcome,
    VerdictResult,
    as_probability,
)

GROUPS: Mapping[TagType, str] = {
    TagType.CHARACTER: "Characters",
    TagType.SOURCE: "Sources",
    TagType.THEME: "Themes",
    TagType.ARTIST: "Artists",
}
REASONS: Mapping[RejectReason, str] = {
    RejectReason.WRONG: "Wrong: not in the picture",
    RejectReason.REDUNDANT: "Redundant: another tag says it",
    RejectReason.NOT_WANTED: "Not wanted on this board",
    RejectReason.OTHER: "Something else (say what)",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def percent(score: int) -> str:
    """Return ten-thousandths in per cent; never 100 for what is not certain."""
    return f"{min(99, round(as_probability(score) * 100)) if score < 10_000 else 100} %"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """Return how long ago a moment was, as people say it."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    for limit, unit, name in ((_HOUR, _MINUTE, "minute"), (_DAY, _HOUR, "hour"), (30 * _DAY, _DAY, "day")):
        if seconds < unit:
            return "just now"
        if seconds < limit:
            amount = int(seconds // unit)
            return f"{amount} {name}{'' if amount == 1 else 's'} ago"
    return f"on {moment:%d %B %Y}"


def several(amount: int, noun: str) -> str:
    """Return an amount with its noun in the right number."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def what_happened(result: VerdictResult, title: str) -> str:
    """Say what became of one decision."""
    match result.outcome:
        case VerdictOutcome.APPLIED if result.status is SuggestionStatus.APPROVED:
            as_what = (
                f" as “{result.tag.title}”" if result.tag is not None and result.tag.title != title else ""
            )
            cleared = (
                f"; {several(len(result.cleared), 'broader tag')} no longer needed" if result.cleared else ""
            )
            already = "" if result.linked else " (it was on the picture already)"
            return f"Approved “{title}”{as_what}{already}{cleared}."
        case VerdictOutcome.APPLIED:
            return f"Rejected “{title}”."
        case VerdictOutcome.UNCHANGED:
            return f"“{title}” was already {result.status} by you."
        case VerdictOutcome.CONFLICT if result.decided_by is not None and result.decided_at is not None:
            return (
                f"Not done: {result.decided_by} {result.status} “{title}” {ago(result.decided_at)}, "
                "before your decision arrived."
            )
        case VerdictOutcome.CONFLICT:
            return f"Not done: “{title}” was analysed anew since you saw it. Look again and decide."
        case VerdictOutcome.NOT_FOUND:
            return f"Not done: {title} is gone; a newer analysis no longer suggests it."


def summary(outcome: ReviewOutcome, titles: Mapping[int, str]) -> str:
    """Say what became of a review: each decision where they are few or failed, else their number."""
    applied = [result for result in outcome.results if result.outcome is VerdictOutcome.APPLIED]
    others = [result for result in outcome.results if result.outcome is not VerdictOutcome.APPLIED]
    said = [what_happened(result, titles.get(result.suggestion_id, "the suggestion")) for result in others]
    if len(applied) == 1:
        said.insert(0, what_happened(applied[0], titles.get(applied[0].suggestion_id, "the suggestion")))
    elif applied:
        verb = "Approved" if applied[0].status is SuggestionStatus.APPROVED else "Rejected"
        said.insert(0, f"{verb} {several(len(applied), 'suggestion')}.")
    return " ".join(said)


def undone(results: Sequence[UndoResult], titles: Mapping[int, str]) -> str:
    """Say what became of an undo."""
    left = [one for one in results if one.outcome is UndoneAs.SUPERSEDED]
    back = [one for one in results if one.outcome is not UndoneAs.SUPERSEDED]
    if not results:
        return "There is nothing of yours to take back here."
    said = []
    if len(back) == 1:
        said.append(f"Took back the decision on “{titles.get(back[0].suggestion_id, 'the suggestion')}”.")
    elif back:
        said.append(f"Took back {several(len(back), 'decision')}.")
    for one in left:
        title = titles.get(one.suggestion_id, "the suggestion")
        who = f"{one.decided_by} {one.status} it since" if one.decided_by else "it changed since"
        said.append(f"“{title}” is left as it is: {who}.")
    return " ".join(said)


def whole(amount: int) -> str:
    """Return a whole number with its thousands told apart."""
    return f"{amount:,}"


def decimal(value: float, signed: bool = False) -> str:
    """Return a number with three places; `signed`: with its sign in any case."""
    return f"{value:+.3f}".replace("-", "−") if signed else f"{value:.3f}"


def per_cent(share: float) -> str:
    """Return a share of 0 … 1 in per cent, with one place."""
    return f"{share * 100:.1f} %"


FILTERS: Mapping[str, Callable[..., str]] = {
    "percent": percent,
    "ago": ago,
    "several": several,
    "whole": whole,
    "decimal": decimal,
    "per_cent": per_cent,
}
