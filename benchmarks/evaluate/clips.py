"""Sharp clips of aligned faces: from videos by the project's own alignment, or made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

from keeprt.benchmarks.demo_clip import demo_clip
from keeprt.engine.errors import FaceError, MediaError, UsageError
from keeprt.engine.faces.detection import Detector
from keeprt.engine.media import open_source
from keeprt.engine.pipeline.aligned_clip import to_face
from keeprt.engine.pipeline.aligning import align
from keeprt.engine.pipeline.looking import FaceFinder
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.work import FrameWork, Summary
from keeprt.export.training.degradation import Frame

MADE = "made"
_DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class SharpClip:
    """Aligned faces, uint8 (S, S, 3) RGB. name: unique in a run, fit for a folder. source: what it
    was made of."""

    name: str
    frames: list[Frame]
    rate: Fraction
    source: str


def sharp_clips(
    files: Sequence[Path],
    frames: int,
    size: int,
    *,
    aligned: bool = False,
    detector: Path | Detector | None = None,
    seed: int = 0,
) -> Iterator[SharpClip]:
    """The clips one by one, at most `frames` of each; the made one where no file is given.

    Raises UsageError for two files of one name or fewer than two frames; MediaError, FaceError.
    """
    if frames < 2:
        raise UsageError(f"{frames} frames are no clip; give --frames of 2 or more")
    if not files:
        made = demo_clip(frames, size=size, seed=seed)
        yield SharpClip(MADE, made.sharp, made.rate, "made from scikit-image's astronaut picture")
        return
    names = [path.stem for path in files]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two clips are called {name}: results would mix; rename one")
    for path in files:
        # before the first clip's hours of work
        with open_source(path):
            pass
    for path in files:
        yield _from_file(path, frames, size, aligned, detector)


def _from_file(
    path: Path, count: int, size: int, aligned: bool, detector: Path | Detector | None
) -> SharpClip:
    faces = _whole_pictures(path, size) if aligned else aligned_faces(path, size, detector)
    frames = list(islice(faces, count))
    if len(frames) < 2:
        raise FaceError(
            f"{path}: one face is seen in only {len(frames)} frames in a row; "
            "a clip has 2 or more (--aligned if the picture is the face)"
        )
    with open_source(path) as video:
        rate = video.info.average_rate or _DEFAULT_RATE
    return SharpClip(path.stem, frames, rate, path.name)


def aligned_faces(
    path: Path, size: int, detector: Path | Detector | None = None
) -> Iterator[Frame]:
    """Crops (size, size, 3) of the largest face from where it appears until it is lost.

    It is found, followed, smoothed and cut out as `keeprt restore` does it. What comes after a
    cut, or after the first frame without it, is left: a gap would make every figure over time
    one of the gap. Raises FaceError where no face is found.
    """
    options = RestoreOptions(faces="largest", detector=detector)
    summary = Summary()
    track: int | None = None
    with open_source(path) as video, FaceFinder(video.info, options, summary) as finder:
        for work in align(finder.look(video), size, summary):
            crop = _crop_of(work, track)
            if crop is None and track is not None:
                return
            if crop is not None:
                track = work.faces[0].track
                yield crop
    if track is None:
        raise FaceError(f"{path}: no face was found; give --aligned if the picture is the face")


def _crop_of(work: FrameWork, track: int | None) -> Frame | None:
    if not work.faces or (track is not None and work.faces[0].track != track):
        return None
    return work.faces[0].crop


def _whole_pictures(path: Path, size: int) -> Iterator[Frame]:
    with open_source(path) as video:
        width, height = video.info.upright_size
        if width != height:
            raise MediaError(
                f"{path} is {width} x {height}: an aligned face is square; leave --aligned out"
            )
        for frame in video:
            yield to_face(frame.rgb(), size)
