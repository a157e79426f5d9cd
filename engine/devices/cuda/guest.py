"""A good guest on the card: the primary context, the caller's stream, errors in one line."""

from __future__ import annotations

import ctypes
import threading
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from keeprt.engine.devices.cuda.driver import LIBRARY
from keeprt.engine.errors import BackendError, KeeprtError
from keeprt.kernels.wheels import check_driver, find_compiler

if TYPE_CHECKING:
    from cuda.core import Device, Stream
    from cuda.core.graph import GraphBuilder

LEAST_CUDA = (13, 0)  # of the wheels that the extra `kernels` installs
REASONS = {
    "OUT_OF_MEMORY": "the card has too little free memory; close other programs or use fewer faces",
    "NO_DEVICE": "the driver sees no GPU; see `keeprt doctor`",
    "INVALID_DEVICE": "there is no GPU of that number; see `keeprt doctor`",
    "SYSTEM_DRIVER_MISMATCH": "driver library and kernel module differ: reboot after the update",
    "INSUFFICIENT_DRIVER": "the driver is too old for these wheels: update it",
    "UNSUPPORTED_PTX_VERSION": "the driver is too old for these kernels: update it",
    "NO_BINARY_FOR_GPU": "the code was built for another card: build it again on this one",
    "STREAM_CAPTURE": "something in the frame cannot be captured; try --eager and report it",
}
# After these every further call on the card fails, until the process ends.
STICKY = (
    *("ILLEGAL_ADDRESS", "LAUNCH_FAILED", "LAUNCH_TIMEOUT", "ILLEGAL_INSTRUCTION", "ASSERT"),
    *("MISALIGNED_ADDRESS", "INVALID_PC", "INVALID_ADDRESS_SPACE", "HARDWARE_STACK_ERROR"),
    *("ECC_UNCORRECTABLE", "CONTEXT_IS_DESTROYED", "NVLINK_UNCORRECTABLE", "MPS_CLIENT"),
)


# cuda-core puts itself in another package's place while it is imported: a second thread that comes
# meanwhile finds it half made.
_importing = threading.Lock()


class CardLostError(BackendError):
    """The card's context is lost with all states on it; only a new process can use the card."""


class Visit:
    """A card's primary context, current while this is entered; the caller's comes back after."""

    def __init__(self, device: Device, context: Any) -> None:
        from cuda.bindings import driver

        self.device = device
        self._context, self._push, self._pop = (
            context,
            driver.cuCtxPushCurrent,
            driver.cuCtxPopCurrent,
        )

    def __enter__(self) -> Device:
        (code,) = self._push(self._context)
        if code:
            raise BackendError(f"GPU {self.device.device_id} cannot be used: {code.name}")
        return self.device

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pop()


def visit_card(device_id: int = 0) -> Visit:
    """A card, by its primary context: the one of PyCUDA's autoprimaryctx, CuPy and torch. Leaves
    the caller's context as it is.

    Raises BackendError without a driver, with one too old, without cuda-core or the card.
    """
    # Before any use of a device: cuda-core can hang where there is no driver.
    check_driver()
    check_version(driver_version())
    find_compiler()
    with _importing:
        from cuda.core import Device

    with one_line(f"GPU {device_id} cannot be used"):
        from cuda.bindings import driver

        _, before = driver.cuCtxGetCurrent()
        device = Device(device_id)
        device.set_current()
        _, context = driver.cuCtxGetCurrent()
        driver.cuCtxSetCurrent(before)
    return Visit(device, context)


def join_stream(device: Device, stream: object | None, *, urgent: bool = False) -> Stream:
    """A stream of our own for None, of the highest priority if `urgent`, else the caller's: an
    integer CUstream or `__cuda_stream__`."""
    from cuda.core import Stream, StreamOptions

    if stream is None:
        priority = _highest_priority() if urgent else None
        return device.create_stream(options=StreamOptions(nonblocking=True, priority=priority))
    if isinstance(stream, int):
        return Stream.from_handle(stream)
    if hasattr(stream, "__cuda_stream__"):
        return device.create_stream(stream)
    raise BackendError(
        f"{type(stream).__name__} is no CUDA stream: give its address as an int, or an object "
        "with __cuda_stream__"
    )


def handle_of(queue: Stream | GraphBuilder) -> int:
    """The CUstream of a stream, or of the stream that a capture stands on."""
    _, handle = queue.__cuda_stream__()
    return int(handle)


def _highest_priority() -> int:
    from cuda.bindings import driver

    _, _, greatest = driver.cuCtxGetStreamPriorityRange()
    return int(greatest)


def driver_version() -> tuple[int, int]:
    """The newest CUDA that the driver runs; (0, 0) where there is no driver."""
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError:
        return 0, 0
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return 0, 0
    return version.value // 1000, version.value % 1000 // 10


def check_version(found: tuple[int, int], least: tuple[int, int] = LEAST_CUDA) -> None:
    """Raises BackendError for a driver that is older than the wheels need."""
    if found < least:
        has, needs = (".".join(map(str, version)) for version in (found, least))
        raise BackendError(
            f"the NVIDIA driver is too old: it runs CUDA {has}, keeprt needs {needs}; update it"
        )


def one_line(what: str) -> AbstractContextManager[None]:
    """Turns the CUDA libraries' errors into a BackendError that says what to do."""
    return _OneLine(what)


class _OneLine:
    """No generator, which takes several times as long: every frame enters it twice."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # cuda-core keeps its classes private, TensorRT has none.
        if isinstance(error, Exception) and not isinstance(error, CardLostError):
            self._say(error)

    def _say(self, error: Exception) -> None:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        if any(word in text for word in STICKY):
            raise CardLostError(
                f"{self._what}: {text}; the card is lost to this process, and the states on it: "
                "save the states that are on the host and restart the process (then try --eager)"
            ) from error
        if isinstance(error, KeeprtError):
            return
        known = (reason for word, reason in REASONS.items() if word in text)
        raise BackendError(f"{self._what}: {next(known, text)}") from error
