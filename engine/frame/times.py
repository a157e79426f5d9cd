"""What a frame took on a card, in milliseconds and in trtexec's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FrameTimes:
    """One frame of all faces of a batch.

    By CUDA events: `h2d_ms` copying the pictures to the card, `gpu_compute_ms` from the end of that
    to the beginning of what brings the result back, `d2h_ms` the latter, in which each picture is
    made bytes of on its way; `stages_ms` each operation on its own stream, so that where streams
    overlap the sum is more than `gpu_compute_ms`. By the host's clock: `enqueue_ms` putting the
    frame on the streams, `end_to_end_ms` from the call that does so until the pictures are there.
    """

    enqueue_ms: float
    h2d_ms: float
    gpu_compute_ms: float
    d2h_ms: float
    end_to_end_ms: float
    stages_ms: Mapping[str, float]

    @property
    def latency_ms(self) -> float:
        """As trtexec has it: H2D, GPU compute and D2H together."""
        return self.h2d_ms + self.gpu_compute_ms + self.d2h_ms
