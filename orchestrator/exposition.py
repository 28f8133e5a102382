"""Showing the metrics of a process that serves no HTTP otherwise, on an address of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from orchestrator.settings import Settings
from orchestrator.telemetry import Metrics


@contextmanager
def metrics_shown(settings: Settings, metrics: Metrics) -> Iterator[None]:
    """Serve this process's metrics for the length of the block, from threads; nothing where no port is set.

    Raises OSError when the address cannot be had.
    """
    if settings.metrics_port is None:
        yield
        return
    server, thread = start_http_server(
        settings.metrics_port, addr=settings.metrics_host, registry=metrics.registry
    )
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
