"""What was detected, saved for a second run: one JSON object a line, written whole or not at all.

Line 1 is the header, then one line a frame in order, then the number of frames, so that a file
that was cut short is noticed:

    {"keeprt_faces": 1, "width": 1920, "height": 1080, "start_s": 0.0, "duration_s": null}
    {"frame": 0, "cut": false, "faces": [{"box": [4], "score": 0.9, "landmarks": [5 x, y]}]}
    {"frame": 1, "cut": false, "faces": null}
    {"frames": 2}

`faces` is null where nobody looked. Detections are saved before tracking and smoothing, so that
both can be changed in the second run. Places are rounded to a thousandth of a pixel.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.detection import Detection, Points

VERSION = 1
DECIMALS = 3

# Start and duration in seconds, None for all the rest.
Part = tuple[float, float | None]
WHOLE: Part = (0.0, None)


@dataclass(frozen=True)
class FrameFaces:
    """What is known of one frame: detections (None: nobody looked), whether it begins a shot."""

    detections: list[Detection] | None
    cut: bool = False


class LandmarkWriter:
    """Use as a context: the file appears under its name when the block ends without an error."""

    def __init__(self, path: Path, width: int, height: int, part: Part = WHOLE) -> None:
        """width, height: of the frames, in pixels. part: which of the video's seconds are looked
        at. Raises FaceError if it cannot be written."""
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._frames = 0
        try:
            self._file = self._part.open("w", encoding="utf-8")
        except OSError as error:
            raise FaceError(f"cannot write landmarks to {path}: {error.strerror}") from error
        self._line({"keeprt_faces": VERSION, **_header(width, height, part)})

    def write(self, frame: FrameFaces) -> None:
        """Add the next frame."""
        found = frame.detections
        faces = None if found is None else [_as_json(face) for face in found]
        self._line({"frame": self._frames, "cut": frame.cut, "faces": faces})
        self._frames += 1

    def __enter__(self) -> "LandmarkWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._line({"frames": self._frames})
            self._file.close()
            if kind is None:
                self._part.replace(self._path)
        except OSError as failure:  # what failed before is the better reason
            if kind is None:
                raise self._unwritable(failure) from failure
        finally:
            self._part.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> FaceError:
        return FaceError(f"cannot write landmarks to {self._path}: {error.strerror}")

    def _line(self, value: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(value, allow_nan=False, separators=(",", ":")) + "\n")
        except OSError as error:
            raise self._unwritable(error) from error
        except ValueError as error:
            raise FaceError(
                f"a face of frame {self._frames} has a place that is no number"
            ) from error


def read_landmarks(path: Path, width: int, height: int, part: Part = WHOLE) -> Iterator[FrameFaces]:
    """The frames of a file in order, read as they are asked for.

    Raises FaceError, naming the line, for a file that is missing, damaged, cut short, of another
    version, or made from a video of another size or from another part of it.
    """
    try:
        file = path.open(encoding="utf-8")
    except OSError as error:
        raise FaceError(f"cannot read landmarks from {path}: {error.strerror}") from error
    with file:
        lines = enumerate(file, start=1)
        header = _parse(path, *next(lines, (1, "")))
        _check_header(path, header, _header(width, height, part))
        frames = 0
        for number, line in lines:
            value = _parse(path, number, line)
            if value.keys() == {"frames"}:
                if value["frames"] != frames or next(lines, None) is not None:
                    raise FaceError(
                        f"{path}, line {number}: the number of frames is wrong; detect again"
                    )
                return
            yield _frame(f"{path}, line {number}", value, frames)
            frames += 1
    raise FaceError(f"{path} is cut short after {frames} frames; detect again")


def _header(width: int, height: int, part: Part) -> dict[str, Any]:
    return {"width": width, "height": height, "start_s": float(part[0]), "duration_s": part[1]}


def _check_header(path: Path, header: dict[str, Any], expected: dict[str, Any]) -> None:
    if header.get("keeprt_faces") != VERSION:
        raise FaceError(f"{path} holds no landmarks of version {VERSION}; detect again")
    size, wanted = ((h.get("width"), h.get("height")) for h in (header, expected))
    if size != wanted:
        raise FaceError(
            f"{path} belongs to a video of {size[0]}x{size[1]}, "
            f"this one has {wanted[0]}x{wanted[1]}"
        )
    part, wanted = ((h.get("start_s"), h.get("duration_s")) for h in (header, expected))
    if part != wanted:
        raise FaceError(
            f"{path} belongs to another part of the video: start {part[0]} s, duration "
            f"{part[1] or 'all'}; give the same, or another file"
        )


def _parse(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise FaceError(f"{path}, line {number}: not JSON; detect again") from error
    if not isinstance(value, dict):
        raise FaceError(f"{path}, line {number}: expected a JSON object; detect again")
    return value


def _frame(where: str, value: dict[str, Any], expected: int) -> FrameFaces:
    if value.keys() != {"frame", "cut", "faces"} or value["frame"] != expected:
        raise FaceError(f"{where}: expected frame {expected} with its cut and faces; detect again")
    cut, faces = value["cut"], value["faces"]
    if not isinstance(cut, bool) or not (faces is None or isinstance(faces, list)):
        raise FaceError(f"{where}: cut is true or false, faces a list or null; detect again")
    return FrameFaces(None if faces is None else [_face(where, face) for face in faces], cut)


def _face(where: str, value: Any) -> Detection:
    if not isinstance(value, dict) or value.keys() != {"box", "score", "landmarks"}:
        raise FaceError(f"{where}: a face has box, score and landmarks; detect again")
    box = _numbers(where, value["box"], (4,))
    landmarks = _numbers(where, value["landmarks"], (5, 2))
    score = float(_numbers(where, value["score"], ()))
    if (box[2:] <= box[:2]).any():
        raise FaceError(f"{where}: the box {box.tolist()} is empty; detect again")
    return Detection(box, score, landmarks)


def _numbers(where: str, value: Any, shape: tuple[int, ...]) -> Points:
    try:
        numbers = np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise FaceError(f"{where}: {value!r} are no numbers; detect again") from error
    if numbers.shape != shape or not np.isfinite(numbers).all():
        raise FaceError(f"{where}: expected finite numbers of shape {shape}, got {value!r}")
    return numbers


def _as_json(face: Detection) -> dict[str, Any]:
    return {
        "box": [_rounded(v) for v in face.box],
        "score": _rounded(face.score),
        "landmarks": [[_rounded(x), _rounded(y)] for x, y in face.landmarks],
    }


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS) if math.isfinite(value) else math.nan
