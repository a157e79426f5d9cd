"""Borders of other types: refused by name where the card would move bytes as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import TensorSpec
from keeprt.engine.errors import BundleError
from keeprt.engine.frame.border_types import check_types
from keeprt.engine.frame.buffers import BufferTable
from keeprt.engine.frame.face_list import FaceList
from keeprt.engine.frame.video_list import VideoList
from keeprt.kernels.frame import FrameFormat
from tests.engine.borders import released_borders


def with_types(**changed: str) -> Bundle:
    """The released borders, tensors "SUBGRAPH__NAME" of another type."""
    bundle = released_borders()

    def typed(graph: str, tensors: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        return tuple(
            replace(t, dtype=changed.get(f"{graph}__{t.name}", changed.get(t.name, t.dtype)))
            for t in tensors
        )

    graphs = {
        name: replace(graph, inputs=typed(name, graph.inputs), outputs=typed(name, graph.outputs))
        for name, graph in bundle.subgraphs.items()
    }
    return replace(bundle, manifest=replace(bundle.manifest, subgraphs=graphs))


def checked(bundle: Bundle, video: bool = False) -> None:
    table = BufferTable(bundle, faces=2, frames=8, selected=1)
    format = FrameFormat("nv12", 64, 48)
    graph = VideoList(bundle, table, 8, format, 2) if video else FaceList(bundle, table, 8)
    check_types(graph.stream([8, 8]), table.specs)


@pytest.mark.parametrize("video", [False, True])
def test_the_released_borders_agree(video: bool) -> None:
    checked(released_borders(), video)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"decoder__gain": "float16"}, "place_gain.0: 'gains' is float32, but 'gain'"),
        ({"lq_encoder__face": "float16"}, "face is float16, but flow_features.face, which"),
        ({"flow_matching__current": "float16"}, "features is float16|features is float32"),
    ],
)
def test_producer_and_consumer_of_a_buffer_must_agree(changed: dict[str, str], said: str) -> None:
    with pytest.raises(BundleError, match=said):
        checked(with_types(**changed))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gain_net__latents": "float16"}, "slide_window.0: 'window' is float16, but 'state.lat"),
        ({"flow": "float16"}, "warp: 'flow' is float16, but the warp takes float32"),
        ({"restored": "float16"}, "keep_face: 'restored' is float16, but 'state.restored'"),
        ({"features": "float16", "current": "float16", "previous": "float16"}, "'state.features'"),
        ({"cache_16": "float16"}, "keep_face: 'cache_16' is float16, but 'state.cache_16'"),
    ],
)
def test_what_is_copied_or_warped_must_agree(changed: dict[str, str], said: str) -> None:
    with pytest.raises(BundleError, match=said):
        checked(with_types(**changed))


def test_half_faces_go_in_and_are_pasted_by_the_kernels(video: bool = True) -> None:
    checked(with_types(face="float16"))
    checked(with_types(face="float16"), video)
