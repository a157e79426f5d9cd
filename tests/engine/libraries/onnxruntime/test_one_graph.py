"""Faces found by ONNX Runtime on a card, and on the host where it has no provider for one."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from keeprt.engine.errors import BackendError
from keeprt.engine.faces.centerface import CenterFace
from keeprt.engine.libraries.onnxruntime.one_graph import session_on_card
from keeprt.engine.pipeline import RestoreOptions, looking
from keeprt.engine.pipeline.loading import warn_once
from tests.gpu import REASON

ort = pytest.importorskip("onnxruntime")
HAS_CUDA = "CUDAExecutionProvider" in ort.get_available_providers()
without_cuda = pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime has a provider for a card")


@pytest.fixture(scope="module")
def astronaut() -> Any:
    return pytest.importorskip("skimage.data").astronaut()


@without_cuda
def test_without_its_provider_one_line_says_what_to_install() -> None:
    with pytest.raises(BackendError, match=r"no CUDAExecutionProvider; .*pip install"):
        CenterFace(opener=session_on_card)


@without_cuda
def test_faces_are_then_found_on_the_host_and_that_is_said_once(
    astronaut: Any, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, "keeprt"):
        found = [
            looking.load_detector(RestoreOptions(card=card)).detect(astronaut)
            for card in (0, 0, None)
        ]
    assert [len(faces) for faces in found] == [1, 1, 1]
    assert found[0][0].box.tolist() == found[2][0].box.tolist()
    (said,) = caplog.messages
    assert said.startswith("faces are found on the host: this ONNX Runtime has no CUDAExec")


def test_nothing_is_said_where_no_card_was_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, "keeprt"):
        looking.load_detector(RestoreOptions())
    assert not caplog.messages


@pytest.mark.gpu
@pytest.mark.skipif(bool(REASON), reason=REASON)
def test_a_card_finds_the_faces_of_the_host(astronaut: Any) -> None:
    if not HAS_CUDA:
        pytest.skip("this ONNX Runtime has no provider for a card")
    there = CenterFace(opener=session_on_card)
    for picture in (astronaut, np.ascontiguousarray(astronaut[:240, 110:350])):
        (ours,), (theirs,) = there.detect(picture), CenterFace().detect(picture)
        np.testing.assert_allclose(ours.box, theirs.box, atol=0.05)
        np.testing.assert_allclose(ours.landmarks, theirs.landmarks, atol=0.05)
        assert ours.score == pytest.approx(theirs.score, abs=1e-3)
