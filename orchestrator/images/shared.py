"""Memory that a decoder and its child share, for tensors: a pipe would copy them twice more."""

import mmap
import os
from collections.abc import Iterable
from typing import Self

import numpy as np

from orchestrator.records import Uint8Tensor

ROOM = 4 * 1024 * 1024
"""Bytes: the tensors of six models of 448 pixels. Pages that nobody writes to cost nothing."""


class SharedMemory:
    """ROOM bytes without a name, which are gone with the last process that maps them.

    Belongs to one decoder and one child, who write and read in turns: nothing in it is locked.
    """

    def __init__(self, memory: mmap.mmap, fd: int | None) -> None:
        self._memory = memory
        self._fd = fd

    @classmethod
    def create(cls) -> Self:
        """Make some for a child to come. Raises OSError."""
        fd = os.memfd_create("tensors", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, ROOM)
            return cls(mmap.mmap(fd, ROOM), fd)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def of(cls, fd: int) -> Self:
        """Map what the parent made and handed down. Raises OSError."""
        try:
            return cls(mmap.mmap(fd, ROOM), None)
        finally:
            os.close(fd)

    @property
    def fd(self) -> int:
        """What to hand down to the child."""
        if self._fd is None:
            raise ValueError("handed down already")
        return self._fd

    def handed_down(self) -> None:
        """The child has been started: what is mapped stays so."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def write(self, tensors: Iterable[Uint8Tensor]) -> int | None:
        """Put tensors [S, S, 3] one after the other from the start; returns how many bytes they take, or
        None when there is no room for them."""
        parts = list(tensors)
        if sum(part.nbytes for part in parts) > ROOM:
            return None
        memory = np.frombuffer(self._memory, np.uint8)
        position = 0
        for part in parts:
            memory[position : position + part.size] = part.reshape(-1)
            position += part.size
        return position

    def read(self, length: int) -> bytes:
        """Return a copy of the first `length` bytes."""
        return self._memory[:length]
