"""False joins, false splits and faces where nobody is, on clips composed from two people.

`python -m keeprt.benchmarks.identity A.mp4 B.mp4` takes two clips in which one face is seen from
its first frame on, 90 frames of each, and prints the rows of docs/faces.md ("What this changed").
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from keeprt.engine.faces.alignment import FACE_SIZE, estimate_transform
from keeprt.engine.faces.painting.compositing import touched, warp_change
from keeprt.engine.media import open_source
from keeprt.engine.pipeline.looking import FaceFinder
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.work import Summary
from keeprt.kernels.paste_back import soft_mask

Rgb = NDArray[np.uint8]
WIDTH, HEIGHT, FACE_HEIGHT, LEFT, TOP = 960, 540, 300, 360, 120
COUNT = 90


@dataclass(frozen=True)
class Composed:
    """A clip: its name, the picture of frame n, and who is there, None for nobody."""

    name: str
    count: int
    picture: Callable[[int], Rgb]
    who: Callable[[int], str | None]


@dataclass
class Found:
    """What was found in one clip."""

    frames: int = 0
    people: dict[int, set[str]] = field(default_factory=dict)
    tracks: dict[str, set[int]] = field(default_factory=dict)
    faces_of_nobody: int = 0
    painted: float = 0.0

    @property
    def joins(self) -> int:
        """Persons too many in one track."""
        return sum(len(people) - 1 for people in self.people.values())


def composed(a: list[Rgb], b: list[Rgb]) -> list[Composed]:
    """Change by a hard switch, covered by a board, leaving before a moving background, and the
    second person after a gap or at once."""
    still, wide, board = scene(WIDTH, 1), scene(1600, 3), scene(180, 7)[:270]

    def one(face: Rgb) -> Rgb:
        return put(still, face, LEFT)

    def swap(n: int) -> str:
        return "B" if 30 <= n < 60 else "A"

    def behind(n: int) -> str | None:
        hidden = 30 <= n < 37 or 55 <= n < 62
        return None if hidden else ("A" if n < 60 else "B")

    def covered(n: int) -> Rgb:
        picture = one((a if n < 60 else b)[n])
        if behind(n) is None:
            picture[150:420, 380:560] = board
        return picture

    def leaving(n: int) -> Rgb:
        begin = n * 6
        moved = wide[:, begin : begin + WIDTH].copy()
        return put(moved, a[n], LEFT + max(0, n - 20) * 40) if n < 60 else moved

    def gap(n: int) -> str | None:
        return "A" if n < 30 else (None if n < 35 else "B")

    return [
        Composed("hard switch, twice", 80, lambda n: one((a if swap(n) == "A" else b)[n]), swap),
        Composed("covered, another comes back", 90, covered, behind),
        Composed("leaves, background pans", 70, leaving, lambda n: "A" if n < 35 else None),
        Composed(
            "another after a gap of 5 frames",
            60,
            lambda n: still if gap(n) is None else one((a if gap(n) == "A" else b)[n]),
            gap,
        ),
        Composed(
            "another at once",
            60,
            lambda n: one((a if n < 30 else b)[n]),
            lambda n: "A" if n < 30 else "B",
        ),
    ]


def scene(width: int, seed: int) -> Rgb:
    """Soft coloured texture, uint8 (HEIGHT, width, 3)."""
    noise = np.random.RandomState(seed).standard_normal((HEIGHT // 16 + 2, width // 16 + 2, 3))
    soft = cv2.resize(noise.astype(np.float32), (width, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(110 + 35 * soft, 0, 255).astype(np.uint8)


def put(picture: Rgb, face: Rgb, left: int) -> Rgb:
    """A copy with a face pasted, which may reach over the border."""
    result = picture.copy()
    height, width = face.shape[:2]
    begin, end = max(left, 0), min(left + width, picture.shape[1])
    if end > begin:
        result[TOP : TOP + height, begin:end] = face[:, begin - left : end - left]
    return result


def faces_of(path: Path) -> list[Rgb]:
    """The first frames of a clip, FACE_HEIGHT lines high."""
    pictures: list[Rgb] = []
    with open_source(path) as video:
        for frame in video:
            rgb = frame.rgb()
            width = round(rgb.shape[1] * FACE_HEIGHT / rgb.shape[0])
            small = cv2.resize(rgb, (width, FACE_HEIGHT), interpolation=cv2.INTER_AREA)
            pictures.append(np.asarray(small, np.uint8))
            if len(pictures) == COUNT:
                break
    return pictures


def write(path: Path, clip: Composed) -> Path:
    """The clip as H.264 of high quality."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for n in range(clip.count):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(clip.picture(n)), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def look(path: Path, clip: Composed, lookahead: int | None) -> Found:
    """Finds and follows, as a file (None) or live (0), and compares with who is there."""
    found, options = Found(), RestoreOptions(lookahead=lookahead)
    with open_source(path) as video, FaceFinder(video.info, options, Summary()) as finder:
        for n, work in enumerate(finder.look(video)):
            found.frames += 1
            for face in work.found:
                person = clip.who(n)
                if person is None:
                    found.faces_of_nobody += 1
                    matrix = estimate_transform(face.landmarks, FACE_SIZE)
                    mask = warp_change(soft_mask(), matrix, touched(matrix, (HEIGHT, WIDTH)))
                    found.painted += float(mask.sum()) * face.weight
                else:
                    found.people.setdefault(face.track, set()).add(person)
                    found.tracks.setdefault(person, set()).add(face.track)
    return found


def rows(a: Path, b: Path) -> Iterator[str]:
    """The table, line by line."""
    yield "| clip | as | false joins | tracks of a person | faces of nobody | painted samples |"
    yield "| --- | --- | --- | --- | --- | --- |"
    with TemporaryDirectory() as folder:
        for clip in composed(faces_of(a), faces_of(b)):
            path = write(Path(folder) / "clip.mkv", clip)
            for lookahead, name in ((None, "file"), (0, "live")):
                found = look(path, clip, lookahead)
                most = max((len(tracks) for tracks in found.tracks.values()), default=0)
                yield (
                    f"| {clip.name} | {name} | {found.joins} | {most} | {found.faces_of_nobody} | "
                    f"{found.painted:.0f} |"
                )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m keeprt.benchmarks.identity A.mp4 B.mp4")
    for line in rows(Path(sys.argv[1]), Path(sys.argv[2])):
        print(line, flush=True)
