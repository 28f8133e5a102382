"""The expendable process that decodes: `python -m orchestrator.images.child PARENT_PID MEMORY SHARED_FD`.

MEMORY: bytes it may map. Requests come on standard input, answers leave on standard output (see `wire.py`),
their tensors through memory that the parent shares; an empty answer says that the child is ready. It may be
killed at any time and holds nothing. It ends with its input, and the kernel kills it with its parent, so a
parent that was killed leaves no orphan.
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import sys
from typing import BinaryIO

from PIL import Image

from orchestrator.errors import DecodeError
from orchestrator.images.codes import DecodeCode
from orchestrator.images.limits import Limits
from orchestrator.images.prepare import prepare
from orchestrator.images.shared import SharedMemory
from orchestrator.images.wire import (
    LENGTHS,
    PIPE_BYTES,
    Refusal,
    frame_lengths,
    pack_prepared,
    pack_refusal,
    unpack_request,
)

_PR_SET_PDEATHSIG = 1


def main(parent: int, memory: int, shared_fd: int) -> None:
    """Answer requests until the input ends."""
    _die_with(parent)
    # The terminal's or a supervisor's signals go to the whole group; the parent decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    requests, answers = _take_over_standard_streams()
    shared = SharedMemory.of(shared_fd)
    _limit(memory)
    Image.MAX_IMAGE_PIXELS = Limits().pixels
    Image.init()
    _send(answers, b"{}")
    while (lengths := requests.read(LENGTHS.size)) and len(lengths) == LENGTHS.size:
        head_length, body_length = LENGTHS.unpack(lengths)
        head = requests.read(head_length)
        data = requests.read(body_length)
        if len(data) < body_length:
            return
        _answer(answers, shared, head, data)


def _answer(answers: BinaryIO, shared: SharedMemory, head: bytes, data: bytes) -> None:
    try:
        geometries, limits = unpack_request(head)
        answer, body = pack_prepared(prepare(data, geometries, limits), geometries, shared)
    except DecodeError as error:
        answer, body = pack_refusal(Refusal(DecodeCode(error.code), error.detail)), b""
    except MemoryError:
        detail = "preparing needs too much memory"
        answer, body = pack_refusal(Refusal(DecodeCode.TOO_MUCH_MEMORY, detail)), b""
    _send(answers, answer, body)


def _send(answers: BinaryIO, head: bytes, body: bytes = b"") -> None:
    answers.write(frame_lengths(head, len(body)) + head)
    answers.write(body)
    answers.flush()


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(0)


def _take_over_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for frames alone: a stray print must not end up in the middle of a tensor."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    for stream in (requests, answers):
        with contextlib.suppress(OSError):  # over the user's pipe quota: slower, not wrong
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with open(os.devnull, "r+b") as nothing:  # noqa: PTH123 (a device, not a path)
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, answers


def _limit(memory: int) -> None:
    """Bound the address space to `memory` bytes beyond what the interpreter and its libraries map now."""
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 (a kernel interface)
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = mapped + memory
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
