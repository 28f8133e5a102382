"""`tagdesk review`: the backlog from a shell, over the API."""

import re
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.cli.following import follow
from orchestrator.cli.remote import LONGEST_PAGE, AsJson, Token, Url, find_tag, first, print_json, with_client
from orchestrator.cli.review_bulk import bulk, cancel, jobs
from orchestrator.cli.review_stats import stats
from orchestrator.client import ApiError, Client, every, pages
from orchestrator.records import Decision, Held, QueueOrder, RejectReason, TagType, UndoneAs, VerdictOutcome
from orchestrator.wire.base import MAX_DECISIONS
from orchestrator.wire.bulk import JobAnswer
from orchestrator.wire.leases import LeaseAnswer, LeasesQuery
from orchestrator.wire.queues import HeldBy, QueueAnswer, QueuedSuggestion, QueueQuery, WorklistQuery
from orchestrator.wire.requests import BatchesQuery, DecisionItem, ReviewRequest, UndoRequest
from orchestrator.wire.schemas import ReviewResult, UndoAnswer

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Review suggestions from a shell: find a tag, see its queue, decide, take back.\n\n"
        "Examples:\n\n"
        "  tagdesk review worklist              tags with pending suggestions\n\n"
        "  tagdesk review queue 'blue eyes'     the rows of one tag\n\n"
        "  tagdesk review approve 90:1 91:1     two rows, as they were shown\n\n"
        "  tagdesk review undo 5                all of batch 5 back\n\n"
        "Works on the API of --url with --token, else on the running local stack as the demo's moderator."
    ),
)
_ROW = re.compile(r"([1-9][0-9]{0,18})(?::([1-9][0-9]{0,9}))?")
_UNTOUCHED = 1
"""The version of a suggestion that nobody has touched."""

Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
Rows = Annotated[
    list[str],
    typer.Argument(help="Rows as `queue` shows them: ID:VERSION; an ID alone is a row that nobody touched."),
]


@app.command()
def worklist(
    *,
    url: Url = None,
    token: Token = None,
    type: Annotated[TagType | None, typer.Option(help="Only tags of this type.")] = None,  # noqa: A002
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Count from here on.")] = 0,
    model: Annotated[str | None, typer.Option(help="Only tags that this model suggests.")] = None,
    search: Annotated[str | None, typer.Option(help="A part of the title.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show tags with pending suggestions, the most first.

    Example: tagdesk review worklist --type character --min-confidence 0.9
    """
    query = WorklistQuery(
        type=type, min_confidence=min_confidence, model=model, search=search, limit=min(limit, LONGEST_PAGE)
    )
    found = with_client(url, token, lambda client: first(every(client.show_worklist, query), limit))
    if as_json:
        print_json(found)
        return
    table = Table("tag", "title", "type", "pending", "held by others")
    for one in found:
        table.add_row(str(one.tag.id), one.tag.title, one.tag.type, f"{one.pending:,}", _holders(one.holders))
    Console().print(table if found else "nothing is pending")


@app.command()
def queue(
    tag: Annotated[str, typer.Argument(help="A tag: its title, or our id of it.")],
    *,
    url: Url = None,
    token: Token = None,
    order: Annotated[QueueOrder, typer.Option(help="What comes first.")] = QueueOrder.CONFIDENCE,
    min_confidence: Annotated[float, typer.Option(min=0, max=1)] = 0,
    model: Annotated[str | None, typer.Option(help="Only what this model decided.")] = None,
    explorations: Annotated[bool, typer.Option(help="With rows from just below the threshold.")] = True,
    held: Annotated[Held, typer.Option(help="By whom the rows may be held.")] = Held.ANY,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show the pending suggestions of one tag.

    Example: tagdesk review queue 'blue eyes' --order uncertainty --held free
    """

    async def work(client: Client) -> tuple[QueueAnswer, list[QueuedSuggestion]]:
        query = QueueQuery(
            tag_id=await find_tag(client, tag),
            order=order,
            min_confidence=min_confidence,
            model=model,
            explorations=explorations,
            held=held,
            limit=min(limit, LONGEST_PAGE),
        )
        rows: list[QueuedSuggestion] = []
        async for page in pages(client.show_queue, query):
            rows += page.items
            if len(rows) >= limit:
                break
        return page, rows[:limit]

    last, found = with_client(url, token, work)
    if as_json:
        print_json(found)
        return
    table = Table("row", "image", "confidence", "model", "the image's tags", "held by")
    for one in found:
        exploration = " (exploration)" if one.exploration else ""
        table.add_row(
            f"{one.id}:{one.version}",
            str(one.image.id),
            f"{one.confidence:.2f}{exploration}",
            f"{one.model_name} {one.model_version}",
            ", ".join(tag.title for tag in one.image.tags),
            "" if one.lease is None else "you" if one.lease.mine else one.lease.holder,
        )
    console = Console()
    if found:
        console.print(table)
    console.print(f"{last.tag.title}: {last.pending:,} pending in all", highlight=False, markup=False)
    if last.held:
        console.print(f"held by {_holders(last.held)}", highlight=False, markup=False)


@app.command()
def approve(rows: Rows, *, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Approve suggestions as they were shown, as one batch.

    Example: tagdesk review approve 90:1 91:1. Exit status 1 when one of them did not go through.
    """
    decisions = [_decision(row, Decision.APPROVE, None, None) for row in rows]
    _decide(decisions, url, token, as_json)


@app.command()
def reject(
    rows: Rows,
    *,
    url: Url = None,
    token: Token = None,
    reason: Annotated[RejectReason, typer.Option(help="Why.")] = RejectReason.WRONG,
    note: Annotated[str | None, typer.Option(help="More words; needed with `other`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Reject suggestions as they were shown, as one batch.

    Example: tagdesk review reject 90:1 --reason other --note 'these are goggles'
    """
    if reason is RejectReason.OTHER and not (note or "").strip():
        raise typer.BadParameter("the reason 'other' needs a --note")
    decisions = [_decision(row, Decision.REJECT, reason, note) for row in rows]
    _decide(decisions, url, token, as_json)


@app.command()
def batches(
    *,
    url: Url = None,
    token: Token = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only your own.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Show what was decided together, the newest first; `undo` takes it back."""
    query = BatchesQuery(mine=mine, limit=min(limit, LONGEST_PAGE))
    found = with_client(url, token, lambda client: first(every(client.list_batches, query), limit))
    if as_json:
        print_json(found)
        return
    table = Table("batch", "kind", "by", "when", "undone by")
    for one in found:
        kind = one.kind if one.undoes is None else f"{one.kind} of {one.undoes}"
        table.add_row(
            str(one.id), kind, one.by, f"{one.created_at:%Y-%m-%d %H:%M} UTC", str(one.undone_by or "")
        )
    Console().print(table)


@app.command()
def undo(
    batch: Annotated[int, typer.Argument(min=1, help="A batch, as `batches` shows it.")],
    *,
    url: Url = None,
    token: Token = None,
    suggestion: Annotated[list[int] | None, typer.Option(min=1, help="Only these of it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take a batch back, or a part of it. What somebody has acted on since is left.

    Example: tagdesk review undo 5 --suggestion 90 --suggestion 91
    """
    request = UndoRequest(suggestion_ids=tuple(suggestion)) if suggestion else UndoRequest()

    async def work(client: Client) -> UndoAnswer | JobAnswer:
        answer = await client.undo_batch(batch, request)
        return await follow(client, answer, Console(stderr=True)) if isinstance(answer, JobAnswer) else answer

    answer = with_client(url, token, work)
    if as_json:
        print_json([answer])
    elif isinstance(answer, JobAnswer):
        typer.echo(
            f"{answer.changed:,} of {answer.total:,} rows are as they were before: batch {answer.batch_id}"
        )
    else:
        if not answer.results:
            typer.echo(f"nothing of batch {batch} is left to take back")
            return
        restored = sum(one.outcome is UndoneAs.RESTORED for one in answer.results)
        typer.echo(f"{restored:,} of {len(answer.results):,} rows are as they were before")
        for one in answer.results:
            if one.outcome is not UndoneAs.RESTORED:
                by = f", {one.status} by {one.decided_by}" if one.decided_by else ""
                typer.echo(f"  {one.suggestion_id}: {one.outcome}{by}")


@app.command()
def leases(
    *,
    url: Url = None,
    token: Token = None,
    tag: Annotated[str | None, typer.Option(help="Only of this tag: its title, or our id of it.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only your own.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show who was handed what, and until when."""

    async def work(client: Client) -> list[LeaseAnswer]:
        tag_id = None if tag is None else await find_tag(client, tag)
        query = LeasesQuery(tag_id=tag_id, mine=mine, limit=min(limit, LONGEST_PAGE))
        return await first(every(client.list_leases, query), limit)

    found = with_client(url, token, work)
    if as_json:
        print_json(found)
        return
    table = Table("lease", "tag", "holder", "rows", "until")
    for one in found:
        rows = f"{one.rows:,} (the whole tag)" if one.whole_tag else f"{one.rows:,}"
        table.add_row(str(one.id), one.tag.title, one.holder, rows, f"{one.expires_at:%H:%M:%S} UTC")
    Console().print(table if found else "nobody holds anything")


app.command()(bulk)
app.command()(jobs)
app.command()(cancel)
app.command()(stats)


def _decision(row: str, decision: Decision, reason: RejectReason | None, note: str | None) -> DecisionItem:
    found = _ROW.fullmatch(row)
    if found is None:
        raise typer.BadParameter(f"{row!r} is no row: write ID:VERSION, as `tagdesk review queue` shows it")
    return DecisionItem(
        suggestion_id=int(found[1]),
        version=int(found[2] or _UNTOUCHED),
        decision=decision,
        reason=reason,
        note=note,
    )


def _decide(decisions: Sequence[DecisionItem], url: str | None, token: str | None, as_json: bool) -> None:
    """Send decisions and show what became of them; exit status 1 unless all went through."""
    if len(decisions) > MAX_DECISIONS:
        raise typer.BadParameter(f"at most {MAX_DECISIONS} rows at a time; `bulk` decides by a filter")
    review = ReviewRequest(decisions=tuple(decisions))
    batch_id: int | None = None
    try:
        answer = with_client(url, token, lambda client: client.review_across_images(review))
        results, batch_id = answer.results, answer.batch_id
    except ApiError as error:
        if not error.results:
            raise
        results = error.results
    if as_json:
        print_json(results)
    else:
        _show_results(results, batch_id)
    if any(one.outcome in (VerdictOutcome.CONFLICT, VerdictOutcome.NOT_FOUND) for one in results):
        raise typer.Exit(1)


def _show_results(results: Sequence[ReviewResult], batch_id: int | None) -> None:
    table = Table("row", "tag", "what happened", "is now", "decided by")
    for one in results:
        also = [
            word
            for word, true in (
                ("tag put on the image", one.linked),
                ("tag was there", one.already_linked),
                ("alias resolved", one.alias_resolved),
                (f"{len(one.cleared)} made redundant", bool(one.cleared)),
            )
            if true
        ]
        table.add_row(
            str(one.suggestion_id),
            "" if one.tag is None else one.tag.title,
            ", ".join([one.outcome, *also]),
            one.status or "",
            one.decided_by or "",
        )
    Console().print(table)
    if batch_id is not None:
        typer.echo(f"batch {batch_id}; `tagdesk review undo {batch_id}` takes it back")


def _holders(holders: Sequence[HeldBy]) -> str:
    return ", ".join(f"{one.holder}: {'all' if one.whole_tag else f'{one.rows:,}'}" for one in holders)
