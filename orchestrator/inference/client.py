"""Triton over gRPC: one channel a process, pinned versions, deadlines, and errors that say what to do."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import numpy as np
from google.protobuf import json_format, text_format  # type: ignore[import-untyped]
from tritonclient.grpc import InferInput, InferRequestedOutput, model_config_pb2
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from orchestrator.errors import InferenceRejected, InferenceUnavailable, ManifestError
from orchestrator.inference.failures import translated
from orchestrator.inference.progress import Progress, progress_of
from orchestrator.records import Float32Tensor, Priority, ServedModel, Uint8Tensor
from orchestrator.settings import Settings

INPUT, OUTPUT = "image", "scores"
ADMIN_HEADER = "triton-grpc-protocol-admin-key"
"""The metadata key of `--grpc-restricted-protocol=model-repository:admin-key=<secret>`."""

_PRIORITIES = {Priority.LIVE: 1, Priority.BACKFILL: 2}
_MAX_MESSAGE = 2**31 - 1
_MICROSECONDS = 1_000_000
_OVERSHOOT = 1e-3
_CONTROL_TIMEOUT = 120.0
_CHANNEL = [
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    # Without these a restarted server is found again only after a minute's back-off.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # This one is also how long an attempt to connect may take: a busy server needs more than a moment.
    ("grpc.min_reconnect_backoff_ms", 3000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Off by default: a server that vanished without a word would never be missed.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Every client of a process would else share one connection, which `close` would not end.
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True, slots=True)
class RepositoryEntry:
    """A version in Triton's repository index. `state`: `READY`, `UNAVAILABLE`, …; `reason` when not."""

    name: str
    version: int
    state: str
    reason: str


class TritonClient:
    """Asks Triton for scores; belongs to the loop it is first used on."""

    def __init__(self, url: str, *, timeout: float = 10.0, admin_key: str = "") -> None:
        """`url`: host:port of the gRPC endpoint. `timeout`: seconds, where a call names no deadline."""
        self._url = url
        self._timeout = timeout
        self._admin = {ADMIN_HEADER: admin_key} if admin_key else {}
        self._channel: InferenceServerClient | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build the client that `settings` ask for."""
        return cls(
            settings.triton_url,
            timeout=settings.inference_timeout,
            admin_key=settings.triton_admin_key.get_secret_value(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the channel. A later call would open it again."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def infer(
        self,
        model: ServedModel,
        batch: Uint8Tensor,
        *,
        priority: Priority = Priority.LIVE,
        deadline: float | None = None,
    ) -> Float32Tensor:
        """Return the probabilities [N, L], float32 in 0 … 1, of `batch`, UINT8 RGB [N, S, S, 3].

        `deadline`: seconds from now. The version is the model's own, never "the latest". Raises
        InferenceUnavailable when another try may help, InferenceRejected when none will: the tensor does
        not fit the model, or the answer has another shape or numbers that are no probabilities.
        """
        size = model.geometry.size
        if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[1:] != (size, size, 3) or not len(batch):
            detail = f"{model.name} takes uint8 [N, {size}, {size}, 3], not {batch.dtype} {batch.shape}"
            raise InferenceRejected(detail)
        seconds = self._timeout if deadline is None else deadline
        if seconds <= 0:
            raise InferenceUnavailable("no time is left to ask Triton", code="inference_timeout")
        tensor = InferInput(INPUT, list(batch.shape), "UINT8")
        tensor.set_data_from_numpy(np.ascontiguousarray(batch))
        async with self._call() as channel:
            answer = await channel.infer(
                model.name,
                [tensor],
                model_version=str(model.version),
                outputs=[InferRequestedOutput(OUTPUT)],
                priority=_PRIORITIES[priority],
                timeout=int(seconds * _MICROSECONDS),  # in Triton's queue
                client_timeout=seconds,  # Triton is late to notice that one: ours holds in any case
            )
            scores = answer.as_numpy(OUTPUT)
        return checked(model, scores, len(batch))

    async def is_live(self, *, deadline: float = 2.0) -> bool:
        """Whether the server answers at all."""
        try:
            async with self._call() as channel:
                return bool(await channel.is_server_live(client_timeout=deadline))
        except (InferenceUnavailable, InferenceRejected):
            return False

    async def is_ready(self, model: ServedModel, *, deadline: float = 2.0) -> bool:
        """Whether Triton says that it serves this version. A dead stub still says so: see `probe`."""
        try:
            async with self._call() as channel:
                ready = await channel.is_model_ready(model.name, str(model.version), client_timeout=deadline)
                return bool(ready)
        except (InferenceUnavailable, InferenceRejected):
            return False

    async def probe(self, model: ServedModel, *, deadline: float = 5.0) -> None:
        """Make one real inference on a grey picture. Raises as `infer` does."""
        size = model.geometry.size
        await self.infer(model, np.full((1, size, size, 3), 128, np.uint8), deadline=deadline)

    async def load(self, name: str, versions: Sequence[int], *, repository: Path) -> None:
        """Have Triton serve exactly `versions` of the model `name` of `repository`, at least one.

        The model's own config.pbtxt is sent with the version policy replaced, for Triton forgets such a
        change at its restart and the tracked file must not change by running. Versions that stay keep
        serving meanwhile. Raises ManifestError when config.pbtxt is missing or malformed,
        InferenceRejected when a version cannot be loaded (the old ones go on) or was not even looked for,
        as one without a folder (`version_not_ready`), InferenceUnavailable.
        """
        config = read_config(repository / name / "config.pbtxt")
        config.version_policy.specific.versions[:] = sorted(versions)
        async with self._call() as channel:
            await channel.load_model(
                name,
                headers=self._admin,
                config=json_format.MessageToJson(config, preserving_proto_field_name=True),
                client_timeout=_CONTROL_TIMEOUT,
            )
            missing = [
                version
                for version in sorted(versions)
                if not await channel.is_model_ready(name, str(version), client_timeout=_CONTROL_TIMEOUT)
            ]
        if missing:
            numbers = ", ".join(map(str, missing))
            raise InferenceRejected(f"{name}: version {numbers} is not ready", code="version_not_ready")

    async def unload(self, name: str) -> None:
        """Have Triton stop serving every version of the model `name`."""
        async with self._call() as channel:
            await channel.unload_model(name, headers=self._admin, client_timeout=_CONTROL_TIMEOUT)

    async def reload(self, name: str, version: int, versions: Sequence[int], *, repository: Path) -> None:
        """Start one version afresh, of the `versions` of its name that Triton serves.

        To load what is loaded changes nothing, so the version is left out first and then taken in again;
        its siblings keep answering meanwhile. Raises as `load` does: then the version may be left out.
        """
        others = [other for other in versions if other != version]
        if others:
            await self.load(name, others, repository=repository)
        else:
            await self.unload(name)
        await self.load(name, [*others, version], repository=repository)

    async def progress(self, model: ServedModel, *, deadline: float = 5.0) -> Progress:
        """Return how far a version has come since its load, by Triton's count.

        Raises InferenceUnavailable, also where Triton does not serve the version.
        """
        async with self._call() as channel:
            answer = await channel.get_inference_statistics(
                model.name, str(model.version), client_timeout=deadline
            )
        return progress_of(answer.model_stats[0])

    async def max_batch(self, model: ServedModel, *, deadline: float = 5.0) -> int:
        """Return how many pictures a request may carry, at least 1. Raises InferenceUnavailable."""
        async with self._call() as channel:
            answer = await channel.get_model_config(model.name, str(model.version), client_timeout=deadline)
        return max(1, int(answer.config.max_batch_size))

    async def index(self, *, deadline: float = 5.0) -> tuple[RepositoryEntry, ...]:
        """Return what Triton knows of its repository, by name and version; versions that were never
        loaded are not listed."""
        async with self._call() as channel:
            answer = await channel.get_model_repository_index(headers=self._admin, client_timeout=deadline)
        entries = [
            RepositoryEntry(entry.name, int(entry.version), entry.state, entry.reason)
            for entry in answer.models
            if entry.version
        ]
        return tuple(sorted(entries, key=lambda entry: (entry.name, entry.version)))

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[InferenceServerClient]:
        """Lend the channel, opened when first needed, and translate what goes wrong on it."""
        if self._channel is None:
            self._channel = InferenceServerClient(self._url, channel_args=_CHANNEL)
        try:
            yield self._channel
        except InferenceServerException as error:
            raise translated(error) from error
        except grpc.RpcError as error:
            raise InferenceUnavailable(f"Triton: {error}") from error
        except (asyncio.InvalidStateError, grpc.aio.UsageError) as error:
            raise InferenceUnavailable("the channel to Triton was closed") from error


def checked(model: ServedModel, scores: object, count: int) -> Float32Tensor:
    """Return `scores` when they are [count, L] probabilities; Triton passes NaN on with status OK."""
    labels = len(model.labels)
    who = f"{model.name} version {model.version}"
    if not isinstance(scores, np.ndarray) or scores.shape != (count, labels) or scores.dtype != np.float32:
        shape = getattr(scores, "shape", None)
        detail = f"{who} answered {shape}, not float32 [{count}, {labels}]"
        raise InferenceRejected(detail, code="scores_misshapen")
    if not np.isfinite(scores).all():
        raise InferenceRejected(f"{who} answered NaN or infinity", code="scores_not_finite")
    if scores.min() < -_OVERSHOOT or scores.max() > 1 + _OVERSHOOT:
        raise InferenceRejected(f"{who} answered numbers outside 0 … 1", code="scores_not_probabilities")
    return np.clip(scores, 0.0, 1.0)


def read_config(path: Path) -> "model_config_pb2.ModelConfig":
    """Return what a model's config.pbtxt says. Raises ManifestError when it is missing or malformed."""
    try:
        return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
    except (OSError, text_format.ParseError) as error:
        raise ManifestError(f"{path} cannot be read: {error}") from error
