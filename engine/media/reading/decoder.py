"""Frames of the picture, with times that grow, and the check that none is missing at the end."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import av.error
from av.codec.context import ThreadType
from av.video.stream import VideoStream

from keeprt.engine.errors import MediaError
from keeprt.engine.media.errors import reason
from keeprt.engine.media.pyav import fraction
from keeprt.engine.media.reading.demux import AnyPacket, Demuxer
from keeprt.engine.media.reading.skipping import needed_from
from keeprt.engine.media.time_map import MOST_FRAMES_WITHOUT_TIME, FrameTimes

log = logging.getLogger(__name__)

# Containers whose header states the length; elsewhere FFmpeg guesses it from what is there.
_STATES_LENGTH = ("mov", "matroska", "avi", "flv", "asf")
_LENGTH_TOLERANCE_S = 0.5
_WITHOUT_PRESENTATION_TIMES = ("avi", "mxf")
_DEFAULT_RATE = Fraction(25)


class Decoder:
    """Gives the frames of one stream and keeps count, so that an early end is noticed."""

    def __init__(self, demuxer: Demuxer, threads: int = 0) -> None:
        """threads: FFmpeg's, 0 for one per core."""
        assert demuxer.video is not None
        self.demuxer, self.stream = demuxer, demuxer.video
        self.time_base = time_base_of(self.stream)
        self.name, self._damage = demuxer.name, demuxer.damage
        self.sought = False
        self._skip_to: int | None = None
        self._times = self._new_times()
        self.stream.thread_type = ThreadType.AUTO
        self.stream.codec_context.thread_count = threads

    @property
    def step(self) -> int:
        """Ticks from frame to frame, where nothing else tells."""
        rate = frame_rate(self.stream) or _DEFAULT_RATE
        return max(1, round(1 / (rate * self.time_base)))

    def restart(self) -> None:
        """After a seek: the decoder knows nothing of what came before."""
        self.stream.codec_context.flush_buffers()
        self.demuxer.rewind()
        self.sought, self.demuxer.frames = True, 0
        self._times = self._new_times()

    def skip_to(self, pts: int) -> None:
        """From the next packet on, nothing is decoded that no frame from `pts` on needs."""
        self.sought, self._skip_to = True, pts

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames from where the container stands; ends with the check of the length."""
        yield from self.timed(self.decoded(self._packets()))
        self.demuxer.finish_suspect()
        self._check_length()

    def _packets(self) -> Iterator[AnyPacket | None]:
        packets = self.demuxer.video_times()
        for packet in packets:
            if self._skip_to is not None:
                yield from needed_from(itertools.chain([packet], packets), self._skip_to)
                return
            yield packet

    def decoded(self, packets: Iterable[AnyPacket | None]) -> Iterator[av.VideoFrame]:
        """The frames of these packets as the decoder gives them; None empties the decoder."""
        size: tuple[int, int] | None = None
        for packet in packets:
            if packet is None:
                self.stream.codec_context.flush_buffers()
                self._times.forget()
                continue
            for frame in self._decode(packet):
                size = size or (frame.width, frame.height)
                if (frame.width, frame.height) != size:
                    raise MediaError(
                        f"{self.name}: frame {self.demuxer.frames} is {frame.width}x"
                        f"{frame.height}, the frames before are {size[0]}x{size[1]}; "
                        "split the video there"
                    )
                self.demuxer.frames += 1
                yield frame

    def timed(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The same frames, each with a pts that is above the one before."""
        yield from self._first_ones(frames)
        for frame in frames:
            frame.pts = self._times.of(frame.pts)
            yield frame
        if self._times.nudged:
            log.warning(
                "%s: the times of %d frames did not increase", self.name, self._times.nudged
            )

    def _first_ones(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The frames up to the first whose time is known, counted back from it."""
        waiting: list[av.VideoFrame] = []
        for frame in frames:
            known = self._times.of(frame.pts)
            if known is None:
                waiting.append(frame)
                if len(waiting) < MOST_FRAMES_WITHOUT_TIME:
                    continue
                known, frame = self._times.begin_at(0), waiting.pop(0)
                before, after = [], waiting
            else:
                before, after = waiting, []
            for early, pts in zip(before, self._times.before(len(before)), strict=True):
                early.pts = pts
                yield early
            frame.pts = known
            yield frame
            yield from self._timed_at_once(after)
            return
        yield from self._timed_at_once(waiting, begin=0)

    def _timed_at_once(
        self, frames: list[av.VideoFrame], begin: int | None = None
    ) -> Iterator[av.VideoFrame]:
        for number, frame in enumerate(frames):
            first = begin is not None and number == 0
            frame.pts = self._times.begin_at(begin or 0) if first else self._times.of(frame.pts)
            yield frame

    def _new_times(self) -> FrameTimes:
        name = self.demuxer.container.format.name
        return FrameTimes(self.step, stored=name not in _WITHOUT_PRESENTATION_TIMES)

    def _decode(self, packet: AnyPacket) -> list[av.VideoFrame]:
        if packet.size:
            self._times.fed(packet.pts, packet.dts)
        try:
            frames: list[av.VideoFrame] = packet.decode()  # type: ignore[assignment]
        except av.error.FFmpegError as error:
            self._times.lost(packet.pts, packet.dts)
            self._damage.report(reason(error), self.demuxer.frames, error)
            return []
        if any(frame.is_corrupt for frame in frames):
            self._damage.report("a frame is corrupt", self.demuxer.frames)
        return frames

    def _check_length(self) -> None:
        container = self.demuxer.container
        if not container.format.name.startswith(_STATES_LENGTH):
            return
        expected, got = len(self.stream.index_entries), self.demuxer.video_packets
        is_mov = container.format.name.startswith("mov")
        if is_mov and expected > got and not self.sought:
            self._damage.report(f"{got} of {expected} packets are there", self.demuxer.frames)
        if container.duration is None:
            return
        start_s = (container.start_time or 0) / av.time_base
        declared_s, end_s = start_s + container.duration / av.time_base, self.demuxer.end_s
        if declared_s - end_s > _LENGTH_TOLERANCE_S:
            what = f"it ends at {float(end_s):.2f} s of {declared_s:.2f} s"
            self._damage.report(what, self.demuxer.frames)


def frame_rate(stream: VideoStream) -> Fraction | None:
    """A rate that a camera can have: files without one carry their tick rate in its place."""
    rates = (fraction(stream.average_rate), fraction(stream.base_rate))
    return next((rate for rate in rates if rate and rate <= 1000), None)


def time_base_of(stream: VideoStream) -> Fraction:
    """The unit of a stream's times, which every stream that was opened has."""
    time_base = fraction(stream.time_base)
    assert time_base is not None
    return time_base
