"""Captions (CEA-708 in A/53) and HDR10 go from codec to codec, or what is lost of them is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeprt.engine.media import open_sink, open_source
from keeprt.engine.media.info import LightLevel
from keeprt.engine.media.pyav import side_data
from tests.engine.media.test_signalling import encoded, written
from tests.fidelity import sources

MASTERING = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
_PQ = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none"


def captions_in(path: Path) -> list[bytes]:
    """The triplets of every frame, in the order in which frames are shown."""
    with open_source(path) as video:
        return [
            b"".join(bytes(d) for d in side_data(frame.native) if d.type.name == "A53_CC")
            for frame in video
        ]


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sources.captions(tmp_path_factory.mktemp("captions") / "captions")


@pytest.mark.parametrize(
    ("by_way_of", "suffix"), [("mpeg2video", ".ts"), ("libx265", ".mkv"), ("libx264", ".mov")]
)
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_captions_go_from_codec_to_codec(
    captioned: Path, tmp_path: Path, by_way_of: str, suffix: str, codec: str
) -> None:
    between, out = tmp_path / f"between{suffix}", tmp_path / "out.ts"
    written(captioned, between, codec=by_way_of, preset="ultrafast")
    written(between, out, codec=codec, preset="ultrafast")
    said = captions_in(captioned)
    assert all(said) and captions_in(between) == said and captions_in(out) == said


def test_captions_stay_on_frames_that_were_painted(captioned: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.ts"
    with open_source(captioned) as video, open_sink(out, video) as sink:
        for frame in video:
            sink.write_rgb(frame.rgb(), frame)
    assert captions_in(out) == captions_in(captioned)


@pytest.mark.parametrize("codec", ["prores", "ffv1", "libvpx-vp9"])
def test_captions_that_a_codec_has_no_place_for_are_named(
    captioned: Path, tmp_path: Path, codec: str
) -> None:
    losses = written(captioned, tmp_path / "out.mkv", codec=codec)
    assert any("closed captions" in loss for loss in losses)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("prores", ".mov"), ("ffv1", ".mkv"), ("libvpx-vp9", ".webm"), ("v210", ".mov")],
)
def test_hdr10_by_others_keeps_its_colours_and_names_the_rest(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    params = {"preset": "ultrafast", "x265-params": f"{MASTERING}:max-cll=1000,400:{_PQ}"}
    source = encoded(tmp_path / "in.mp4", "libx265", "yuv420p10le", 3, **params)
    losses = written(source, tmp_path / f"out{suffix}", codec=codec)
    assert any("HDR10 mastering and light level" in loss for loss in losses)
    with open_source(tmp_path / f"out{suffix}") as video:
        assert (video.info.colour.primaries, video.info.colour.transfer) == (9, 16)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("only", [MASTERING, "max-cll=600,200"])
def test_half_of_hdr10_is_not_made_whole(tmp_path: Path, codec: str, only: str) -> None:
    params = {"preset": "ultrafast", "x265-params": f"{only}:{_PQ}"}
    source = encoded(tmp_path / "in.mkv", "libx265", "yuv420p10le", 3, **params)
    assert written(source, tmp_path / "out.ts", codec=codec, preset="ultrafast") == []
    with open_source(source) as before, open_source(tmp_path / "out.ts") as after:
        assert after.info.mastering == before.info.mastering
        assert (after.info.mastering is not None) == (only == MASTERING)
        # x265 writes 0 for what it is not told, which means that it is not known.
        assert after.info.light_level == before.info.light_level
        known = LightLevel(0, 0) if only == MASTERING else LightLevel(600, 200)
        assert after.info.light_level == known
