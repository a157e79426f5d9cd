"""The name under which an output grows."""

from __future__ import annotations

from pathlib import Path

from keeprt.engine.media import open_sink, open_source
from tests.engine.media.clips import make_clip


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    out = tmp_path / f"{'ü' * 125}y.mkv"
    with open_source(source) as video, open_sink(out, video.info) as sink:
        for frame in video:
            sink.write(frame)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["in.mp4", out.name])
