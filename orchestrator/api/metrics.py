"""GET /metrics: the scrape of this installation."""

import anyio.to_thread
from starlette.responses import Response

from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.telemetry import render_metrics


async def metrics(call: Call) -> Reply:
    """Render every metric; parts that are away are left out of the gauges."""
    snapshot = await call.resources.snapshot()
    body, content_type = await anyio.to_thread.run_sync(render_metrics, call.resources.metrics, snapshot)
    return Reply(200, Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"}))
