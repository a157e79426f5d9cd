"""What can be asked of restoring a whole video: one value for the command and for Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.analysis import AnalysisOptions
from keeprt.engine.faces.detection import Detector
from keeprt.engine.faces.selection import Choice, parse_choice
from keeprt.engine.media.reading.damage import OnDamage
from keeprt.engine.media.streams.plan import Wishes

MAX_SCALE = 4
INTERLACED = ("field", "frame", "refuse")
#: Faces of a frame that go through the network as one batch; more take several batches.
DEFAULT_BATCH = 4


@dataclass(frozen=True)
class Encoding:
    """codec: FFmpeg's name of the encoder, or "auto". crf: its own scale of quality. bitrate: in
    bit/s, instead of a crf. preset: speed against size, for example ultrafast."""

    codec: str = "auto"
    crf: float | None = None
    bitrate: int | None = None
    preset: str = "medium"


@dataclass(frozen=True)
class Plans:
    """bundle: in whose folder the plans lie. flavour: of TensorRT, "rtx" or "tensorrt"."""

    bundle: Path
    flavour: str


@dataclass(frozen=True)
class RestoreOptions:
    """How `restore_video` works; the defaults are those of the command.

    faces: "all", "largest", "center", or the number of faces. min_size: shorter side of a face's
    box in pixels of the video, below which it is left alone. strength: 0 (nothing) to 1 (the
    restored face).

    start_s, duration_s: the part of the video, in seconds from its first frame. hwaccel: "cuda" to
    decode on an NVIDIA card. on_damage: "stop" at damage in the input, or "skip" and count it.
    programme: number of one of a transport stream's.

    audio: "copy", "aac", "none", or numbers of sound streams from 0 ("0,2"). subtitles: "copy" or
    "none". format_name: FFmpeg's name of the output's container, for pipes.

    detect_every: look for faces in every k-th frame. detect_side: longer side, in pixels, of the
    picture that the detector sees; more finds smaller faces and takes longer. lookahead: frames
    that tracks and smoothing see ahead, None for all that help, 0 for live use. detector: an ONNX
    file, or an object that finds faces; None for the default. card: number of the card that
    decodes, where `hwaccel` asks for one, and that finds faces where it can; None for the first
    one, and for the host. plans: where the detector's plan for that card is, None to find faces by
    ONNX Runtime. landmarks: a file to take the detections from if it exists, and to write them to
    if not. identity: an ONNX file of ArcFace's
    kind that tells people apart; without one the picture of their faces does.

    scale: enlarge the video so many times, by Lanczos or by the network in the file `upscaler`.

    draw_tracks: draw what was found over the result. save_crops: folder for the aligned faces.
    overwrite: replace the output if it is there; off, it is an error.

    interlaced: "field" restores each field by itself, "frame" takes both for one picture, "refuse"
    refuses interlaced video.

    threads: off, all stages run one after the other in the caller's thread. cpu_threads: that
    decoder, encoder, swscale and upscaler may each use, 0 for one per core.
    """

    faces: str = "all"
    min_size: float = 32.0
    strength: float = 1.0
    start_s: float = 0.0
    duration_s: float | None = None
    hwaccel: str | None = None
    on_damage: OnDamage = "stop"
    programme: int | None = None
    audio: str = "copy"
    subtitles: str = "copy"
    format_name: str | None = None
    detect_every: int = 1
    detect_side: int = 640
    lookahead: int | None = None
    card: int | None = None
    plans: Plans | None = None
    detector: Path | Detector | None = None
    landmarks: Path | None = None
    identity: Path | None = None
    scale: int = 1
    upscaler: Path | None = None
    interlaced: str = "field"
    draw_tracks: bool = False
    save_crops: Path | None = None
    overwrite: bool = True
    encoding: Encoding = field(default_factory=Encoding)
    threads: bool = True
    cpu_threads: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise UsageError(f"strength is {self.strength}; give 0 (nothing) to 1 (the whole face)")
        if not 1 <= self.scale <= MAX_SCALE:
            raise UsageError(f"scale is {self.scale}; give a whole number from 1 to {MAX_SCALE}")
        if self.interlaced not in INTERLACED:
            raise UsageError(
                f"interlaced = {self.interlaced!r} is unknown; give {', '.join(INTERLACED)}"
            )
        if self.upscaler is not None and self.scale == 1:
            raise UsageError("an upscaler enlarges the video: say how much by a scale of 2 or more")
        if not 64 <= self.detect_side <= 8192 or self.min_size < 0:
            raise UsageError("detect_side is 64 to 8192 pixels, min_size at least 0")
        if self.cpu_threads < 0:
            raise UsageError(f"cpu_threads is {self.cpu_threads}; give 0 or more")
        if self.lookahead is not None and self.lookahead < 0:
            raise UsageError(f"lookahead is {self.lookahead} frames; give 0 or more")
        Wishes(self.audio, self.subtitles)
        _ = self.analysis  # what it refuses is refused here

    @property
    def choice(self) -> Choice:
        """Which faces, as the analysis takes it."""
        return parse_choice(self.faces, self.min_size)

    @property
    def analysis(self) -> AnalysisOptions:
        """The part of the options that concerns finding and following faces."""
        return AnalysisOptions(
            every=self.detect_every, lookahead=self.lookahead, choice=self.choice
        )

    @property
    def batch(self) -> int:
        """Faces that a restorer for this should be loaded for (`max_faces`)."""
        return min(self.choice.count or DEFAULT_BATCH, DEFAULT_BATCH)
