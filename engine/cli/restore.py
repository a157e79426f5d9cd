"""`keeprt restore`: a video in, the restored video out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from keeprt.engine.aligned import restore_aligned
from keeprt.engine.cli.console import console, frame_progress, output, warn_synthetic
from keeprt.engine.errors import UsageError
from keeprt.engine.media import VideoInfo, open_source
from keeprt.engine.pipeline import Encoding, RestoreOptions, Summary, restore_video
from keeprt.engine.pipeline.video import open_output
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW, Mode, Restorer

DEFAULTS = RestoreOptions()
SHOWN_TRACKS = 12


def restore(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Video file or folder of images.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Video file or folder to write.")],
    # The network.
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle.")] = Path("bundle"),
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The whole picture is one aligned face.")
    ] = False,
    bypass: Annotated[
        bool, typer.Option("--bypass", help="Everything but the network; no bundle is needed.")
    ] = False,
    mode: Annotated[
        str, typer.Option(help="'stream': one in, one out. 'clip': as released, in chunks.")
    ] = "stream",
    window: Annotated[
        int, typer.Option(help="Frames that a gain sees in stream mode, the first among them.")
    ] = DEFAULT_WINDOW,
    chunk: Annotated[int, typer.Option(help="Frames of a chunk in clip mode.")] = DEFAULT_CHUNK,
    carry_state: Annotated[
        bool, typer.Option("--carry-state", help="Clip mode, aligned: no reset between chunks.")
    ] = False,
    backend: Annotated[
        str, typer.Option(help="onnxruntime; on an NVIDIA card, with plans: rtx or tensorrt.")
    ] = "onnxruntime",
    provider: Annotated[
        str, typer.Option(help="ONNX Runtime's: cpu, or cuda on an NVIDIA card.")
    ] = "cpu",
    device: Annotated[int, typer.Option(help="Number of the NVIDIA card.")] = 0,
    eager: Annotated[
        bool, typer.Option("--eager", help="One operation at a time, to find out which one fails.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(help="Threads in an operator; default one per core.")
    ] = None,
    # Which faces, and how they are found.
    faces: Annotated[
        str, typer.Option(help="Which are restored: all, largest, center, or a number N.")
    ] = DEFAULTS.faces,
    min_size: Annotated[
        float, typer.Option(help="Shorter side in pixels below which a face is left alone.")
    ] = DEFAULTS.min_size,
    strength: Annotated[
        float, typer.Option(help="How much of the restored face is blended in, 0 to 1.")
    ] = DEFAULTS.strength,
    detect_every: Annotated[
        int, typer.Option(help="Look for faces in every K-th frame; tracks carry on between.")
    ] = DEFAULTS.detect_every,
    detect_side: Annotated[
        int, typer.Option(help="Longer side of what the detector sees; more finds smaller faces.")
    ] = DEFAULTS.detect_side,
    lookahead: Annotated[
        int | None, typer.Option(help="Frames seen ahead; 0 for live use. Default: all that help.")
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="ONNX file of another face detector.")
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(help="Take the faces from this file; write it if it is not there."),
    ] = None,
    # What comes out.
    draw_tracks: Annotated[
        bool, typer.Option("--draw-tracks", help="Draw boxes, track numbers and landmarks.")
    ] = False,
    save_crops: Annotated[
        Path | None, typer.Option(help="Folder for the aligned faces, PNG.")
    ] = None,
    start: Annotated[float, typer.Option(help="Seconds into the video to start at.")] = 0.0,
    duration: Annotated[float | None, typer.Option(help="Seconds to restore.")] = None,
    hwaccel: Annotated[
        str | None,
        typer.Option(help="'cuda': decode on the NVIDIA card. --codec h264_nvenc encodes."),
    ] = None,
    scale: Annotated[int, typer.Option(help="Enlarge the video so many times.")] = DEFAULTS.scale,
    upscaler: Annotated[
        Path | None, typer.Option(help="ONNX file that enlarges the background; default Lanczos.")
    ] = None,
    # How it is encoded.
    codec: Annotated[str, typer.Option(help="Video encoder, for example libx265.")] = "auto",
    crf: Annotated[float | None, typer.Option(help="Quality in the encoder's own scale.")] = None,
    bitrate: Annotated[int | None, typer.Option(help="Bits per second, in place of --crf.")] = None,
    preset: Annotated[str, typer.Option(help="Encoder's speed against size.")] = "medium",
) -> None:
    """Restore the faces in a video; its times, sound, colour and all other pixels stay.

    Example: keeprt restore interview.mp4 restored.mp4 --bundle bundle --faces largest
    """
    options = RestoreOptions(
        faces=faces,
        min_size=min_size,
        strength=strength,
        start_s=start,
        duration_s=duration,
        hwaccel=hwaccel,
        detect_every=detect_every,
        detect_side=detect_side,
        lookahead=lookahead,
        detector=detector,
        landmarks=landmarks,
        scale=scale,
        upscaler=upscaler,
        draw_tracks=draw_tracks,
        save_crops=save_crops,
        encoding=Encoding(codec, crf, bitrate, preset),
    )
    with open_source(source, start_s=start, duration_s=duration, hwaccel=hwaccel) as video:
        info = video.info  # before the network is loaded: bad input is the likelier mistake
    restorer = None
    if not bypass:
        restorer = _load(
            bundle,
            mode,
            backend=backend,
            provider=provider,
            threads=threads,
            window=window,
            chunk=chunk,
            max_faces=1 if aligned else options.batch,
            device=device,
            eager=eager,
        )
    reused = landmarks is not None and landmarks.exists()
    if aligned:
        frames = _restore_aligned(source, out, restorer, carry_state, options)
        summary = Summary(frames=frames)
    else:
        if carry_state:
            raise UsageError("--carry-state is for one --aligned face; mode 'stream' carries it")
        with frame_progress("restoring", expected_frames(info, options)) as on_frame:
            summary = restore_video(source, out, restorer, options, on_frame)
        _say_what_was_found(summary, options, reused)
    _say_times(summary, restorer)
    output.print(f"wrote {out}: {summary.frames} frames", highlight=False)


def expected_frames(info: VideoInfo, options: RestoreOptions) -> int | None:
    """How many frames the part that was asked for should have, None if nobody knows."""
    if info.frame_count is None or (options.start_s and info.average_rate is None):
        return None
    rate = info.average_rate or 0
    rest = max(0, info.frame_count - round(options.start_s * rate))
    if options.duration_s is None:
        return rest
    return min(rest, round(options.duration_s * rate)) if rate else None


def _load(bundle: Path, mode: str, **how: Any) -> Restorer:
    """`how` as `Restorer.load` takes it."""
    if mode not in ("stream", "clip"):
        raise UsageError(f"unknown mode {mode!r}; choose 'stream' or 'clip'")
    chosen: Mode = "clip" if mode == "clip" else "stream"
    restorer = Restorer.load(bundle, mode=chosen, **how)
    if restorer.bundle.is_synthetic:
        warn_synthetic()
    return restorer


def _restore_aligned(
    source: Path, out: Path, restorer: Restorer | None, carry_state: bool, options: RestoreOptions
) -> int:
    _refuse_face_options(options)
    if restorer is None:
        raise UsageError("--bypass of an --aligned face would do nothing; leave one out")
    size = restorer.bundle.face_size
    with open_source(
        source, start_s=options.start_s, duration_s=options.duration_s, hwaccel=options.hwaccel
    ) as video:
        sink = open_output(out, video.info, options, size, size)
        total = expected_frames(video.info, options)
        with sink, frame_progress("restoring", total) as on_frame:
            return restore_aligned(
                video, sink, restorer, carry_state=carry_state, on_frame=on_frame
            )


def _refuse_face_options(options: RestoreOptions) -> None:
    """An option that would be dropped in silence is an error."""
    kept = ("start_s", "duration_s", "encoding", "hwaccel")
    for field in dataclasses.fields(options):
        if field.name not in kept and getattr(options, field.name) != getattr(DEFAULTS, field.name):
            name = field.name.replace("_", "-")
            raise UsageError(f"--{name} is for whole frames: leave it or --aligned out")


def _say_what_was_found(summary: Summary, options: RestoreOptions, reused: bool) -> None:
    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, highlight=False, soft_wrap=True)

    if options.landmarks is not None:
        say(f"landmarks {'reused from' if reused else 'written to'} {options.landmarks}")
    if not summary.tracks:
        why = "no face was found"
        if summary.detections:
            why = f"none of {summary.detections} detections was a face to restore (--min-size?)"
        say(f"warning: {why}; the video was re-encoded as it is", "yellow")
    for track, span in sorted(summary.tracks.items())[:SHOWN_TRACKS]:
        say(f"track {track}: frames {span.first} to {span.last}, {span.frames} restored")
    if len(summary.tracks) > SHOWN_TRACKS:
        say(f"and {len(summary.tracks) - SHOWN_TRACKS} tracks more")
    if summary.cuts:
        shown = ", ".join(map(str, summary.cuts[:SHOWN_TRACKS]))
        say(f"cuts at frames {shown}{' ...' if len(summary.cuts) > SHOWN_TRACKS else ''}")


def _say_times(summary: Summary, restorer: Restorer | None) -> None:
    seconds = {k: v for k, v in summary.seconds.items() if k != "restore"}
    seconds |= {} if restorer is None else restorer.stage_seconds
    stages = ", ".join(f"{name} {s / summary.frames * 1e3:.0f}" for name, s in seconds.items())
    console.print(f"milliseconds per frame: {stages}", highlight=False)
