"""The stage that finds: frames in, frames with their faces out, a bounded number later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from keeprt.engine.errors import BackendError, FaceError
from keeprt.engine.faces.analysis import AnalysedFrame, Analysis
from keeprt.engine.faces.appearance import Embedding
from keeprt.engine.faces.centerface import CenterFace, CenterFaceOptions, Opener
from keeprt.engine.faces.detection import Detection, Detector, Rgb
from keeprt.engine.faces.embedding import FaceEmbedding
from keeprt.engine.faces.landmark_file import FrameFaces, LandmarkWriter, read_landmarks
from keeprt.engine.faces.upright import UprightFaces
from keeprt.engine.libraries.onnxruntime.one_graph import session_on_card
from keeprt.engine.libraries.tensorrt.detector import session_by_plan
from keeprt.engine.media import SourceFrame, VideoInfo
from keeprt.engine.pipeline.loading import warn_once
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.small import SmallPictures
from keeprt.engine.pipeline.work import FrameWork, Summary


class FaceFinder(AbstractContextManager["FaceFinder"]):
    """Finds the faces of one video, or takes them from a landmark file, or writes one.

    In a `with`: when the block ends a card's memory is given back, and the landmark file appears
    if there was no error. `step` takes one frame after the other and `finish` gives those that are
    owed; `look` does both for a file.
    """

    def __init__(self, info: VideoInfo, options: RestoreOptions, summary: Summary) -> None:
        """Raises FaceError for a detector or landmark file that cannot be used."""
        width, height = info.upright_size
        part = (options.start_s, options.duration_s)
        self._summary, self._small = summary, SmallPictures(info, options)
        self._known: Iterator[FrameFaces] | None = None
        self._path = options.landmarks
        self._writer: AbstractContextManager[LandmarkWriter | None] = nullcontext()
        self._file: LandmarkWriter | None = None
        self._waiting: deque[SourceFrame] = deque()
        detector: _Timed | None = None
        if self._path is not None and self._path.exists():
            self._known = read_landmarks(self._path, width, height, part)
        else:
            detector = _Timed(load_detector(options), summary)
            if self._path is not None:
                self._writer = LandmarkWriter(self._path, width, height, part)
        self._analysis = Analysis(
            detector, (height, width), options.analysis, self._record, load_embedding(options)
        )
        self._detector = detector

    def __enter__(self) -> FaceFinder:
        self._file = self._writer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._writer.__exit__(*error)  # type: ignore[arg-type]
        finally:
            self._small.close()
            if self._detector is not None:
                self._detector.close()

    @property
    def delay(self) -> int:
        """Frames that have to be given after a frame before it comes out; 0 for live use."""
        return self._analysis.delay

    def look(self, frames: Iterable[SourceFrame]) -> Iterator[FrameWork]:
        """The frames in order, each with its faces and whether it begins a shot."""
        for frame in frames:
            yield from self.step(frame)
        yield from self.finish()

    def step(self, frame: SourceFrame) -> list[FrameWork]:
        """Take the next frame; gives the frame `delay` ago, once there is one."""
        self._waiting.append(frame)
        with self._summary.timed("track"):
            return self._works(self._push(frame))

    def finish(self) -> list[FrameWork]:
        """The frames that are still owed; the video ends here."""
        if self._known is not None and next(self._known, None) is not None:
            raise FaceError(
                f"{self._path} goes on after the video's end; remove the file to detect again"
            )
        with self._summary.timed("track"):
            return self._works(self._analysis.finish())

    def _works(self, ready: list[AnalysedFrame]) -> list[FrameWork]:
        return [FrameWork(self._waiting.popleft(), found.faces, found.cut) for found in ready]

    def _push(self, frame: SourceFrame) -> list[AnalysedFrame]:
        with self._summary.timed("shrink", within="track"):
            picture = self._small.of(frame)
        if self._known is None:
            return self._analysis.push(picture, frame.parity)
        known = next(self._known, None)
        if known is None:
            raise FaceError(
                f"{self._path} ends at frame {frame.index}, the video goes on; "
                "remove the file to detect again"
            )
        self._summary.detections += len(known.detections or ())
        return self._analysis.push_known(known, picture, frame.parity)

    def _record(self, known: FrameFaces) -> None:
        self._summary.detections += len(known.detections or ())
        if self._file is not None:
            self._file.write(known)


def load_detector(options: RestoreOptions) -> Detector:
    """As `open_detector`; says once in a process that faces are found on the host after all."""
    detector, reason = open_detector(options)
    is_the_callers = detector is options.detector  # who opened it knows where, and has said so
    if reason and options.card is not None and not is_the_callers:
        warn_once(f"faces are found on the host: {reason}")
    return detector


def open_detector(options: RestoreOptions) -> tuple[Detector, str]:
    """The detector that was asked for, on the card that was where that can be, and why it runs on
    the host, empty for the card. Raises FaceError or BackendError if there is none."""
    model = options.detector
    if not (model is None or isinstance(model, Path)):
        return model, "the detector is the caller's"
    how, reasons = CenterFaceOptions(max_side=options.detect_side), []
    for opener in _openers_on_card(options, model):
        try:
            return UprightFaces(CenterFace(model, how, opener)), ""
        except BackendError as error:
            reasons.append(str(error))
    reason = "; then: ".join(reasons) or "no card was asked for"
    return UprightFaces(CenterFace(model, how)), reason


def _openers_on_card(options: RestoreOptions, model: Path | None) -> Iterator[Opener]:
    """What may run a detector on the card that was asked for, the library of the network first."""
    if options.card is None:
        return
    if options.plans is not None:
        yield partial(
            session_by_plan,
            bundle=options.plans.bundle,
            flavour=options.plans.flavour,
            side=options.detect_side,
            device=options.card,
            model=model,
        )
    yield partial(session_on_card, device=options.card)


def load_embedding(options: RestoreOptions) -> Embedding | None:
    """The network that tells people apart, if one was given. Raises FaceError or BackendError."""
    return None if options.identity is None else FaceEmbedding(options.identity)


class _Timed:
    """A detector whose time is counted, until it is closed."""

    def __init__(self, detector: Detector, summary: Summary) -> None:
        self._detector, self._summary = detector, summary

    def detect(self, rgb: Rgb) -> list[Detection]:
        with self._summary.timed("detect", within="track"):
            return self._detector.detect(rgb)

    def close(self) -> None:
        """Lets go of it: the memory of a card that nobody else holds comes back now, and not when
        garbage is collected."""
        del self._detector
