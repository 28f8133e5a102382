"""`tagdesk review stats`: how much was decided, and how."""

from datetime import datetime
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from orchestrator.cli.remote import LONGEST_PAGE, AsJson, Token, Url, print_json, with_client
from orchestrator.client import Client
from orchestrator.records import Dimension
from orchestrator.wire.statistics import StatisticsAnswer, StatisticsLine, StatisticsQuery

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day, in UTC.")]


def stats(
    by: Annotated[Dimension, typer.Argument(help="By what to tell the reviews apart.")] = Dimension.TOTAL,
    *,
    since: Day = None,
    until: Day = None,
    limit: Annotated[int, typer.Option(min=1, max=LONGEST_PAGE, help="At most so many lines.")] = 50,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show how much was decided, and how.

    Examples: tagdesk review stats · tagdesk review stats tag --since 2026-01-01 · tagdesk review stats model
    """
    query = StatisticsQuery(
        by=by,
        since=None if since is None else since.date(),
        until=None if until is None else until.date(),
        limit=limit,
    )

    async def work(client: Client) -> StatisticsAnswer:
        return await client.show_statistics(query)

    answer = with_client(url, token, work)
    if as_json:
        print_json(answer.items)
        return
    headers = ("decided", "approved", "rejected", "approval", "implied", "cleared", "pending")
    table = Table(by, *headers, box=SIMPLE_HEAD, pad_edge=False)
    for line in answer.items:
        table.add_row(
            _subject(line),
            f"{line.decided:,}",
            f"{line.approved:,}",
            f"{line.decided - line.approved:,}",
            "" if line.approval_rate is None else f"{line.approval_rate:.1%}",
            f"{line.implied:,}",
            f"{line.cleared:,}",
            "" if line.pending is None else f"{line.pending:,}",
        )
    Console().print(table)
    if answer.waiting:
        typer.echo(f"{answer.waiting:,} batches are not summed up yet")


def _subject(line: StatisticsLine) -> str:
    """Return what a line is about."""
    if line.model is not None:
        return f"{line.model.name} {line.model.version}"
    if line.tag is not None:
        return line.tag.title
    if line.bucket is not None:
        return f"{line.bucket.low:.2f} – {line.bucket.high:.2f}"
    return str(line.type or line.reviewer or line.day or "all")
