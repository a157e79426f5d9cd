"""Arrays of other CUDA programs, described by fakes of their interfaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keeprt.engine.devices.cuda.arrays import DeviceArray, device_array
from keeprt.engine.devices.cuda.frames import check_device_face
from keeprt.engine.errors import UsageError


class Foreign:
    def __init__(self, **changes: Any) -> None:
        self.__cuda_array_interface__ = {
            "shape": (8, 8, 3),
            "typestr": "|u1",
            "data": (0x7F0000, False),
            "version": 3,
        } | changes


class Packed:
    """What DLPack shows of an array in host memory."""

    def __dlpack__(self, **_: Any) -> object:
        raise AssertionError("host memory must be refused before it is asked for")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def test_interface_gives_address_shape_type_and_stream() -> None:
    found = device_array("face", Foreign(stream=7))
    assert found == DeviceArray(0x7F0000, (8, 8, 3), np.dtype(np.uint8), 7)
    assert found.size_bytes == 192
    assert device_array("face", Foreign(strides=(24, 3, 1))).stream is None


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (Foreign(strides=(32, 3, 1)), "strides"),
        (Foreign(data=(0, False)), "null"),
        (Foreign(stream=0), "stream 0"),
        (Foreign(typestr="nonsense"), "damaged"),
        (Packed(), "not in CUDA memory"),
        (np.zeros(3), "no device array"),
        ([1, 2], "list"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(array: object, said: str) -> None:
    pytest.importorskip("cuda.core")
    with pytest.raises(UsageError, match=said) as caught:
        device_array("face 3", array)
    assert "face 3" in str(caught.value)


def test_a_device_face_must_be_a_picture_of_the_network_s_size() -> None:
    check_device_face(device_array("face 0", Foreign()), 0, 8)
    with pytest.raises(UsageError, match="face 0 must be RGB"):
        check_device_face(device_array("face 0", Foreign(shape=(8, 24))), 0, 8)


def test_a_torch_tensor_on_the_host_is_refused_in_clear_words() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(UsageError) as caught:
        device_array("face 0", torch.zeros(8, 8, 3, dtype=torch.uint8))
    assert str(caught.value) == (
        "face 0 lies in host memory, not in CUDA memory; move it to the card, or give a NumPy array"
    )


class OnDevice:
    """A torch tensor that says it lies in CUDA memory; its capsule is torch's own."""

    def __init__(self, tensor: Any) -> None:
        self.tensor, self.streams = tensor, [None]

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, stream: int | None = None, **how: Any) -> object:
        self.streams.append(stream)
        return self.tensor.__dlpack__()


def test_dlpack_gives_address_shape_and_type_and_is_told_the_stream() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("cuda.core")
    tensor = torch.arange(192, dtype=torch.uint8).reshape(8, 8, 3)
    given = OnDevice(tensor)
    found = device_array("face", given, consumer=7)
    assert found == DeviceArray(tensor.data_ptr(), (8, 8, 3), np.dtype(np.uint8))
    assert given.streams[-1] == 7
    with pytest.raises(UsageError, match="C-contiguous"):
        device_array("face", OnDevice(tensor.transpose(0, 1)))


def test_dlpack_comes_first_since_it_orders_streams() -> None:
    """As torch's tensors have both, and name no stream in the other one."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("cuda.core")

    class Both(OnDevice):
        __cuda_array_interface__ = Foreign().__cuda_array_interface__

    tensor = torch.zeros(8, 8, 3, dtype=torch.uint8)
    given = Both(tensor)
    assert device_array("face", given, consumer=7).address == tensor.data_ptr()
    assert given.streams[-1] == 7


def test_an_interface_without_a_word_for_streams_is_waited_for_on_the_legacy_one() -> None:
    assert device_array("face", Foreign(version=2)).stream == 1
    assert device_array("face", Foreign(version=3)).stream is None
    assert device_array("face", Foreign(version=3, stream=7)).stream == 7


def test_an_array_on_another_card_is_refused() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("cuda.core")
    given = OnDevice(torch.zeros(8, 8, 3, dtype=torch.uint8))
    with pytest.raises(UsageError, match="face 1 lies on GPU 0, the restorer works on GPU 1"):
        device_array("face 1", given, card=1)
