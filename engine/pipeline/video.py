"""Restores the faces of a whole video and changes nothing else: the path from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from keeprt.engine.faces.alignment import FACE_SIZE
from keeprt.engine.media import Sink, VideoInfo, VideoSource, open_sink, open_source
from keeprt.engine.media.places import PathLike, refuse_shared
from keeprt.engine.media.writing.partial import partial_folder
from keeprt.engine.pipeline.aligning import align
from keeprt.engine.pipeline.fields import open_fields
from keeprt.engine.pipeline.looking import FaceFinder
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.painting import Painter
from keeprt.engine.pipeline.restoring import FaceRestorer, face_restorer, restore
from keeprt.engine.pipeline.stages import Stages
from keeprt.engine.pipeline.upscaler import Upscaler
from keeprt.engine.pipeline.whole_frames import WholeFrameRestoring
from keeprt.engine.pipeline.work import Summary
from keeprt.engine.restorer import Restorer
from keeprt.engine.video_restorer import VideoRestorer


def restore_video(
    source: PathLike | VideoSource,
    out: PathLike,
    restorer: Restorer | VideoRestorer | None = None,
    options: RestoreOptions | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> Summary:
    """Restores every chosen face of a video file or image folder into `out`, another of them.

    `source` may be opened already (`open_input`), which a pipe needs; it stays the caller's.

    `restorer` in stream mode takes the faces of a frame as one batch of up to its `max_faces`; in
    clip mode each track goes through it in chunks. A VideoRestorer, whose format is that of
    `whole_frame_format`, cuts out and paints too. None does everything but the network. `on_frame`
    is called after each written frame, in the caller's thread.

    The output has the source's size (times `scale`), timestamps, sound and pixel format; pixels
    outside the faces' masks are the decoded ones. Memory does not grow with the length of the
    video. Whatever fails, here or in a thread, ends all of it and leaves no output.

    Raises MediaError, FaceError, BackendError or UsageError.
    """
    options, summary = options or RestoreOptions(), Summary()
    face_size = FACE_SIZE if restorer is None else restorer.bundle.face_size
    upscaler = _upscaler(options)
    with ExitStack() as opened:
        video = source if isinstance(source, VideoSource) else open_input(source, options)
        if video is not source:
            opened.enter_context(video)
        refuse_shared(IN=video.info.path, OUT=out, landmarks=options.landmarks)
        stage = _restoring(restorer, summary, video.info, options)
        finder = opened.enter_context(FaceFinder(video.info, options, summary))
        size = (video.info.width * options.scale, video.info.height * options.scale)
        # Before the sink, which may fail as late as in closing: then the crops go too.
        crops = opened.enter_context(partial_folder(options.save_crops))
        sink = opened.enter_context(open_output(out, video, options, *size))
        stages = opened.enter_context(Stages(options.threads))
        frames, painted = open_fields(video, sink, options)
        painter = Painter(painted, options, upscaler, summary, crops)

        decoded = stages.ahead(summary.timed_items("decode", frames))
        looked, on_host = finder.look(decoded), not isinstance(restorer, VideoRestorer)
        found = stages.ahead(align(looked, face_size, summary, options.cpu_threads, on_host))
        restored = stages.ahead(restore(found, stage))
        for work in restored:
            painter.paint(work)
            summary.add(work)
            if work.frame.field is None or work.frame.field.is_last:
                on_frame()
    summary.notes += video.notes() + sink.losses
    return summary


def open_input(source: PathLike, options: RestoreOptions) -> VideoSource:
    """The part of the source that the options ask for."""
    return open_source(
        source,
        start_s=options.start_s,
        duration_s=options.duration_s,
        on_damage=options.on_damage,
        programme=options.programme,
        hwaccel=options.hwaccel,
        device=options.card or 0,
        keep_on_card=options.card is not None,
        threads=options.cpu_threads,
    )


def open_output(
    out: PathLike, video: VideoSource, options: RestoreOptions, width: int, height: int
) -> Sink:
    """The sink for what `video` gives, of another size, as the options ask for it."""
    encoding = options.encoding
    return open_sink(
        out,
        video,
        width=width,
        height=height,
        overwrite=options.overwrite,
        codec=encoding.codec,
        crf=encoding.crf,
        bitrate=encoding.bitrate,
        preset=encoding.preset,
        audio=options.audio,
        subtitles=options.subtitles,
        format_name=options.format_name,
        start_s=options.start_s,
        duration_s=options.duration_s,
        threads=options.cpu_threads,
    )


def _restoring(
    restorer: Restorer | VideoRestorer | None,
    summary: Summary,
    info: VideoInfo,
    options: RestoreOptions,
) -> FaceRestorer:
    if isinstance(restorer, VideoRestorer):
        return WholeFrameRestoring(restorer, summary, info, options)
    return face_restorer(restorer, summary)


def _upscaler(options: RestoreOptions) -> Upscaler | None:
    if options.upscaler is None:
        return None
    return Upscaler(options.upscaler, options.scale, options.cpu_threads)
