"""The runtime's side of the comparison: one frame from any state, in either mode."""

from __future__ import annotations

from collections.abc import Sequence

from keeprt.benchmarks.precision.runs import FrameRecord, Recorder
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cpu.chunks import ChunkRestorer
from keeprt.engine.devices.cpu.frames import CpuFrames
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.restorer import Restorer
from keeprt.engine.state import FaceState


class EngineSide:
    """Restores frames with the runtime's own code and keeps what its subgraphs put out."""

    def __init__(self, bundle: Bundle, backend: Recorder, window: int, chunk: int | None) -> None:
        """`chunk` is the number of frames of a chunk in clip mode, None for stream mode."""
        self._bundle, self._backend, self._window = bundle, backend, window
        self._chunks: ChunkRestorer | None = None
        self._chunk: Sequence[Picture] = ()
        if chunk is None:
            self._restorer = Restorer(bundle, backend, mode="stream", window=window)
        else:
            frame = CpuFrames(bundle, backend, faces=1, window=window, chunk=chunk)
            self._chunks = ChunkRestorer(frame, chunk)

    def new_state(self) -> FaceState:
        """The state before a face's first frame."""
        return FaceState.new(self._bundle, self._window)

    def show(self, pictures: Sequence[Picture]) -> None:
        """The frames that come next: in clip mode a whole chunk, whose gains are taken here."""
        self._chunk = pictures
        if self._chunks is not None:
            self._backend.record = None
            self._chunks.observe(pictures)

    def restore(self, index: int, state: FaceState) -> tuple[Picture, FrameRecord, FaceState]:
        """Restores one of the frames shown last; the state is spent, the next one is returned."""
        record = self._backend.record = FrameRecord(state)
        if self._chunks is not None:
            picture, after = self._chunks.restore_frame(index, state)
        else:
            picture, after = self._restorer.restore(self._chunk[index], state)
        self._backend.record = None
        return picture, record, after
