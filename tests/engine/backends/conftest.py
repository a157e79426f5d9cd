"""The stand-in card as a fixture."""

from __future__ import annotations

import pytest

from keeprt.engine.backends import (
    cuda_device,
    cuda_frames,
    cuda_lanes,
    cuda_runner,
    cuda_video,
)

from .card_in_host_memory import HostBuffer, HostCard, HostPinned, HostStream


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> HostCard:
    """Takes the place of cuda-core and of the kernels' loader."""
    import cuda.core

    card = HostCard()
    monkeypatch.setattr(cuda.core, "Buffer", HostBuffer)
    monkeypatch.setattr(cuda.core, "LegacyPinnedMemoryResource", HostPinned)
    monkeypatch.setattr(cuda_runner, "join_card", lambda device_id: card)
    monkeypatch.setattr(cuda_runner, "load_kernels", lambda device_id: {})
    monkeypatch.setattr(cuda_device, "submit", card.submit)
    for module in (cuda_frames, cuda_lanes, cuda_video):
        monkeypatch.setattr(module, "join_stream", HostStream)
    return card
