"""Where the processor's time goes: seconds by kind of process, and the workers' memory."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import psutil

from orchestrator.local.parts import PartName
from orchestrator.local.stack import Stack

_SAMPLE = 0.25
_MIB = 1024 * 1024
_DECODER, _STUB = "orchestrator.images.child", "triton_python_backend_stub"


@dataclass(slots=True)
class ProcessTimes:
    """Seconds of processor time by kind of process, for so many images."""

    seconds: Counter[str] = field(default_factory=Counter)
    images: int = 0

    def milliseconds_each(self) -> Mapping[str, float]:
        """Return milliseconds for one image by kind, the largest first."""
        return {name: 1000 * value / max(1, self.images) for name, value in self.seconds.most_common()}


class Watch:
    """Watches a stack's processes while the block lasts. `peak_mb`: the backfill worker with its children."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.times = ProcessTimes()
        self.peak_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @contextmanager
    def counting(self, images: int) -> Iterator[None]:
        """Count what the block costs as the cost of so many images."""
        before = self._seconds()
        yield
        self.times.seconds.update(self._seconds() - before)
        self.times.images += images

    def _sample(self) -> None:
        while not self._over.wait(_SAMPLE):
            total = 0
            for process in self._tree(PartName.WORKER_BACKFILL):
                with suppress(psutil.Error):
                    total += process.memory_info().rss
            self.peak_mb = max(self.peak_mb, total / _MIB)

    def _seconds(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for part in PartName:
            for process in self._tree(part):
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    found[_kind(part, process)] += times.user + times.system
        return found

    def _tree(self, part: PartName) -> list[psutil.Process]:
        run = self._stack.run()
        status = run.parts.get(part) if run is not None else None
        if status is None or status.pid is None:
            return []
        with suppress(psutil.Error):
            process = psutil.Process(status.pid)
            return [process, *process.children(recursive=True)]
        return []


def _kind(part: PartName, process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    if _DECODER in command:
        return "decode"
    return "triton_stub" if _STUB in command else part.replace("-", "_")
