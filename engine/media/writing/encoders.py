"""Video encoders: what each can signal and how its quality is asked for; one table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keeprt.engine.media.info import MATRIX_BT601, MATRIX_BT709


@dataclass(frozen=True)
class Encoder:
    """quality: "crf" with a default, "qscale" with a default, or "own" for encoders whose profile
    decides. fixed_rate: it counts frames, not time; standard_rates: at one of MPEG-2's rates.
    fields: it codes interlaced pictures. hdr: it writes mastering and light level. captions: it
    writes CEA-708. stereo: it writes how two views lie in one picture. aspect: it writes the
    aspect of a pixel, which Matroska then need not. chroma:
    the one place of 4:2:0 chroma that it means, None if it writes any. full_range: whether it can
    mean full range; matrix: the one colour matrix that it means, None for any (AVColorSpace).
    no_alpha: nobody reads the alpha that it takes. private: its own options."""

    quality: str = "own"
    default: float = 0.0
    preset: bool = False
    fixed_rate: bool = False
    fields: bool = False
    hdr: bool = False
    captions: bool = False
    stereo: bool = False
    aspect: bool = False
    chroma: str | None = "left"
    full_range: bool = True
    matrix: int | None = None
    standard_rates: bool = False
    no_alpha: bool = False
    private: dict[str, str] = field(default_factory=dict)


_MPEG: dict[str, Any] = {"fields": True, "captions": True, "stereo": True, "aspect": True}
ENCODERS = {
    "libx264": Encoder("crf", 18.0, preset=True, hdr=True, chroma=None, **_MPEG),
    "libx265": Encoder(
        "crf", 20.0, preset=True, hdr=True, captions=True, aspect=True, chroma=None, no_alpha=True
    ),
    "libvpx-vp9": Encoder("crf", 24.0, chroma=None, no_alpha=True, private={"row-mt": "1"}),
    "mpeg2video": Encoder(
        "qscale", 2.0, fixed_rate=True, standard_rates=True, full_range=False, **_MPEG
    ),
    "mpeg4": Encoder("qscale", 2.0, fixed_rate=True, fields=True, aspect=True),
    # Studio range is no standard JPEG, but what the decoded values are.
    "mjpeg": Encoder(
        "qscale",
        2.0,
        aspect=True,
        chroma="center",
        matrix=MATRIX_BT601,
        private={"strict": "unofficial"},
    ),
    "prores_ks": Encoder(fields=True, full_range=False, private={"vendor": "apl0"}),
    "dnxhd": Encoder(fixed_rate=True, fields=True, matrix=MATRIX_BT709),
    "v210": Encoder(fields=True, full_range=False),
    "ffv1": Encoder(fields=True, chroma=None),
    "h264_nvenc": Encoder(fields=True, captions=True, aspect=True, chroma=None),
    "hevc_nvenc": Encoder(captions=True, aspect=True, chroma=None),
}
ALIASES = {
    "h264": "libx264",
    "hevc": "libx265",
    "h265": "libx265",
    "vp9": "libvpx-vp9",
    "mpeg2": "mpeg2video",
    "prores": "prores_ks",
    "dnxhr": "dnxhd",
}


def encoder_of(codec: str) -> Encoder:
    """The row of an encoder; one without a row is taken to signal nothing."""
    return ENCODERS.get(codec, Encoder())
