"""A pool of expendable decoding processes behind one coroutine.

A child that hangs is killed after `timeout`, one that dies is replaced, and only the picture that it was
working on fails. Children are started when first needed, kept warm, and die with their parent.
`subprocess` rather than `multiprocessing`: workers may themselves be daemonic processes, which may have
no multiprocessing children, and `fork` is not safe beside their threads.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from orchestrator.errors import DecodeError, TransientError
from orchestrator.images.codes import DecodeCode, UnavailableCode
from orchestrator.images.limits import Limits
from orchestrator.images.shared import SharedMemory
from orchestrator.images.wire import (
    LENGTHS,
    PIPE_BYTES,
    Refusal,
    frame_lengths,
    pack_request,
    unpack_answer,
    whole_body,
)
from orchestrator.records import Geometry, PreparedImage
from orchestrator.settings import PictureSettings

MIB = 1024 * 1024
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 5.0
_SLICES = 10
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "TZ")

_KEEP_FREED = {"MALLOC_MMAP_THRESHOLD_": str(32 * MIB), "MALLOC_TRIM_THRESHOLD_": str(64 * MIB)}
"""Have a child reuse what it frees: to give memory back to the kernel and get it anew costs a third of the
time that a picture takes."""


class ChildDied(Exception):
    """The pipe to a child broke: it crashed, or something killed it."""


class _Child:
    """One decoding process, used by one coroutine at a time."""

    def __init__(self, process: Process, memory: SharedMemory) -> None:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 (both are pipes)
        self._process = process
        self._requests = process.stdin
        self._answers = process.stdout
        self._memory = memory

    @classmethod
    async def start(cls, memory: int) -> Self:
        """Start a process and wait until it is ready. Raises TransientError `decoder_unavailable`."""
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        # Secrets stay here; one thread a child, whose address space is limited.
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        environment |= _KEEP_FREED
        try:
            shared = SharedMemory.create()
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "orchestrator.images.child",
                    str(os.getpid()),
                    str(memory),
                    str(shared.fd),
                    stdin=PIPE,
                    stdout=PIPE,
                    env=environment,
                    limit=2 * PIPE_BYTES,
                    pass_fds=(shared.fd,),
                )
            finally:
                shared.handed_down()
        except OSError as error:
            raise _unavailable(f"no decoding process could be started: {error}") from error
        child = cls(process, shared)
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                await child._receive()
        except (TimeoutError, ChildDied) as error:
            await child.kill()
            raise _unavailable("a decoding process did not become ready") from error
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def alive(self) -> bool:
        """Whether the process has not been seen to end."""
        return self._process.returncode is None and not self._answers.at_eof()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def exchange(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        """Send a request and return the answer's head and body. Raises ChildDied."""
        try:
            self._requests.write(frame_lengths(head, len(body)) + head)
            self._requests.write(body)
            await self._requests.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChildDied from error
        head, body = await self._receive()
        return head, whole_body(head, body, self._memory)

    async def _receive(self) -> tuple[bytes, bytes]:
        try:
            lengths = await self._answers.readexactly(LENGTHS.size)
            head_length, body_length = LENGTHS.unpack(lengths)
            return await self._answers.readexactly(head_length), await self._answers.readexactly(body_length)
        except asyncio.IncompleteReadError as error:
            raise ChildDied from error

    def strike(self) -> None:
        """End the process at once; its pipes break."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def kill(self) -> None:
        """End the process at once and release its pipes; nobody may be waiting for its answer."""
        self.strike()
        self._requests.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT):
                await self._answers.read()
                await self._process.wait()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self._requests.wait_closed()


class Decoder:
    """Prepares pictures in at most `processes` children at a time; belongs to the loop it is used on."""

    def __init__(
        self,
        *,
        processes: int = 2,
        timeout: float = 10.0,
        limits: Limits | None = None,
        memory: int = 1280 * MIB,
    ) -> None:
        """Start nothing yet. `timeout`: seconds a picture may take; `memory`: address space a child may
        map beyond its code and libraries, in bytes."""
        self._timeout = timeout
        self._limits = limits or Limits()
        self._memory = memory
        self._slots = asyncio.Semaphore(processes)
        self._processes = processes
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @classmethod
    def from_settings(cls, settings: PictureSettings) -> Self:
        """Build the decoder that `settings` ask for."""
        return cls(
            processes=settings.decode_processes,
            timeout=settings.decode_timeout,
            limits=Limits(bytes=settings.max_image_bytes),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def idle_pids(self) -> tuple[int, ...]:
        """Process ids of the children that wait for work."""
        return tuple(child.pid for child in self._idle)

    async def warm(self) -> None:
        """Start every child now, so that the first pictures need not wait for one."""
        missing = self._processes - len(self._idle) - len(self._busy)
        self._idle.extend(await asyncio.gather(*(_Child.start(self._memory) for _ in range(missing))))

    async def prepare(self, data: bytes, geometries: Iterable[Geometry]) -> PreparedImage:
        """Decode `data` and letterbox it to each of `geometries`, in a child process.

        Raises DecodeError with a code of `DecodeCode`; TransientError `decoder_unavailable` when no
        process can be had. A cancelled call costs its child.
        """
        wanted = tuple(geometries)
        if len(data) > self._limits.bytes:
            detail = f"the file has {len(data)} bytes, the limit is {self._limits.bytes}"
            raise DecodeError(detail, code=DecodeCode.TOO_LARGE.value)
        head = pack_request(wanted, self._limits)
        async with self._slots:
            try:
                answer_head, body = await self._exchange(head, data, fresh=False)
            except ChildDied:
                # It may have been somebody else's kill, or an earlier picture's damage: try it alone.
                try:
                    answer_head, body = await self._exchange(head, data, fresh=True)
                except ChildDied as error:
                    detail = "the decoder crashed on this picture"
                    raise DecodeError(detail, code=DecodeCode.DECODE_CRASHED.value) from error
        answer = unpack_answer(answer_head, body, wanted)
        if isinstance(answer, Refusal):
            raise DecodeError(answer.detail, code=answer.code.value)
        return answer

    async def close(self) -> None:
        """End every child. Pictures still being prepared fail with `decoder_unavailable`."""
        self._closed = True
        idle, self._idle = self._idle, []
        for child in idle:
            self._end(child)
        for child in self._busy:
            child.strike()  # whoever waits for its answer does the rest
        for _ in range(self._processes):
            await self._slots.acquire()
        for _ in range(self._processes):
            self._slots.release()
        while self._ending:
            await asyncio.gather(*self._ending)

    async def _exchange(self, head: bytes, data: bytes, *, fresh: bool) -> tuple[bytes, bytes]:
        child = await self._take(fresh=fresh)
        self._busy.add(child)
        patience = _Patience(child, self._timeout)
        try:
            answer = await child.exchange(head, data)
        except ChildDied as error:
            self._end(child)
            if not patience.lost:
                raise
            detail = f"decoding took longer than {self._timeout:g} s"
            raise DecodeError(detail, code=DecodeCode.DECODE_TIMEOUT.value) from error
        except BaseException:
            self._end(child)
            raise
        finally:
            patience.end()
            self._busy.discard(child)
        if patience.lost:  # struck while its answer lay here unread
            self._end(child)
        else:
            self._idle.append(child)
        return answer

    async def _take(self, *, fresh: bool) -> _Child:
        self._check_open()
        while self._idle and not fresh:
            child = self._idle.pop()
            if child.alive:
                return child
            self._end(child)
        if self._idle and fresh:  # no more processes than asked for
            self._end(self._idle.pop(0))
        child = await _Child.start(self._memory)
        try:
            self._check_open()  # it may have been closed meanwhile
        except TransientError:
            self._end(child)
            raise
        return child

    def _check_open(self) -> None:
        if self._closed:
            raise _unavailable("the decoder is closed")

    def _end(self, child: _Child) -> None:
        """Kill in the background: the next picture need not wait for the last one's funeral."""
        task = asyncio.get_running_loop().create_task(child.kill())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class _Patience:
    """Ends a child that has not answered after `seconds` of this process's own time.

    Counted in slices: when this process was stopped or the machine slept, the answer may lie unread while
    one timer over it all has run out, and a good picture would fail for good. A timer rather than a task that
    is waited for: that is five turns of a busy loop fewer between two pictures of a child.
    """

    def __init__(self, child: _Child, seconds: float) -> None:
        self.lost = False
        self._child = child
        self._slice = seconds / _SLICES
        self._left = _SLICES
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._slice, self._pass)

    def end(self) -> None:
        """The child has answered, or died."""
        self._timer.cancel()

    def _pass(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._slice, self._pass)
        else:
            self.lost = True
            self._child.strike()


def _unavailable(detail: str) -> TransientError:
    return TransientError(detail, code=UnavailableCode.DECODER_UNAVAILABLE.value)
