"""Memory that processes share and that nothing has to clean up: it ends with the last of them.

Interface: `memory = Memory.create(size)` in the parent; `memory.fd` goes to a child by `pass_fds`,
which opens it by `Memory.of(fd, size)`. `memory.view` is the memory; `memory.close()`.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass


@dataclass
class Memory:
    """A file without a name, in memory where the system has that, mapped."""

    fd: int
    map: mmap.mmap

    @classmethod
    def create(cls, size: int) -> Memory:
        """`size` bytes of zeros."""
        fd = _nameless()
        os.ftruncate(fd, size)
        return cls.of(fd, size)

    @classmethod
    def of(cls, fd: int, size: int) -> Memory:
        """What another process has created."""
        return cls(fd, mmap.mmap(fd, size))

    @property
    def view(self) -> memoryview:
        """All of it; a view must be gone before `close`."""
        return memoryview(self.map)

    def close(self) -> None:
        """Unmaps it; it is freed when the last process has."""
        self.map.close()
        os.close(self.fd)


def _nameless() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("keeprt")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
