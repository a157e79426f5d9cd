"""The pictures of a run, kept beside its JSON file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from keeprt.engine.errors import UsageError
from keeprt.engine.frame.pixels import Picture

KINDS = ("input", "reference", "ours")


@dataclass(frozen=True)
class FramePictures:
    """A frame to look at: what went in, what the reference and the (synced) runtime made of it."""

    frame: int
    input: Picture
    reference: Picture
    ours: Picture


@dataclass(frozen=True)
class PictureFolder:
    """A folder of PNGs named by frame and kind."""

    path: Path

    @classmethod
    def beside(cls, json: Path) -> PictureFolder:
        """The folder that belongs to a result file."""
        return cls(json.with_name(f"{json.stem}_pictures"))

    def file(self, frame: int, kind: str) -> Path:
        """Path of one picture."""
        return self.path / f"frame_{frame:06d}_{kind}.png"

    def save(self, pictures: FramePictures) -> None:
        """Writes a frame's three pictures. Raises UsageError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder {self.path}: {error.strerror}") from None
        for kind in KINDS:
            file = self.file(pictures.frame, kind)
            bgr = cv2.cvtColor(getattr(pictures, kind), cv2.COLOR_RGB2BGR)
            if not cv2.imwrite(str(file), bgr):
                raise UsageError(f"cannot write {file}")

    def load(self, frame: int) -> FramePictures | None:
        """A frame's pictures, None where they are not there any more."""
        found: dict[str, Picture] = {}
        for kind in KINDS:
            bgr = cv2.imread(str(self.file(frame, kind)))
            if bgr is None:
                return None
            found[kind] = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        return FramePictures(frame, **found)
