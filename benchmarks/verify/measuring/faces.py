"""The aligned faces that both sides restore: of a clip, or the demo's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from keeprt.benchmarks.demo_clip import demo_clip
from keeprt.engine.errors import FaceError
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.media import open_source
from keeprt.engine.pipeline.aligned_clip import to_face
from keeprt.engine.pipeline.aligning import align
from keeprt.engine.pipeline.looking import FaceFinder
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.work import Summary


@dataclass(frozen=True)
class FaceSource:
    """Where the faces come from: a video whose faces are found and aligned, or that is one
    aligned face; without a path the demo's made clip."""

    path: Path | None = None
    aligned: bool = False
    detector: Path | None = None

    def describe(self) -> dict[str, Any]:
        """What the result says about it: a file by its name alone."""
        kind = "demo" if self.path is None else "aligned" if self.aligned else "whole frames"
        return {"name": self.path.name if self.path else "demo clip", "kind": kind}

    def faces(self, frames: int, size: int) -> Iterator[Picture]:
        """At most so many consecutive faces, RGB uint8 (size, size, 3).

        Of whole frames it is the largest face of the first frame that has one, for as long as
        it stays. Raises MediaError or FaceError.
        """
        if self.path is None:
            return iter(demo_clip(frames, size=size).degraded)
        found = _aligned(self.path, size) if self.aligned else self._tracked(self.path, size)
        return islice(found, frames)

    def _tracked(self, path: Path, size: int) -> Iterator[Picture]:
        options, summary = RestoreOptions(detector=self.detector), Summary()
        track: int | None = None
        with open_source(path) as video, FaceFinder(video.info, options, summary) as finder:
            for work in align(finder.look(video), size, summary):
                if track is None and work.faces:
                    track = work.faces[0].track  # they come best first
                here = [face.crop for face in work.faces if face.track == track]
                if track is not None and not here:
                    return
                yield from here
        if track is None:
            raise FaceError(f"no face was found in {path}; is it --aligned?")


def _aligned(path: Path, size: int) -> Iterator[Picture]:
    with open_source(path) as video:
        for frame in video:
            yield to_face(frame.rgb(), size)
