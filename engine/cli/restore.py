"""`keeprt restore`: a video in, the restored video out."""

from __future__ import annotations

import dataclasses
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from keeprt.engine.archive.needs import bound_threads
from keeprt.engine.archive.recipe import bounded, recipe_hash
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import pictures as o
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.receipts import with_receipt
from keeprt.engine.cli.restorers import load_restorer, where_stages_run
from keeprt.engine.cli.terminal.console import alert, announce, note
from keeprt.engine.cli.terminal.progress import frame_progress, status
from keeprt.engine.errors import UsageError
from keeprt.engine.media import VideoInfo, VideoSource
from keeprt.engine.media.places import is_standard
from keeprt.engine.media.reading.damage import OnDamage
from keeprt.engine.opening import on_a_card
from keeprt.engine.pipeline import Encoding, RestoreOptions, Summary, restore_video
from keeprt.engine.pipeline.aligned_clip import restore_aligned
from keeprt.engine.pipeline.given import try_given_networks
from keeprt.engine.pipeline.loading import card_of, plans_of, reason_on_host
from keeprt.engine.pipeline.looking import open_detector
from keeprt.engine.pipeline.video import open_input, open_output
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW, Restorer
from keeprt.engine.summaries import write_summary
from keeprt.engine.video_restorer import VideoRestorer

DEFAULTS = RestoreOptions()
SHOWN_TRACKS = 12


def restore(
    source: o.Source,
    out: o.Restored,
    # The network.
    bundle: n.Bundle = Path("bundle"),
    aligned: n.Aligned = False,
    bypass: n.Bypass = False,
    mode: n.Mode = "stream",
    window: n.Window = DEFAULT_WINDOW,
    chunk: n.Chunk = DEFAULT_CHUNK,
    carry_state: n.CarryState = False,
    backend: n.Backend = "onnxruntime",
    provider: n.Provider = "cpu",
    device: n.Device = 0,
    eager: n.Eager = False,
    threads: n.Threads = None,
    # Which faces, and how they are found.
    faces: o.Faces = DEFAULTS.faces,
    min_size: o.MinSize = DEFAULTS.min_size,
    strength: o.Strength = DEFAULTS.strength,
    detect_every: o.DetectEvery = DEFAULTS.detect_every,
    detect_side: o.DetectSide = DEFAULTS.detect_side,
    lookahead: o.Lookahead = None,
    detector: o.Detector = None,
    landmarks: o.Landmarks = None,
    identity: o.Identity = None,
    interlaced: o.Interlaced = DEFAULTS.interlaced,
    # What comes out.
    draw_tracks: o.DrawTracks = False,
    save_crops: o.SaveCrops = None,
    start: o.Start = 0.0,
    duration: o.Duration = None,
    hwaccel: o.HardwareDecoder = None,
    on_damage: o.OnDamage = "stop",
    programme: o.Programme = None,
    audio: o.Audio = "copy",
    subtitles: o.Subtitles = "copy",
    format_name: o.Format = None,
    scale: o.Scale = DEFAULTS.scale,
    upscaler: o.UpscalerFile = None,
    overwrite: r.Overwrite = False,
    receipt: r.Receipt = None,
    json: r.Json = None,
    # How it is encoded.
    codec: o.Codec = "auto",
    crf: o.Crf = None,
    bitrate: o.Bitrate = None,
    preset: o.Preset = "medium",
) -> None:
    """Restore the faces in a video; all else stays as it was.

    Its times, sound, colour and all other pixels stay.

    Example: keeprt restore interview.mp4 restored.mp4 --bundle bundle --faces largest
    """
    how = {"backend": backend, "provider": provider, "device": device}
    options = RestoreOptions(
        faces=faces,
        min_size=min_size,
        strength=strength,
        start_s=start,
        duration_s=duration,
        hwaccel=hwaccel,
        on_damage=cast(OnDamage, on_damage),
        programme=programme,
        audio=audio,
        subtitles=subtitles,
        format_name=format_name,
        detect_every=detect_every,
        detect_side=detect_side,
        lookahead=lookahead,
        detector=detector,
        card=None if bypass else card_of(how),
        plans=None if bypass else plans_of(bundle, how),
        landmarks=landmarks,
        identity=identity,
        interlaced=interlaced,
        scale=scale,
        upscaler=upscaler,
        draw_tracks=draw_tracks,
        save_crops=save_crops,
        overwrite=overwrite or receipt is not None,
        encoding=Encoding(codec, crf, bitrate, preset),
    )
    options = bounded(options, threads)
    if threads is not None:
        bound_threads(threads)
    most = 1 if aligned else options.batch
    load: dict[str, Any] = {**how, "window": window, "max_faces": most}
    if mode == "clip":
        load |= {"mode": mode, "chunk": chunk}
    more = {"threads": threads, "eager": eager}
    asked = Asked(None if bypass else bundle, load, more, aligned, carry_state, json)
    if receipt is None:
        _restore(source, out, asked, options)
        return
    try_given_networks(options)
    shaping = load | ({"aligned": True, "carry_state": carry_state} if aligned else {})
    recipe = recipe_hash(None if bypass else str(bundle), shaping, options)
    with_receipt(
        receipt, source, out, recipe, overwrite, lambda: _restore(source, out, asked, options)
    )


@dataclass(frozen=True)
class Asked:
    """What is asked beside the options of a video. load: as `Restorer.load` takes it, and what does
    not change an output in `more`. bundle: None to do everything but the network."""

    bundle: Path | None
    load: dict[str, Any]
    more: dict[str, Any]
    aligned: bool
    carry_state: bool
    json: Path | None


def _restore(source: str, out: Path, asked: Asked, options: RestoreOptions) -> Summary:
    """Restores and says what was found."""
    began = time.monotonic()
    reused = options.landmarks is not None and options.landmarks.exists()
    with ExitStack() as opened:
        # Once, and before the network is loaded: what is wrong with them is the likelier mistake.
        video = opened.enter_context(open_input(source, options))
        finding = "their places are known" if reused else ""
        if not asked.aligned and not reused:
            detector, finding = open_detector(options)
            options = dataclasses.replace(options, detector=detector)
        restorer: Restorer | VideoRestorer | None = None
        if asked.bundle is not None:
            with status("loading the network"):
                restorer = _load(asked, video.info, options)
            opened.enter_context(restorer)
        if asked.aligned and not isinstance(restorer, VideoRestorer):
            summary = _restore_aligned(video, out, restorer, asked.carry_state, options)
        else:
            with frame_progress("restoring", expected_frames(video.info, options)) as on_frame:
                summary = restore_video(video, out, restorer, options, on_frame)
            _say_what_was_found(summary, options, reused)
        stages = _stages(summary, restorer)
        made_with = None if restorer is None else restorer.bundle.identity
        warm_up = 0.0 if restorer is None else restorer.warm_up_seconds
    if warm_up:
        note(f"warm-up: {warm_up:.1f} s, part of loading")
    if asked.bundle is not None and (where := _where(asked, options, video.info, finding)):
        note(where)
    note(f"milliseconds per frame: {', '.join(f'{name} {ms:.0f}' for name, ms in stages.items())}")
    for line in summary.notes:
        alert(f"note: {line}")
    (note if is_standard(out) else announce)(f"wrote {out}: {summary.frames} frames")
    if asked.json is not None:
        write_summary(
            asked.json,
            "restore",
            {
                "out": out.name,
                "bundle": made_with,
                "seconds": time.monotonic() - began,
                "warm_up_seconds": warm_up,
                "stage_ms_per_frame": stages,
                **_facts(summary),
            },
        )
    return summary


def expected_frames(info: VideoInfo, options: RestoreOptions) -> int | None:
    """How many frames the part that was asked for should have, None if nobody knows."""
    if info.frame_count is None or (options.start_s and info.average_rate is None):
        return None
    rate = info.average_rate or 0
    rest = max(0, info.frame_count - round(options.start_s * rate))
    if options.duration_s is None:
        return rest
    return min(rest, round(options.duration_s * rate)) if rate else None


def _load(asked: Asked, info: VideoInfo, options: RestoreOptions) -> Restorer | VideoRestorer:
    assert asked.bundle is not None
    how = asked.load | asked.more
    return load_restorer(asked.bundle, info, options, asked.aligned, **how)


def _where(asked: Asked, options: RestoreOptions, info: VideoInfo, finding: str) -> str:
    if not on_a_card(asked.load["backend"], asked.load["provider"]):
        return ""
    reason = reason_on_host(info, options, asked.load.get("mode", "stream"))
    codec = options.encoding.codec
    return where_stages_run(options.hwaccel, codec, asked.aligned, reason, finding)


def _restore_aligned(
    video: VideoSource,
    out: Path,
    restorer: Restorer | None,
    carry_state: bool,
    options: RestoreOptions,
) -> Summary:
    if restorer is None:
        raise UsageError("--bypass of an --aligned face would do nothing; leave one out")
    size = restorer.bundle.face_size
    sink = open_output(out, video, options, size, size)
    total = expected_frames(video.info, options)
    with sink, frame_progress("restoring", total) as on_frame:
        frames = restore_aligned(video, sink, restorer, carry_state=carry_state, on_frame=on_frame)
    return Summary(frames=frames, notes=video.notes() + sink.losses)


def _say_what_was_found(summary: Summary, options: RestoreOptions, reused: bool) -> None:
    if options.landmarks is not None:
        note(f"landmarks {'reused from' if reused else 'written to'} {options.landmarks}")
    if not summary.tracks:
        why = "no face was found"
        if summary.detections:
            why = f"none of {summary.detections} detections was a face to restore (--min-size?)"
        alert(f"warning: {why}; the video was re-encoded as it is")
    for track, span in sorted(summary.tracks.items())[:SHOWN_TRACKS]:
        note(f"track {track}: frames {span.first} to {span.last}, {span.frames} restored")
    if len(summary.tracks) > SHOWN_TRACKS:
        note(f"and {len(summary.tracks) - SHOWN_TRACKS} tracks more")
    if summary.cuts:
        shown = ", ".join(map(str, summary.cuts[:SHOWN_TRACKS]))
        note(f"cuts at frames {shown}{' ...' if len(summary.cuts) > SHOWN_TRACKS else ''}")


def _stages(summary: Summary, restorer: Restorer | VideoRestorer | None) -> dict[str, float]:
    """Milliseconds of each stage, per frame."""
    seconds = {k: v for k, v in summary.seconds.items() if k != "restore"}
    seconds |= {} if restorer is None else restorer.stage_seconds
    return {name: s / summary.frames * 1e3 for name, s in seconds.items()}


def _facts(summary: Summary) -> dict[str, Any]:
    """What was found, for the summary."""
    return {
        "frames": summary.frames,
        "detections": summary.detections,
        "cuts": summary.cuts,
        "resets": [{"frame": frame, "track": track} for frame, track in summary.resets],
        "tracks": [
            {"track": track, **dataclasses.asdict(span)}
            for track, span in sorted(summary.tracks.items())
        ],
    }
