"""Arrays of other CUDA programs, taken without a copy: PyCUDA, CuPy, torch, PyNvVideoCodec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keeprt.engine.errors import UsageError

LEGACY_STREAM = 1  # CU_STREAM_LEGACY


@dataclass(frozen=True)
class DeviceArray:
    """Where a C-contiguous array lies in device memory, and the stream that is writing it.

    `stream` is a CUstream as an integer (1 the legacy, 2 the per-thread default), or None where
    the array is ready.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stream: int | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of all elements."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape} at {self.address:#x}"


def device_array(
    name: str, array: object, consumer: int = -1, card: int | None = None
) -> DeviceArray:
    """The array behind DLPack, or `__cuda_array_interface__` (versions 2 and 3) where it has none.

    DLPack comes first since it orders the array's producer before `consumer`, the stream that will
    read it (-1 leaves it to the caller); torch's interface names no stream. `card` is the number
    of the card that it must lie on. Raises UsageError for host memory, another card, gaps between
    rows and a null address.
    """
    if hasattr(array, "__dlpack__") and not isinstance(array, np.ndarray):
        return _from_dlpack(name, array, consumer, card)
    interface = getattr(array, "__cuda_array_interface__", None)
    if isinstance(interface, Mapping):
        found = _from_interface(name, interface)
        if card is not None:
            _check_card(name, card_of(found.address), card)
        return found
    raise UsageError(
        f"{name} is {type(array).__name__}, no device array: it has neither "
        "__cuda_array_interface__ nor __dlpack__"
    )


def _from_interface(name: str, interface: Mapping[str, Any]) -> DeviceArray:
    try:
        shape = tuple(int(axis) for axis in interface["shape"])
        dtype, address = np.dtype(interface["typestr"]), int(interface["data"][0])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UsageError(f"{name} has a damaged __cuda_array_interface__: {error!r}") from None
    # Version 2 has no word for streams: such libraries work on the legacy one.
    stream = interface.get("stream", None if interface.get("version", 2) >= 3 else LEGACY_STREAM)
    if stream == 0:
        raise UsageError(f"{name} names stream 0, which the interface forbids as ambiguous")
    _check(name, shape, dtype, address, interface.get("strides"))
    return DeviceArray(address, shape, dtype, None if stream is None else int(stream))


def card_of(address: int) -> int | None:
    """The number of the card that memory lies on, None where the driver knows it for none's."""
    from cuda.bindings import driver

    ordinal = driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    code, number = driver.cuPointerGetAttribute(ordinal, address)
    return None if code or number is None or int(number) < 0 else int(number)


def _check_card(name: str, found: int | None, card: int) -> None:
    if found is None:
        raise UsageError(f"{name} does not lie in CUDA memory: its address is none of the driver's")
    if found != card:
        raise UsageError(f"{name} lies on GPU {found}, the restorer works on GPU {card}: move it")


def _from_dlpack(name: str, array: Any, consumer: int, card: int | None) -> DeviceArray:
    from cuda.core.utils import StridedMemoryView

    on_device, number = array.__dlpack_device__()
    if on_device not in (2, 3, 13):  # kDLCUDA, kDLCUDAHost, kDLCUDAManaged
        where = "host memory" if on_device == 1 else f"DLPack device {on_device}"
        raise UsageError(
            f"{name} lies in {where}, not in CUDA memory; "
            "move it to the card, or give a NumPy array"
        )
    if card is not None and on_device == 2:
        _check_card(name, int(number), card)
    view: Any = StridedMemoryView.from_dlpack(array, consumer)
    dtype = np.dtype(view.dtype)
    strides = None if view.strides is None else [s * dtype.itemsize for s in view.strides]
    _check(name, tuple(view.shape), dtype, int(view.ptr), strides)
    return DeviceArray(int(view.ptr), tuple(view.shape), dtype)


def _check(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], address: int, strides: Any
) -> None:
    dense: list[int] = []
    step = dtype.itemsize
    for axis in reversed(shape):
        dense.insert(0, step)
        step *= axis
    if strides is not None and any(
        axis > 1 and stride != wanted
        for axis, stride, wanted in zip(shape, strides, dense, strict=True)
    ):
        raise UsageError(f"{name} has strides {tuple(strides)}; give a C-contiguous array")
    if address == 0:
        raise UsageError(f"{name} has no memory: its address is null")
