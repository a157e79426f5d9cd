"""The NVIDIA driver and its cards, asked directly; where there is none, it says so."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

from keeprt.engine.errors import BackendError

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
COMPUTE_MAJOR, COMPUTE_MINOR = 75, 76  # CUdevice_attribute
NAME_BYTES = 256


@dataclass(frozen=True)
class Card:
    """A GPU: its number, name, compute capability as in "sm89", and memory in bytes."""

    index: int
    name: str
    target: str
    memory_bytes: int


@dataclass(frozen=True)
class Driver:
    """The driver found: the newest CUDA version it runs, as (major, minor), and its cards."""

    cuda: tuple[int, int]
    cards: tuple[Card, ...]


def find_driver(library: str = LIBRARY) -> Driver:
    """Driver and cards of this machine. Raises BackendError with what is missing."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        raise BackendError(
            f"no NVIDIA driver on this machine ({library} is not there); run `keeprt doctor`"
        ) from None
    _check(cuda, cuda.cuInit(0), "cuInit")
    version, count = ctypes.c_int(), ctypes.c_int()
    _check(cuda, cuda.cuDriverGetVersion(ctypes.byref(version)), "cuDriverGetVersion")
    _check(cuda, cuda.cuDeviceGetCount(ctypes.byref(count)), "cuDeviceGetCount")
    cards = tuple(_card(cuda, index) for index in range(count.value))
    return Driver((version.value // 1000, version.value % 1000 // 10), cards)


def has_card() -> bool:
    """Whether this machine has a driver that shows a card; never raises."""
    try:
        return bool(find_driver().cards)
    except BackendError:
        return False


def require_card(index: int = 0) -> Card:
    """The card of that number. Raises BackendError where there is no driver or no such card."""
    cards = find_driver().cards
    if index >= len(cards):
        raise BackendError(f"no GPU number {index}: this machine has {len(cards)}")
    return cards[index]


def _card(cuda: ctypes.CDLL, index: int) -> Card:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(NAME_BYTES), ctypes.c_size_t()
    _check(cuda, cuda.cuDeviceGet(ctypes.byref(device), index), "cuDeviceGet")
    _check(cuda, cuda.cuDeviceGetName(name, NAME_BYTES, device), "cuDeviceGetName")
    _check(cuda, cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device), "cuDeviceTotalMem")
    for value, attribute in ((major, COMPUTE_MAJOR), (minor, COMPUTE_MINOR)):
        code = cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        _check(cuda, code, "cuDeviceGetAttribute")
    target = f"sm{major.value}{minor.value}"
    return Card(index, name.value.decode(errors="replace"), target, memory.value)


def _check(cuda: ctypes.CDLL, code: int, call: str) -> None:
    if code:
        text = ctypes.c_char_p()
        cuda.cuGetErrorString(code, ctypes.byref(text))
        reason = (text.value or b"unknown error").decode()
        raise BackendError(
            f"the NVIDIA driver does not work: {call} says {reason} ({code}); run `keeprt doctor`"
        )
