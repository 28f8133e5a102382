"""Who answers for model versions, as the stages see it: Triton, or ONNX Runtime in this process."""

from typing import Protocol

from orchestrator.inference.progress import Progress
from orchestrator.records import Float32Tensor, Priority, ServedModel, Uint8Tensor


class Answering(Protocol):
    """Asks versions, with the arguments, answers and errors of `TritonClient`."""

    async def infer(
        self, model: ServedModel, batch: Uint8Tensor, *, priority: Priority, deadline: float | None
    ) -> Float32Tensor:
        """Return the probabilities [N, L] of UINT8 RGB [N, S, S, 3]."""
        ...

    async def max_batch(self, model: ServedModel) -> int:
        """Return how many pictures a request may carry."""
        ...

    async def progress(self, model: ServedModel, *, deadline: float) -> Progress:
        """Return how far a version is by its server's own count."""
        ...
