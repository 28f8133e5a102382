"""What a handler gets: the request, its caller, and the process's resources."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request

from orchestrator.api import bodies
from orchestrator.api.problems import RequestRefused
from orchestrator.errors import StoreUnavailable
from orchestrator.records import User
from orchestrator.resources import Resources
from orchestrator.store.idempotency import KEY_LENGTH
from orchestrator.store.transaction import Transaction
from orchestrator.web import paths

T = TypeVar("T")

Afterwards = Callable[[], Awaitable[object]]
"""What is done when the answer is out."""

READ_PATIENCE = 1.8
"""Seconds that a read may take: a database that hangs is answered with 503 within two."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation. `caller` is there whenever the operation needs a token."""

    request: Request
    resources: Resources
    caller: User | None

    @property
    def user(self) -> User:
        """The caller. Only for operations that need a token."""
        if self.caller is None:
            raise RuntimeError("this operation needs no token, so it has no caller")
        return self.caller

    @property
    def image_id(self) -> int:
        """The image that the path names."""
        return paths.image_id(self.request)

    @property
    def batch_id(self) -> int:
        """The batch that the path names."""
        return paths.batch_id(self.request)

    @property
    def job_id(self) -> int:
        """The job that the path names."""
        return paths.job_id(self.request)

    @property
    def lease_id(self) -> int:
        """The lease that the path names."""
        return paths.lease_id(self.request)

    @property
    def mapping_id(self) -> int:
        """The mapping that the path names."""
        return paths.mapping_id(self.request)

    @property
    def tag_id(self) -> int:
        """The tag that the path names."""
        return paths.tag_id(self.request)

    @property
    def model_version(self) -> tuple[str, int]:
        """The model's name and the version's number that the path names."""
        return paths.model_version(self.request)

    @property
    def model_name(self) -> str:
        """The model's name that the path names."""
        return paths.model_name(self.request)

    @property
    def idempotency_key(self) -> str | None:
        """The Idempotency-Key header. Raises RequestRefused (422) for one that cannot be a key."""
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return None
        if not 0 < len(key) <= KEY_LENGTH or not key.isascii() or not key.isprintable():
            detail = f"an idempotency key has 1 to {KEY_LENGTH} printable ASCII characters"
            raise RequestRefused(422, "bad_idempotency_key", detail)
        return key

    async def json(self, model: type[bodies.ModelT]) -> bodies.ModelT:
        """Read the JSON body."""
        return await bodies.read_json(self.request, model)

    def query(self, model: type[bodies.ModelT]) -> bodies.ModelT:
        """Read the query string."""
        return bodies.read_query(self.request.query_params, model)

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Read from the store, within READ_PATIENCE. Raises StoreUnavailable."""
        return await soon(self.resources.store.read(work))

    def note(self, work: Callable[[Transaction], Awaitable[object]]) -> Afterwards | None:
        """Return the noting of what a GET shows, for after the answer; a HEAD shows nothing."""
        if self.request.method != "GET":
            return None
        return lambda: self.resources.store.write(work)


async def soon(answer: Awaitable[T]) -> T:
    """Wait for the store's answer for at most READ_PATIENCE. Raises StoreUnavailable."""
    try:
        async with asyncio.timeout(READ_PATIENCE):
            return await answer
    except TimeoutError as error:
        raise StoreUnavailable(f"the database did not answer within {READ_PATIENCE:g} s") from error
