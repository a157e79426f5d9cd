"""What changes in the middle of a video is said, and the output looks right on both sides."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from keeprt.engine.errors import MediaError
from keeprt.engine.media import open_sink, open_source
from tests.engine.media.clips import Clip, make_clip

HALF = 25


def joined(tmp_path: Path, name: str, *clips: Clip) -> Path:
    """Clips one behind the other: their files where the container can be cut anywhere, else their
    packets under the first clip's header."""
    suffix = Path(name).suffix
    parts = [make_clip(tmp_path / f"part{n}{suffix}", clip) for n, clip in enumerate(clips)]
    path = tmp_path / name
    if suffix in (".ts", ".mpg", ".h264", ".m2v"):
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        return path
    raise AssertionError(suffix)


def halves(codec: str, **differ: tuple[object, object]) -> list[Clip]:
    """Two clips that differ in one thing."""
    return [
        Clip(tuple(range(HALF)), codec=codec, **{key: pair[n] for key, pair in differ.items()})  # type: ignore[arg-type]
        for n in (0, 1)
    ]


def notes_of(path: Path, out: Path | None = None) -> list[str]:
    with open_source(path) as video:
        sink = None if out is None else open_sink(out, video, crf=8)
        count = 0
        for frame in video:
            count += 1
            if sink is not None:
                sink.write(frame)
        if sink is not None:
            sink.close()
        assert count == 2 * HALF
        return video.notes()


@pytest.mark.parametrize(
    ("name", "codec"), [("a.ts", "libx264"), ("a.ts", "mpeg2video"), ("a.h264", "libx264")]
)
@pytest.mark.parametrize("aspects", [(Fraction(4, 3), Fraction(1)), (Fraction(1), Fraction(16, 9))])
def test_an_aspect_that_changes_is_named_with_its_frame(
    tmp_path: Path, name: str, codec: str, aspects: tuple[Fraction, Fraction]
) -> None:
    path = joined(tmp_path, name, *halves(codec, aspect=aspects))
    (note,) = notes_of(path)
    assert f"at frame {HALF} the aspect ratio of a pixel changes" in note, note
    assert "the first value throughout" in note


@pytest.mark.parametrize("name", ["a.ts", "a.h264"])
@pytest.mark.parametrize(
    "colours",
    [((1, 1, 1, 1), (6, 1, 6, 6)), ((9, 1, 9, 14), (1, 1, 1, 1)), ((1, 1, 1, 1), (1, 2, 1, 1))],
)
def test_colours_that_change_look_the_same_in_the_output(
    tmp_path: Path, name: str, colours: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    path, out = joined(tmp_path, name, *halves("libx264", colour=colours)), tmp_path / "out.mkv"
    (note,) = notes_of(path, out)
    assert f"at frame {HALF} the colour changes" in note, note
    with open_source(path) as one, open_source(out) as two:
        for before, after in zip(one, two, strict=True):
            assert after.colour.matrix == colours[0][0]
            assert np.abs(before.rgb().astype(int) - after.rgb()).mean() < 2.5


def test_a_depth_that_changes_is_named(tmp_path: Path) -> None:
    formats = ("yuv420p", "yuv420p10le")
    path = joined(tmp_path, "a.ts", *halves("libx264", pixel_format=formats))
    (note,) = notes_of(path, tmp_path / "out.mkv")
    assert f"at frame {HALF} the pixel format changes from yuv420p to yuv420p10le" in note
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert {f.format.name for f in container.decode(video=0)} == {"yuv420p"}


def test_a_size_that_changes_ends_the_job_with_its_frame(tmp_path: Path) -> None:
    path = joined(tmp_path, "a.ts", *halves("libx264", width=(64, 96)))
    with pytest.raises(MediaError, match=f"frame {HALF} is 96x48"):
        notes_of(path, tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv").exists()
