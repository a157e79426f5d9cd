"""PyAV 18 and 19 look the same from here, whichever of them is installed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType

from keeprt.engine.media import open_sink, open_source, pyav
from keeprt.engine.media.pyav import fraction, open_input, open_output, side_data
from tests.engine.media.clips import Clip, make_clip

LATIN = "caf\udce9"  # b"caf\xe9", as surrogateescape reads it


def test_a_rational_that_is_not_set_is_none() -> None:
    assert fraction(None) is None and fraction(Fraction(0)) is None
    if hasattr(av, "AVRational"):
        assert fraction(av.AVRational(0, 1)) is None
        assert type(fraction(av.AVRational(1, 25))) is Fraction
    assert fraction(Fraction(30000, 1001)) == Fraction(30000, 1001)


def test_what_a_source_tells_are_fractions(tmp_path: Path) -> None:
    with open_source(make_clip(tmp_path / "in.mp4", Clip(aspect=Fraction(4, 3)))) as video:
        info = video.info
        assert {type(v) for v in (info.time_base, info.average_rate, info.sample_aspect_ratio)} == {
            Fraction
        }


@pytest.mark.parametrize("keys", [False, True], ids=["PyAV 18", "PyAV 19"])
def test_side_data_come_as_data_however_they_are_iterated(
    monkeypatch: pytest.MonkeyPatch, keys: bool
) -> None:
    class Item:
        type = SideDataType.DISPLAYMATRIX

    item = Item()
    monkeypatch.setattr("keeprt.engine.media.pyav.SideData", Item)
    monkeypatch.setattr("keeprt.engine.media.pyav._held", lambda frame: frame)

    class Container:
        def __iter__(self) -> Any:
            return iter([item.type if keys else item])

        def __getitem__(self, kind: SideDataType) -> Item:
            assert kind is item.type
            return item

    assert side_data(SimpleNamespace(side_data=Container())) == [item]  # type: ignore[arg-type]


def test_side_data_of_a_real_frame(tmp_path: Path) -> None:
    turned = make_clip(tmp_path / "in.mp4", Clip(rotation_ccw=90))
    with open_input(turned) as container:
        frame = next(container.decode(video=0))
    found = side_data(frame)
    assert all(isinstance(item, SideData) for item in found)
    assert SideDataType.DISPLAYMATRIX in [item.type for item in found]


def test_text_in_another_encoding_survives_byte_for_byte(tmp_path: Path) -> None:
    named, out = tmp_path / "named.mkv", tmp_path / "out.mkv"
    with open_output(named) as target:
        target.metadata["title"] = LATIN
        stream = target.add_stream("mpeg4", rate=25, width=64, height=48)
        target.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        target.mux(stream.encode(None))
    assert b"caf\xe9" in named.read_bytes()
    with open_source(named) as video, open_sink(out, video.info) as sink:
        for frame in video:
            sink.write(frame)
    with open_input(out) as container:
        assert container.metadata["title"] == LATIN


def test_what_differs_is_spelled_in_one_file() -> None:
    for file in Path(pyav.__file__).parents[1].rglob("*.py"):
        if file != Path(pyav.__file__):
            text = file.read_text("utf-8")
            assert "metadata_errors" not in text and ".side_data" not in text, file
