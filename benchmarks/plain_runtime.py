"""`python -m benchmarks.plain_runtime MODEL COUNT`: ONNX Runtime alone, at its best batch.

Finds that batch first. Then, for each line of input, computes COUNT prepared pictures and prints the seconds.
"""

import sys
import time
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.wd14_shape import SIZE

BATCHES = (1, 2, 4)


def main(model: str, count: int) -> None:
    """Answer until the input ends."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(1).integers(0, 256, (max(BATCHES), SIZE, SIZE, 3)).astype(np.float32)
    _seconds(session, pictures, 1, 1)
    best = min(BATCHES, key=lambda batch: _seconds(session, pictures, max(BATCHES), batch))
    print(best, flush=True)  # noqa: T201 (the caller reads it)
    for _ in sys.stdin:
        print(_seconds(session, pictures, count, best), flush=True)  # noqa: T201


def _seconds(session: Any, pictures: np.ndarray[Any, np.dtype[np.float32]], count: int, batch: int) -> float:
    start = time.perf_counter()
    for done in range(0, count, batch):
        session.run(["output"], {"input": pictures[: min(batch, count - done)]})
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
