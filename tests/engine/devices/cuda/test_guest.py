"""A good guest without a card: clean refusals, and the libraries' errors in one line."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from keeprt.engine import Restorer
from keeprt.engine.devices.cuda.engines import Engines
from keeprt.engine.devices.cuda.frames import CudaFrames
from keeprt.engine.devices.cuda.guest import check_version, join_stream, one_line, visit_card
from keeprt.engine.errors import BackendError
from keeprt.kernels.wheels import check_driver


def test_without_a_driver_one_line_says_so(tiny_bundle: Path) -> None:
    try:
        check_driver()
    except BackendError:
        pass
    else:
        pytest.skip("this machine has a driver")
    bundle = Restorer.load(tiny_bundle, threads=1).bundle
    with pytest.raises(BackendError, match="driver") as caught:
        CudaFrames(bundle, cast(Engines, None), faces=1, window=3)
    assert "\n" not in str(caught.value)
    with pytest.raises(BackendError, match="driver"):
        visit_card()


def test_an_old_driver_is_named_with_both_versions() -> None:
    check_version((13, 0))
    check_version((14, 1))
    with pytest.raises(BackendError, match=r"too old: it runs CUDA 12\.8, keeprt needs 13\.0"):
        check_version((12, 8))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("CUDA_ERROR_OUT_OF_MEMORY: The API call failed", "too little free memory"),
        ("CUDA_ERROR_ILLEGAL_ADDRESS: While executing a kernel", "restart the process"),
        ("something\nelse", "something"),
    ],
)
def test_the_libraries_errors_become_one_line(message: str, said: str) -> None:
    with pytest.raises(BackendError, match=said) as caught, one_line("12 MB are not to be had"):
        raise RuntimeError(message)
    assert "\n" not in str(caught.value) and "12 MB" in str(caught.value)


def test_only_streams_are_taken_for_streams() -> None:
    pytest.importorskip("cuda.core")
    with pytest.raises(BackendError, match="str is no CUDA stream"):
        join_stream(None, "stream")  # type: ignore[arg-type]
