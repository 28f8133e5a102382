"""`python -m orchestrator.worker live|backfill`: a worker process group for one queue.

The work is done by dramatiq's own command line, started with the settings of DESIGN 2b: some of them are
environment variables that dramatiq reads when it is imported, so they are set here, before that.
"""

import argparse
import ctypes
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

from orchestrator.records import Priority
from orchestrator.settings import Settings, load_settings
from orchestrator.telemetry import MULTIPROCESS_FOLDER, Metrics, configure_logging

if TYPE_CHECKING:
    from dramatiq import Middleware

PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from <malloc.h>
TIME_LIMIT_MS = 600_000
SHUTDOWN_TIMEOUT_MS = 5_000  # for the consumers: Lifespan has waited for the messages by then
QUEUE_VARIABLE = "TAGDESK_WORKER_QUEUE"
METRICS_HOST_VARIABLE, METRICS_PORT_VARIABLE = "dramatiq_prom_host", "dramatiq_prom_port"
METRICS_FOLDER_VARIABLE = "dramatiq_prom_db"

# A live message is one image, a backfill message 64: while the last of one are stored, others are decoded.
THREADS = {Priority.LIVE: 16, Priority.BACKFILL: 3}

# Where decoding children of both queues compete for a core, somebody waits for the live one's: the utmost.
BACKFILL_NICENESS = 19

# How often idle consumers ask Redis, in ms, and how many messages a process may hold: less than its threads
# would leave some idle, more would keep messages from other workers.
DRAMATIQ_ENVIRONMENT = {"dramatiq_worker_timeout": "50", "dramatiq_queue_prefetch": "16"}


def boot() -> None:
    """Make the broker of this process; dramatiq's command line calls this in every worker process.

    Raises pydantic.ValidationError when settings are missing.
    """
    # Imported here: the command line has to set dramatiq's variables before anything imports it.
    import dramatiq  # noqa: PLC0415
    from dramatiq.middleware import Retries, TimeLimit  # noqa: PLC0415

    from orchestrator.actors import declare  # noqa: PLC0415
    from orchestrator.broker import WORKER_TIMEOUT, make_broker  # noqa: PLC0415
    from orchestrator.lifespan import EventLoop, Lifespan, LogContext  # noqa: PLC0415

    _stop_once()
    _end_with_parent()
    _keep_freed_memory()
    if os.environ.get(QUEUE_VARIABLE) == Priority.BACKFILL:
        os.nice(BACKFILL_NICENESS)
    settings = load_settings()
    # Straight to the descriptor: dramatiq's own stream carries every line through its main process.
    configure_logging(f"worker-{os.environ.get(QUEUE_VARIABLE, 'all')}", stream=sys.__stderr__)
    lifespan = Lifespan(settings, Metrics.create())
    broker = make_broker(
        settings,
        timeout=WORKER_TIMEOUT,
        middleware=[
            *_metrics_server(),
            LogContext(),
            TimeLimit(time_limit=TIME_LIMIT_MS),
            Retries(max_retries=0),  # the image's row knows when to try again
            EventLoop(),
            lifespan,
        ],
    )
    declare(broker, lifespan.analyse)
    dramatiq.set_broker(broker)


def _stop_once() -> None:
    """Make the first SIGTERM the only one that counts: dramatiq leaves by `sys.exit` at the second, which its
    own threads keep from ending. A terminal, a process group and a dying parent easily send two."""
    drain = signal.getsignal(signal.SIGTERM)
    if not callable(drain):
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        drain(number, frame)

    signal.signal(signal.SIGTERM, stop)


def _keep_freed_memory() -> None:
    """Have the C library reuse blocks of the size of pictures instead of giving each back to the kernel."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # glibc's
        library.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        library.mallopt(M_TRIM_THRESHOLD, 64 << 20)


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when dramatiq's master dies: nothing else would."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _metrics_server() -> "list[Middleware]":
    """Return dramatiq's Prometheus middleware where main() asked for it: a process beside the workers serves
    the metrics of the whole group, ours and dramatiq's own."""
    if METRICS_PORT_VARIABLE not in os.environ:
        return []
    from dramatiq.middleware.prometheus import Prometheus  # noqa: PLC0415

    return [Prometheus()]


def _metrics_variables(settings: Settings) -> dict[str, str]:
    """Return what dramatiq reads about a group's metrics when it is imported; nothing where no port is set.

    Raises ValueError without a folder: the processes share their metrics through it, and prometheus_client
    looks for its name when it is first imported, so that it cannot be chosen here.
    """
    if settings.metrics_port is None:
        return {}
    folder = os.environ.get(MULTIPROCESS_FOLDER)
    if not folder:
        raise ValueError(f"TAGDESK_METRICS_PORT needs a folder of this group's own in {MULTIPROCESS_FOLDER}")
    return {
        METRICS_HOST_VARIABLE: settings.metrics_host,
        METRICS_PORT_VARIABLE: str(settings.metrics_port),
        METRICS_FOLDER_VARIABLE: folder,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the workers of one queue until SIGTERM; returns the exit status.

    Raises pydantic.ValidationError when settings are missing, ValueError when a metrics port has no folder.

    SIGTERM finishes what is claimed, gives the other messages back and exits 0. Messages that are not
    through within lifespan.DRAIN_TIMEOUT are given up: their images are left to the claims' expiry.
    """
    parser = argparse.ArgumentParser(prog="python -m orchestrator.worker", description=__doc__)
    parser.add_argument("queue", type=Priority, choices=list(Priority))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, help="messages at a time in one process")
    options = parser.parse_args(arguments)
    for name, value in DRAMATIQ_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(_metrics_variables(load_settings()))
    os.environ[QUEUE_VARIABLE] = options.queue
    configure_logging(f"worker-{options.queue}")

    from dramatiq import cli  # noqa: PLC0415

    command = [
        "orchestrator.worker:boot",
        "--skip-logging",  # ours is set up in boot(), after the process's stderr is in place
        f"--processes={options.processes}",
        f"--threads={options.threads or THREADS[options.queue]}",
        f"--worker-shutdown-timeout={SHUTDOWN_TIMEOUT_MS}",
        "--queues",
        options.queue.value,
    ]
    parsed = cli.make_argument_parser().parse_args(command)  # type: ignore[no-untyped-call]
    return int(cli.main(parsed))  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    sys.exit(main())
