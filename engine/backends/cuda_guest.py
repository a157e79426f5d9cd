"""A good guest on the card: the primary context, the caller's stream, errors in one line."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from keeprt.engine.errors import BackendError, KeeprtError
from keeprt.kernels.wheels import check_driver, find_compiler

if TYPE_CHECKING:
    from cuda.core import Device, Stream

LEAST_CUDA = (13, 0)  # of the wheels that the extra `kernels` installs
REASONS = {
    "OUT_OF_MEMORY": "the card has too little free memory; close other programs or use fewer faces",
    "NO_DEVICE": "the driver sees no GPU; see `keeprt doctor`",
    "INVALID_DEVICE": "there is no GPU of that number; see `keeprt doctor`",
    "SYSTEM_DRIVER_MISMATCH": "driver library and kernel module differ: reboot after the update",
    "INSUFFICIENT_DRIVER": "the driver is too old for these wheels: update it",
    "UNSUPPORTED_PTX_VERSION": "the driver is too old for these kernels: update it",
    "NO_BINARY_FOR_GPU": "the code was built for another card: build it again on this one",
    "ILLEGAL_ADDRESS": "a kernel read or wrote outside its memory; try --eager and report it",
    "STREAM_CAPTURE": "something in the frame cannot be captured; try --eager and report it",
}


def join_card(device_id: int = 0) -> Device:
    """Makes a card's primary context current: the one of PyCUDA's autoprimaryctx, CuPy and torch.

    Raises BackendError without a driver, with one too old, without cuda-core or the card.
    """
    # Before any use of a device: cuda-core can hang where there is no driver.
    check_driver()
    check_version(driver_version())
    find_compiler()
    from cuda.core import Device

    with one_line(f"GPU {device_id} cannot be used"):
        device = Device(device_id)
        device.set_current()
    return device


def join_stream(device: Device, stream: object | None) -> Stream:
    """A stream of our own for None, else the caller's: an integer CUstream or `__cuda_stream__`."""
    from cuda.core import Stream, StreamOptions

    if stream is None:
        return device.create_stream(options=StreamOptions(nonblocking=True))
    if isinstance(stream, int):
        return Stream.from_handle(stream)
    if hasattr(stream, "__cuda_stream__"):
        return device.create_stream(stream)
    raise BackendError(
        f"{type(stream).__name__} is no CUDA stream: give its address as an int, or an object "
        "with __cuda_stream__"
    )


def driver_version() -> tuple[int, int]:
    """The newest CUDA that the driver runs; (0, 0) where there is no driver."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        version = ctypes.c_int()
        if driver.cuDriverGetVersion(ctypes.byref(version)) == 0:
            return version.value // 1000, version.value % 1000 // 10
    return 0, 0


def check_version(found: tuple[int, int], least: tuple[int, int] = LEAST_CUDA) -> None:
    """Raises BackendError for a driver that is older than the wheels need."""
    if found < least:
        has, needs = (".".join(map(str, version)) for version in (found, least))
        raise BackendError(
            f"the NVIDIA driver is too old: it runs CUDA {has}, keeprt needs {needs}; update it"
        )


@contextmanager
def one_line(what: str) -> Iterator[None]:
    """Turns the CUDA libraries' errors into a BackendError that says what to do."""
    try:
        yield
    except KeeprtError:
        raise
    except Exception as error:  # cuda-core keeps its classes private, TensorRT has none
        text = (str(error).splitlines() or [type(error).__name__])[0]
        known = (reason for word, reason in REASONS.items() if word in text)
        raise BackendError(f"{what}: {next(known, text)}") from error
