"""How far a version has come by Triton's own count: what tells a model that hangs from one that is slow."""

from dataclasses import dataclass

from tritonclient.grpc import service_pb2

SLOWEST_TIMES = 10.0
"""How many times the usual duration of its slowest batches one may take before it counts as stuck."""

_NANOSECONDS = 1e-9


@dataclass(frozen=True, slots=True)
class Progress:
    """What a version has done since it was loaded.

    `executions`: batches that were computed to their end. `slowest`: seconds that such a batch takes, on the
    average over those of the size that takes longest; 0 before the first.
    """

    executions: int
    slowest: float

    def is_stuck(self, since: "Progress", seconds: float, *, patience: float) -> bool:
        """Whether nothing was finished in the `seconds` since `since`, though somebody waited for it.

        `patience`: seconds that any batch is given; one of a model that is known to be slow is given more.
        """
        if self.executions != since.executions:
            return False
        return seconds >= max(patience, SLOWEST_TIMES * self.slowest)


def progress_of(statistics: "service_pb2.ModelStatistics") -> Progress:
    """Read the progress of one version from Triton's statistics of it."""
    sizes = (size.compute_infer for size in statistics.batch_stats)
    averages = [size.ns * _NANOSECONDS / size.count for size in sizes if size.count]
    return Progress(int(statistics.execution_count), max(averages, default=0.0))
