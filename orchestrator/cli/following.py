"""Watching a job of the API until it ends."""

import asyncio

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.client import Client
from orchestrator.errors import TagdeskError
from orchestrator.records import JobState
from orchestrator.wire.bulk import JobAnswer

_POLL = 0.3
_UNDER_WAY = frozenset({JobState.QUEUED, JobState.RUNNING})


class JobEnded(TagdeskError):
    """A job was stopped, or failed; what it has done stays."""

    code = "job_ended"


async def follow(client: Client, job: JobAnswer, console: Console) -> JobAnswer:
    """Show how far a job is until it is done. Raises JobEnded when it ends otherwise."""
    if job.state in _UNDER_WAY:
        console.print(f"job {job.id} goes on without you, too: `tagdesk review jobs`", highlight=False)
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"job {job.id}", total=job.total)
        while True:
            progress.update(task, completed=job.processed, total=max(job.total, job.processed))
            if job.state not in _UNDER_WAY:
                break
            await asyncio.sleep(_POLL)
            job = await client.show_review_job(job.id)
    if job.state is not JobState.DONE:
        why = "" if job.failure is None else f": {job.failure.detail} ({job.failure.code})"
        raise JobEnded(
            f"job {job.id} is {job.state} after {job.processed:,} of {job.total:,} rows{why}; `tagdesk review"
            f" undo {job.batch_id}` takes back what it did"
        )
    return job
