"""`tagdesk review bulk`, `jobs`, `cancel`: one decision on all that a filter finds."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.cli.following import follow
from orchestrator.cli.remote import (
    LONGEST_PAGE,
    AsJson,
    Token,
    Url,
    find_tag,
    first,
    print_json,
    with_client,
)
from orchestrator.client import Client, every
from orchestrator.records import Decision, RejectReason
from orchestrator.wire.bulk import (
    BulkFilter,
    BulkLook,
    BulkReviewAnswer,
    BulkReviewRequest,
    JobAnswer,
    JobsQuery,
)


def bulk(
    decision: Annotated[Decision, typer.Argument(help="What to decide.")],
    *,
    tag: Annotated[list[str] | None, typer.Option(help="Of this tag: its title, or our id of it.")] = None,
    image: Annotated[list[int] | None, typer.Option(min=1, help="Of this image: our id of it.")] = None,
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="From here on.")] = 0,
    model: Annotated[str | None, typer.Option(help="That this model decided.")] = None,
    reason: Annotated[RejectReason | None, typer.Option(help="Why, of a rejection.")] = None,
    note: Annotated[str | None, typer.Option(help="More words; needed with `other`.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Decide on all pending suggestions that a filter finds, as one batch.

    Example: tagdesk review bulk approve --tag smile --min-confidence 0.95. Shows how many there are and a few
    of them, asks, and shows how far it is. What comes in meanwhile is left alone. With --json, but not --yes,
    it prints the look and changes nothing.
    """
    console = Console(stderr=as_json)

    async def work(client: Client) -> BulkReviewAnswer:
        found = BulkFilter(
            tag_ids=tuple([await find_tag(client, name) for name in tag]) if tag else None,
            image_ids=tuple(image) if image else None,
            min_confidence=min_confidence,
            model=model,
        )
        request = BulkReviewRequest(decision=decision, reason=reason, note=note, filter=found)
        answer = await client.batch_review(request)
        look = answer.look
        if look is None or look.confirmation is None or (as_json and not yes):
            return answer
        if not as_json:
            _show_look(look, console)
        if not yes:
            typer.confirm(f"{decision} these {look.count:,} suggestions?", abort=True)
        answer = await client.batch_review(request.model_copy(update={"confirmation": look.confirmation}))
        if answer.job is not None:
            return answer.model_copy(update={"job": await follow(client, answer.job, console)})
        return answer

    answer = with_client(url, token, work)
    if as_json:
        print_json([answer])
    elif answer.job is None:
        typer.echo("nothing that is pending fits")
    else:
        typer.echo(_done(answer.job))


def jobs(
    *,
    mine: Annotated[bool, typer.Option("--mine", help="Only your own.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show reviews by filter, and large undos, the newest first."""
    query = JobsQuery(mine=mine, limit=min(limit, LONGEST_PAGE))
    found = with_client(url, token, lambda client: first(every(client.list_review_jobs, query), limit))
    if as_json:
        print_json(found)
        return
    table = Table("job", "kind", "by", "when", "state", "rows", "batch")
    for one in found:
        when = f"{one.created_at:%Y-%m-%d %H:%M} UTC"
        rows = f"{one.processed:,} of {one.total:,}"
        table.add_row(str(one.id), one.kind, one.by, when, one.state, rows, str(one.batch_id))
    Console().print(table if found else "no jobs")


def cancel(
    job: Annotated[int, typer.Argument(min=1, help="A job, as `jobs` shows it.")],
    *,
    url: Url = None,
    token: Token = None,
) -> None:
    """Stop a job. What it has done stays; undo its batch to take that back."""
    typer.echo(_done(with_client(url, token, lambda client: client.cancel_review_job(job))))


def _show_look(look: BulkLook, console: Console) -> None:
    table = Table("image", "tag", "confidence", "model", title=f"{len(look.samples)} of {look.count:,}")
    for one in look.samples:
        model = f"{one.model_name} {one.model_version}"
        table.add_row(str(one.image_id), one.tag.title, f"{one.confidence:.2f}", model)
    console.print(table)


def _done(job: JobAnswer) -> str:
    return (
        f"{job.changed:,} of {job.total:,} decided, {job.sampled:,} of them to be looked at again: batch"
        f" {job.batch_id}; `tagdesk review undo {job.batch_id}` takes it back"
    )
