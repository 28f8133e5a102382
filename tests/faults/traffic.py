"""People at work on the board: uploads and reviews over HTTP, repeated under their key until acknowledged."""

import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx
import pymysql
from running_board import RunningBoard, until
from sources import Source

from orchestrator.records import Role, SourceKind

UPLOADERS = 3
REVIEW_EVERY = 3
PATIENCE = 30.0
_AGAIN = 0.1
_PACE = 0.5


@dataclass(frozen=True, order=True)
class Acknowledged:
    """A verdict that the API said it had taken."""

    batch_id: int
    suggestion_id: int
    decision: str


class Traffic:
    """A run of `count` pictures: three people register them while another reviews every third.

    Whoever gets no answer or 503 asks again with the same Idempotency-Key; any other answer than the one
    hoped for is a failure. Use as a context: leaving it ends the people's work.
    """

    def __init__(self, board: RunningBoard, sources: Sequence[Source], count: int, *, review: bool = True):
        self._board = board
        sequence = itertools.islice(itertools.cycle(sources), count)
        self.sources = {next(board.external_ids): source for source in sequence}
        self.image_ids: dict[int, int] = {}
        self.acknowledged: list[Acknowledged] = []
        self.refused = 0
        self._failures: list[BaseException] = []
        self._stop = threading.Event()
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for external_id in self.sources:
            self._waiting.put(external_id)
        self._to_review = list(self.sources)[::REVIEW_EVERY] if review else []
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._upload,)) for _ in range(UPLOADERS)
        ]
        self._threads.append(threading.Thread(target=self._guarded, args=(self._review,)))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    # -- what a test asks -------------------------------------------------------------------------------

    def states(self) -> dict[str, int]:
        """Count the run's images by state; nothing while MariaDB is away."""
        first, last = min(self.sources), max(self.sources)
        try:
            found = self._board.rows(
                "SELECT state, COUNT(*) FROM images WHERE external_id BETWEEN %s AND %s GROUP BY state",
                first,
                last,
            )
        except pymysql.MySQLError:
            return {}
        return {str(state): int(str(amount)) for state, amount in found}

    def settled(self) -> int:
        """Count the images that have come to their end."""
        states = self.states()
        return states.get("done", 0) + states.get("failed", 0)

    def wait_for(self, settled: int, *, timeout: float = 120.0) -> None:
        """Wait until so many images have come to their end."""

        def enough() -> bool:
            self._raise_failures()
            return self.settled() >= settled

        until(enough, f"{settled} of {len(self.sources)} images settled", timeout=timeout)

    def finish(self, *, timeout: float = 180.0) -> None:
        """Wait until everything is registered, reviewed and settled."""

        def finished() -> bool:
            self._raise_failures()
            return not any(thread.is_alive() for thread in self._threads)

        until(finished, "every call is acknowledged", timeout=timeout)
        self.wait_for(len(self.sources), timeout=timeout)

    def one_more(self, client: httpx.Client, source: Source) -> tuple[httpx.Response, float]:
        """Register one picture more, with one try; returns the answer and the seconds it took.

        What is accepted belongs to the run from then on.
        """
        external_id = next(self._board.external_ids)
        start = time.monotonic()
        answer = self._register(client, source, external_id)
        seconds = time.monotonic() - start
        if answer.status_code == httpx.codes.ACCEPTED:
            self.sources[external_id] = source
            self.image_ids[external_id] = int(answer.json()["id"])
        return answer, seconds

    def meanwhile(self, seconds: float, ask: Callable[[httpx.Client], None]) -> None:
        """For so many seconds ask something of the API, twice a second."""
        end = time.monotonic() + seconds
        with httpx.Client(base_url=self._board.url, timeout=PATIENCE, trust_env=False) as client:
            while time.monotonic() < end:
                ask(client)
                self._stop.wait(_PACE)

    # -- what the people do -----------------------------------------------------------------------------

    def _guarded(self, work: Callable[[httpx.Client], None]) -> None:
        try:
            with httpx.Client(base_url=self._board.url, timeout=PATIENCE, trust_env=False) as client:
                work(client)
        except BaseException as error:
            self._failures.append(error)

    def _raise_failures(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _upload(self, client: httpx.Client) -> None:
        while not self._stop.is_set():
            try:
                external_id = self._waiting.get_nowait()
            except queue.Empty:
                return
            source = self.sources[external_id]
            answer = self._until_answered(
                lambda source=source, external_id=external_id: self._register(client, source, external_id)
            )
            if answer is not None:
                assert answer.status_code == 202, answer.text
                self.image_ids[external_id] = int(answer.json()["id"])

    def _register(self, client: httpx.Client, source: Source, external_id: int) -> httpx.Response:
        headers = {**self._board.headers(Role.ENGINEER), "Idempotency-Key": f"register-{external_id}"}
        match source.way:
            case SourceKind.BLOB:
                return client.post(
                    "/api/v1/images",
                    headers=headers,
                    files={"file": (source.name, source.data)},
                    data={"external_id": str(external_id)},
                )
            case way:
                body = {str(way): source.address, "external_id": external_id}
                return client.post("/api/v1/images", headers=headers, json=body)

    def _review(self, client: httpx.Client) -> None:
        headers = self._board.headers(Role.MODERATOR)
        for external_id in self._to_review:
            image_id = self._settled_image(client, external_id)
            if image_id is None:
                continue
            path = f"/api/v1/images/{image_id}/tag-suggestions"
            page = self._until_answered(lambda path=path: client.get(path, headers=headers))
            if page is None:
                return
            assert page.status_code == 200, page.text
            items = page.json()["items"]
            wanted = [(items[0], "approve"), (items[-1], "reject")] if len(items) > 1 else []
            if not wanted:
                continue
            decisions = [
                {"suggestion_id": item["id"], "version": item["version"], "decision": decision}
                for item, decision in wanted
            ]
            keyed = {**headers, "Idempotency-Key": f"review-{external_id}"}
            answer = self._until_answered(
                lambda path=path, keyed=keyed, decisions=decisions: client.post(
                    f"{path}/review", headers=keyed, json={"decisions": decisions}
                )
            )
            if answer is None:
                return
            assert answer.status_code == 200, answer.text
            outcome = answer.json()
            assert {result["outcome"] for result in outcome["results"]} == {"applied"}, answer.text
            self.acknowledged += [
                Acknowledged(outcome["batch_id"], decision["suggestion_id"], decision["decision"])
                for decision in decisions
            ]

    def _settled_image(self, client: httpx.Client, external_id: int) -> int | None:
        """Wait for an image to come to its end; None when it failed, or when the work is to end."""
        headers = self._board.headers(Role.MODERATOR)
        while not self._stop.is_set():
            image_id = self.image_ids.get(external_id)
            if image_id is not None:
                path = f"/api/v1/images/{image_id}/tag-suggestions/status"
                answer = self._until_answered(lambda path=path: client.get(path, headers=headers))
                if answer is None:
                    return None
                assert answer.status_code == 200, answer.text
                status = answer.json()["status"]
                if status in ("done", "failed"):
                    return image_id if status == "done" else None
            self._stop.wait(_AGAIN)
        return None

    def _until_answered(self, ask: Callable[[], httpx.Response]) -> httpx.Response | None:
        """Ask until there is an answer other than 503; None when the work is to end."""
        while not self._stop.is_set():
            try:
                answer = ask()
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return answer
            except httpx.TransportError:
                pass
            self.refused += 1
            self._stop.wait(_AGAIN)
        return None
