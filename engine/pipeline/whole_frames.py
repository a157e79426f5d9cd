"""The stage that keeps whole frames on a device: faces cut out, restored and painted by one list.

What it cannot do is done on the host, where `host_reason` says why.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.tone import tone_of
from keeprt.engine.frame.video_list import frame_bytes, planes_in
from keeprt.engine.media import SourceFrame, VideoInfo
from keeprt.engine.media.hardware import planes_on_card
from keeprt.engine.pipeline.native import form_of, native_affine
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.restoring import Following, batches, ready
from keeprt.engine.pipeline.work import AlignedFace, FrameWork, Summary
from keeprt.engine.turns import IN_FLIGHT
from keeprt.engine.video_restorer import VideoRestorer
from keeprt.kernels.frame import LAYOUTS, LUMA_WEIGHTS, FrameFormat

log = logging.getLogger(__name__)


def whole_frame_format(info: VideoInfo) -> FrameFormat | None:
    """The video's frames as the kernels take them; None for samples that they do not know."""
    name, form = info.pixel_format, form_of(info.pixel_format, info.colour, info)
    layout = LAYOUTS.get(name)
    if form is None or layout is None or layout.rgb or form.matrix not in LUMA_WEIGHTS:
        return None
    return FrameFormat(name, info.width, info.height, form.matrix, form.full_range, form.chroma)


def host_reason(info: VideoInfo, options: RestoreOptions) -> str:
    """Why faces are cut out and painted on the host; empty where a card can do it."""
    tone = tone_of(info.colour.transfer, info.colour.primaries)
    reasons = {
        "the video is enlarged": options.scale > 1,
        "crops are saved": options.save_crops is not None,
        "fields are restored one by one": info.is_interlaced and options.interlaced == "field",
        "HDR is seen as SDR": tone is not None,
        f"the kernels do not know {info.pixel_format}": whole_frame_format(info) is None,
    }
    return ", ".join(reason for reason, true in reasons.items() if true)


class WholeFrameRestoring(Following):
    """A frame's faces by one list, two frames in flight where the restorer's frames overlap.

    More faces than `max_faces` take several lists one after the other, each on what the one before
    has painted.
    """

    def __init__(
        self, restorer: VideoRestorer, summary: Summary, info: VideoInfo, options: RestoreOptions
    ) -> None:
        """Raises UsageError where the restorer does not fit the video, or the options a card."""
        super().__init__(restorer)
        reason, format = host_reason(info, options), restorer.format
        if reason:
            raise UsageError(f"whole frames cannot stay on a device: {reason}; load a Restorer")
        if (format.width, format.height) != (info.width, info.height):
            raise UsageError(f"the restorer is for {format}, not for this video")
        self._restorer, self._summary, self._strength = restorer, summary, options.strength
        restorer.discard()
        self._kept = IN_FLIGHT - 1 if restorer.overlaps else 0
        self._started: deque[FrameWork] = deque()
        self._works: deque[FrameWork] = deque()
        self._said = False

    def step(self, work: FrameWork) -> list[FrameWork]:
        """Starts a frame; gives the frames that are done."""
        with self._summary.timed("restore"):
            self._begin(work)
            self._works.append(work)
            if work.faces:
                self._start(work)
            self._collect(self._kept if work.faces else 0)
        return ready(self._works)

    def finish(self) -> list[FrameWork]:
        """The frame that is held."""
        with self._summary.timed("restore"):
            self._collect(0)
        return ready(self._works)

    def _start(self, work: FrameWork) -> None:
        frame = self._given(work.frame)
        *groups, last = batches(work.faces, self._restorer.max_faces)
        for group in groups:
            self._collect(0)
            self._submit(frame, work, group)
            frame = self._restorer.collect()
        self._submit(frame, work, last)
        self._started.append(work)

    def _given(self, frame: SourceFrame) -> Any:
        """The planes where a decoder left them on the restorer's card, else packed on the host."""
        planes, format = planes_on_card(frame.decoded), self._restorer.format
        if planes is None or planes.pixel_format != format.pixel_format:
            return packed(frame, format)
        if planes.card == self._restorer.card:
            return planes
        if not self._said:
            log.warning("GPU %d decodes, another one restores: frames go by the host", planes.card)
        self._said = True
        return packed(frame, format)

    def _submit(self, frame: Any, work: FrameWork, faces: list[AlignedFace]) -> None:
        tracks = [face.track for face in faces]
        given = [
            (native_affine(face.affine, work.frame), self._states[face.track]) for face in faces
        ]
        strengths = [self._strength * face.found.weight for face in faces]
        advanced = self._restorer.submit(frame, given, strengths=strengths, grey=work.grey)
        self._states |= zip(tracks, advanced, strict=True)

    def _collect(self, kept: int) -> None:
        """All frames in flight but the newest `kept`."""
        while len(self._started) > kept:
            work, painted = self._started.popleft(), self._restorer.collect()
            work.frame = unpacked(painted, work.frame, self._restorer.format)
            work.painted = True
            for face in work.faces:
                face.restored = face.crop


def packed(frame: SourceFrame, format: FrameFormat) -> NDArray[np.uint8]:
    """The planes of a decoded frame one after the other, uint8 (bytes,), in the format's order."""
    made = np.empty(frame_bytes(format), np.uint8)
    for target, source in zip(planes_in(made, format), native_planes(frame, format), strict=True):
        target[:] = source
    return made


def native_planes(frame: SourceFrame, format: FrameFormat) -> list[NDArray[Any]]:
    """Views (rows, samples) of the planes of a decoded frame, or of a copy in that format."""
    return _planes(_as(frame, format), format)


def unpacked(painted: NDArray[np.uint8], frame: SourceFrame, format: FrameFormat) -> SourceFrame:
    """The decoded frame with the planes of `painted` in place of its own."""
    native = _as(frame, format)
    native.make_writable()  # the decoder may still predict from it
    for target, source in zip(_planes(native, format), planes_in(painted, format), strict=True):
        target[:] = source
    return replace(frame, decoded=native)


def _as(frame: SourceFrame, format: FrameFormat) -> av.VideoFrame:
    """In the first frame's format, which is the output's: a video may change its own."""
    return frame.converter.to_format(frame.native, format.pixel_format, frame.colour)


def _planes(native: av.VideoFrame, format: FrameFormat) -> list[NDArray[Any]]:
    """Views (rows, samples) of a frame's planes."""
    word, views = np.dtype(format.layout.dtype), []
    for plane, (rows, samples) in zip(native.planes, format.plane_shapes(), strict=True):
        words = np.frombuffer(memoryview(plane), word)
        views.append(words.reshape(-1, plane.line_size // word.itemsize)[:rows, :samples])
    return views
