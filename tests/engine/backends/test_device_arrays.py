"""Arrays of other CUDA programs, described by fakes of their interfaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keeprt.engine.backends.cuda_frames import check_device_face
from keeprt.engine.backends.device_arrays import BoundArray, DeviceArray, device_array
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
    with pytest.raises(UsageError, match=said) as caught:
        device_array("face 3", array)
    assert "face 3" in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"shape": (8, 24)}, {"typestr": "<f4"}, {"data": (0x8000, False)}]
)
def test_a_replay_refuses_another_array_by_name(changes: dict[str, Any]) -> None:
    bound = BoundArray("frame", device_array("frame", Foreign()))
    bound.check(device_array("frame", Foreign()))
    with pytest.raises(UsageError, match="frame was bound to uint8"):
        bound.check(device_array("frame", Foreign(**changes)))


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
