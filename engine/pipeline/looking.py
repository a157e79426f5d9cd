"""The stage that finds: frames in, frames with their faces out, a bounded number later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.analysis import AnalysedFrame, Analysis
from keeprt.engine.faces.centerface import CenterFace, CenterFaceOptions
from keeprt.engine.faces.detection import Detection, Detector, Rgb
from keeprt.engine.faces.landmark_file import DECIMALS, FrameFaces, LandmarkWriter, read_landmarks
from keeprt.engine.media import SourceFrame, VideoInfo
from keeprt.engine.pipeline.native import yuv_format
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pipeline.work import FrameWork, Summary


class FaceFinder(AbstractContextManager["FaceFinder"]):
    """Finds the faces of one video, or takes them from a landmark file, or writes one.

    In a `with`: the landmark file appears when the block ends without an error.
    """

    def __init__(self, info: VideoInfo, options: RestoreOptions, summary: Summary) -> None:
        """Raises FaceError for a detector or landmark file that cannot be used."""
        width, height = info.upright_size
        part = (options.start_s, options.duration_s)
        self._side, self._summary = options.detect_side, summary
        self._known: Iterator[FrameFaces] | None = None
        self._path, self._pictures = options.landmarks, Pictures()
        self._writer: AbstractContextManager[LandmarkWriter | None] = nullcontext()
        self._file: LandmarkWriter | None = None
        detector: Detector | None = None
        if self._path is not None and self._path.exists():
            self._known = read_landmarks(self._path, width, height, part)
        else:
            detector = _FullSize(load_detector(options), (width, height), summary)
            if self._path is not None:
                self._writer = LandmarkWriter(self._path, width, height, part)
        self._analysis = Analysis(detector, (height, width), options.analysis, self._record)

    def __enter__(self) -> FaceFinder:
        self._file = self._writer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.__exit__(*error)  # type: ignore[arg-type]

    def look(self, frames: Iterable[SourceFrame]) -> Iterator[FrameWork]:
        """The frames in order, each with its faces and whether it begins a shot."""
        waiting: deque[SourceFrame] = deque()
        for frame in frames:
            waiting.append(frame)
            with self._summary.timed("track"):
                ready = self._push(frame)
            for found in ready:
                yield FrameWork(waiting.popleft(), found.faces, found.cut)
        with self._summary.timed("track"):
            rest = self._finish()
        for found in rest:
            yield FrameWork(waiting.popleft(), found.faces, found.cut)

    def _push(self, frame: SourceFrame) -> list[AnalysedFrame]:
        if self._known is None:
            with self._summary.timed("shrink", within="track"):
                picture = self._pictures.small(frame, yuv_format(frame), self._side)
            return self._analysis.push(picture)
        known = next(self._known, None)
        if known is None:
            raise FaceError(
                f"{self._path} ends at frame {frame.index}, the video goes on; "
                "remove the file to detect again"
            )
        self._summary.detections += len(known.detections or ())
        return self._analysis.push_known(known)

    def _finish(self) -> list[AnalysedFrame]:
        if self._known is not None and next(self._known, None) is not None:
            raise FaceError(
                f"{self._path} goes on after the video's end; remove the file to detect again"
            )
        return self._analysis.finish()

    def _record(self, known: FrameFaces) -> None:
        self._summary.detections += len(known.detections or ())
        if self._file is not None:
            self._file.write(known)


def load_detector(options: RestoreOptions) -> Detector:
    """The detector that was asked for. Raises FaceError or BackendError if there is none."""
    if options.detector is None or isinstance(options.detector, Path):
        return CenterFace(options.detector, CenterFaceOptions(max_side=options.detect_side))
    return options.detector


class _FullSize:
    """A detector that looks at a smaller picture and answers in pixels of the whole frame.

    Answers are rounded as a landmark file rounds them: what it is reused for is then the same.
    """

    def __init__(self, detector: Detector, size: tuple[int, int], summary: Summary) -> None:
        self._detector, self._size, self._summary = detector, np.array(size), summary

    def detect(self, rgb: Rgb) -> list[Detection]:
        with self._summary.timed("detect", within="track"):
            factor = self._size / rgb.shape[1::-1]
            shift = (factor - 1.0) / 2.0
            return [
                replace(
                    face,
                    box=np.round(face.box * np.tile(factor, 2) + np.tile(shift, 2), DECIMALS),
                    landmarks=np.round(face.landmarks * factor + shift, DECIMALS),
                )
                for face in self._detector.detect(rgb)
            ]
