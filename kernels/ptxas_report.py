"""What the assembler says of each kernel: registers, spills, stack and shared memory."""

import re
from dataclasses import dataclass

from keeprt.kernels.errors import BackendError

_ENTRY = re.compile(r"Compiling entry function '([^']+)' for '([^']+)'")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True)
class KernelReport:
    """Resources of one kernel on one architecture, in bytes and in registers per thread."""

    kernel: str
    architecture: str
    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_store_bytes: int
    spill_load_bytes: int

    @property
    def spills(self) -> bool:
        """Whether registers did not suffice, so that values go through local memory."""
        return self.spill_store_bytes + self.spill_load_bytes > 0


def parse_report(log: str) -> tuple[KernelReport, ...]:
    """The reports in a log of `--ptxas-options=-v`; BackendError for a log of another kind."""
    entries = list(_ENTRY.finditer(log))
    ends = [entry.start() for entry in entries[1:]] + [len(log)]
    return tuple(
        _one(entry[1], entry[2], log[entry.end() : end])
        for entry, end in zip(entries, ends, strict=True)
    )


def _one(kernel: str, architecture: str, text: str) -> KernelReport:
    stack, used = _STACK.search(text), _USED.search(text)
    if stack is None or used is None:
        raise BackendError(f"the log of {kernel} for {architecture} has no ptxas figures: {text!r}")
    shared = _SHARED.search(text)
    frame, stores, loads = (int(value) for value in stack.groups())
    return KernelReport(
        kernel, architecture, int(used[1]), int(shared[1]) if shared else 0, frame, stores, loads
    )
