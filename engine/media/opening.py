"""Opening a video to read or to write: the one place that knows files and image folders."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from keeprt.engine.errors import UsageError
from keeprt.engine.media.containers import container_of
from keeprt.engine.media.errors import MediaNotFoundError, PathLike, display_name
from keeprt.engine.media.hardware import hardware_decoder
from keeprt.engine.media.image_folder import open_image_folder
from keeprt.engine.media.info import VideoInfo
from keeprt.engine.media.places import is_address, is_standard, is_stream
from keeprt.engine.media.reading.damage import OnDamage
from keeprt.engine.media.source import Others, VideoSource
from keeprt.engine.media.streams.plan import Wishes
from keeprt.engine.media.video_file import Reading, open_others, open_video_file
from keeprt.engine.media.writing.image_sink import ImageSink
from keeprt.engine.media.writing.picture import Encoding
from keeprt.engine.media.writing.sink import Sink
from keeprt.engine.media.writing.video_sink import Beside, Trim, VideoSink


def open_source(
    path: PathLike,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    on_damage: OnDamage = "stop",
    programme: int | None = None,
    format_name: str | None = None,
    image_rate: Fraction = Fraction(25),
    hwaccel: str | None = None,
    device: int = 0,
    keep_on_card: bool = False,
    threads: int = 0,
) -> VideoSource:
    """Open a video file, or a folder of images in natural order (frame2 before frame10).

    `path` may be an address that FFmpeg reads (http://...), a FIFO, or `-` for the standard input;
    an input is opened once. `format_name` is FFmpeg's name of the container where it cannot be
    guessed. `programme` is the number of one of an MPEG transport stream's; default the first that
    has a picture.

    `start_s` and `duration_s` choose a part, in seconds after the first frame's time. A frame keeps
    the timestamp that it has in the file, but for MPEG, whose clock begins anywhere: there the
    first of picture and sound is at 0, wraps are undone and jumps joined. Images get `image_rate`
    frames a second. With `hwaccel` "cuda" a video is decoded by NVIDIA card number
    `device`, see `hardware_decoder`; with `keep_on_card` its frames stay there until
    `SourceFrame.native` is asked for. `threads` bounds FFmpeg's, 0 for one per core.

    With `on_damage` "stop", damage is an error: whoever restores a video wants to know that a third
    of it is missing. A packet that cannot be decoded, a stream that ends before the length that its
    container declares, raise TruncatedMediaError with the number of frames decoded before. "skip"
    leaves out what cannot be decoded, ends where the data end, and counts the places
    (`VideoSource.damage`). A file cut short in a container that declares no length (MPEG-TS) cannot
    be told from a whole one.

    Timestamps that are missing are taken from the decoding times or the frame rate; ones that do
    not increase are moved one tick behind the frame before.

    Raises MediaNotFoundError, or MediaError for what is not a video, has no frames, or changes
    its picture size in the middle (the message names the frame).
    """
    if start_s < 0 or (duration_s is not None and duration_s <= 0):
        raise UsageError("the start must not be negative and the duration must be above 0")
    reading = Reading(
        start_s,
        duration_s,
        on_damage,
        programme,
        format_name,
        hardware_decoder(hwaccel, device, keep_on_card),
        threads,
    )
    if not is_address(path) and not is_standard(path):
        if not Path(path).exists():
            raise MediaNotFoundError(f"no such file or folder: {display_name(path)}")
        if Path(path).is_dir():
            return open_image_folder(Path(path), image_rate, start_s, duration_s)
    return open_video_file(path, reading)


def open_sink(
    path: PathLike,
    like: VideoInfo | VideoSource,
    *,
    source_path: PathLike | None = None,
    width: int | None = None,
    height: int | None = None,
    codec: str = "auto",
    crf: float | None = None,
    bitrate: int | None = None,
    preset: str = "medium",
    pixel_format: str = "auto",
    overwrite: bool = True,
    copy_streams: bool = True,
    audio: str = "copy",
    subtitles: str = "copy",
    format_name: str | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
    threads: int = 0,
) -> Sink:
    """Open an output for frames of a video like `like`: a video file, or a folder of PNG images.

    A path without a suffix, or of an existing folder, is an image folder; its files are named as
    the source's images, or frame_000000.png from a video.

    `path` may be `-` for the standard output or a FIFO, for which `format_name` is "matroska" or
    "mpegts".

    For a video, sound, subtitles, covers, attachments and chapters are copied from `source_path`
    (default: `like.path`), packets untouched, unless `copy_streams` is off. Given the opened source
    itself as `like`, they come from its one reading, which is needed for pipes. `audio` is "copy",
    "aac", "none", or numbers of sound streams from 0 ("0,2"); `subtitles` "copy" or "none". What a
    container cannot hold is decided before any work: sound is an error, text subtitles are
    rewritten in its own format, all else is left out and named in a warning and in
    `VideoSink.losses`, as is what the encoder cannot say of the picture.

    Depth, chroma and its place, field order, HDR10 metadata, captions, timecode, colour tags,
    sample aspect ratio, timestamps and time base are the source's. Matroska and WebM count
    milliseconds, so other times are rounded to these; MPEG-TS may move the whole file by a
    constant; MXF and encoders such as mpeg2video count frames. A source that begins below 0 is
    moved to 0.

    Orientation: pictures are stored as the source stored them, and the display matrix is written
    back; `write_rgb` turns upright pictures back into that orientation. The output plays upright
    as the source does, and both ways of writing can be mixed. Where the container has no display
    matrix (.webm, .ts, image folders), pictures are stored upright.

    `width` and `height` are those of the stored picture (default: the source's). Odd sizes are
    kept: 4:2:0 cannot code them, so 4:2:2 or 4:4:4 is used (see `choose_pixel_format`).

    `start_s` and `duration_s` must be those given to `open_source`: the output's clock then
    starts there. `crf` is the encoder's own scale (default 18 for libx264); `bitrate` in bit/s.
    `threads` bounds the encoder's and swscale's, 0 for one per core.

    Raises UsageError or MediaError before any work: unknown suffix, encoder or option, an output
    that is the input, a folder that does not exist or cannot be written, sound that the container
    cannot hold.
    """
    source, info = (like, like.info) if isinstance(like, VideoSource) else (None, like)
    inputs: list[PathLike] = [info.path] if source_path is None else [info.path, source_path]
    size = (width or info.width, height or info.height)
    target = Path(path)
    pipe = is_standard(path) or is_stream(path)
    if format_name is None and not pipe and (not target.suffix or target.is_dir()):
        losses = _no_images_of(info, Wishes(audio, subtitles)) if copy_streams else []
        return ImageSink(target, info, size, inputs, overwrite, losses)
    if pipe and format_name is None:
        raise UsageError("a pipe has no suffix to go by; give --format matroska or mpegts")
    container = container_of(display_name(path), format_name)
    encoding = Encoding(size, codec, crf, bitrate, preset, pixel_format, threads)
    trim = Trim(start_s, None if duration_s is None else start_s + duration_s)
    wishes = Wishes(audio, subtitles)
    with ExitStack() as opened:
        beside: Beside | None = None
        if copy_streams:
            others = _others(source, info, source_path, opened)
            shared = source is not None and others is source.others
            beside = None if others is None else Beside(others, wishes, shared)
        sink = VideoSink(path, container, info, encoding, inputs, beside, trim, overwrite)
        sink.also_close(opened.pop_all())
    return sink


def _no_images_of(info: VideoInfo, wishes: Wishes) -> list[str]:
    """What a folder of images cannot hold."""
    there = {
        "the sound": info.has_audio and wishes.audio != "none",
        "the subtitles": info.has_subtitles and wishes.subtitles != "none",
        f"the timecode {info.timecode}": info.timecode is not None,
    }
    return [f"{what}: a folder of images holds none" for what, lost in there.items() if lost]


def _others(
    source: VideoSource | None, info: VideoInfo, source_path: PathLike | None, opened: ExitStack
) -> Others | None:
    """Where sound comes from: the opened source, or a file that is opened for it alone."""
    if source is not None and source_path is None:
        return source.others
    path = source_path or (None if info.is_folder else info.path)
    return None if path is None else opened.enter_context(open_others(path))
