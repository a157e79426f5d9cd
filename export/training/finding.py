"""Faces for training out of videos: found, followed, smoothed and aligned as restoring does it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from keeprt.engine.errors import FaceError, KeeprtError, MediaError, UsageError
from keeprt.engine.media import open_source
from keeprt.engine.media.containers import VIDEO_SUFFIXES
from keeprt.engine.media.image_file import IMAGE_SUFFIXES
from keeprt.engine.pipeline.aligning import align
from keeprt.engine.pipeline.looking import FaceFinder
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.work import Summary
from keeprt.export.training.degradation import Frame


def collect_faces(
    folders: Sequence[Path], size: int, keep: Path, notify: Callable[[str], None]
) -> list[Path]:
    """Clips of aligned faces as uint8 (T, size, size, 3) .npy files in `keep`, made once a video.

    Every video below the folders is one, and so is every folder that holds images. One that cannot
    be read or shows no face is said and left out. Raises UsageError where nothing is left.
    """
    clips: list[Path] = []
    sources = [source for folder in folders for source in videos_in(folder)]
    if not sources:
        raise UsageError(f"no video and no image in {', '.join(map(str, folders))}")
    for source in sources:
        try:
            found = _clips_of(source, size, keep)
            if not found:
                raise FaceError(f"{source}: no face in any frame")
        except KeeprtError as error:
            notify(f"left out: {error}")
            continue
        clips += found
    if not clips:
        raise UsageError(f"no face to learn from in {', '.join(map(str, folders))}")
    return clips


def videos_in(folder: Path) -> list[Path]:
    """Video files and folders of images, in order. Raises MediaError for what does not exist."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise MediaError(f"no such file or folder: {folder}")
    videos = [path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES]
    images = {path.parent for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES}
    return sorted([*videos, *images])


def _clips_of(source: Path, size: int, keep: Path) -> list[Path]:
    """The clips of one video, from an earlier run where the video is the same."""
    status = source.stat()
    key = f"{source.resolve()}:{status.st_size}:{status.st_mtime_ns}:{size}"
    folder = keep / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not folder.is_dir():
        part = folder.with_name(folder.name + ".part")
        part.mkdir(parents=True, exist_ok=True)
        for index, faces in enumerate(face_clips(source, size)):
            np.save(part / f"{index:04d}.npy", np.stack(faces))
        part.rename(folder)
    return sorted(folder.glob("*.npy"))


def face_clips(source: Path, size: int) -> Iterator[list[Frame]]:
    """Each track of a video: the aligned faces of one person in one shot, frame after frame."""
    options, summary = RestoreOptions(), Summary()
    running: dict[int, list[Frame]] = {}
    with open_source(source) as video, FaceFinder(video.info, options, summary) as finder:
        for work in align(finder.look(video), size, summary):
            present = {face.track: face.crop for face in work.faces}
            for track in [track for track in running if track not in present]:
                yield running.pop(track)
            for track, crop in present.items():
                running.setdefault(track, []).append(crop)
    yield from running.values()
