"""Restores the faces of a whole video and changes nothing else: the path from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from keeprt.engine.faces.alignment import FACE_SIZE
from keeprt.engine.media import Sink, VideoInfo, open_sink, open_source
from keeprt.engine.media.errors import PathLike
from keeprt.engine.pipeline.aligning import align
from keeprt.engine.pipeline.looking import FaceFinder
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.painting import Painter
from keeprt.engine.pipeline.restoring import restore
from keeprt.engine.pipeline.stages import Stages
from keeprt.engine.pipeline.upscaler import Upscaler
from keeprt.engine.pipeline.work import Summary
from keeprt.engine.restorer import Restorer


def restore_video(
    source: PathLike,
    out: PathLike,
    restorer: Restorer | None = None,
    options: RestoreOptions | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> Summary:
    """Restores every chosen face of a video file or image folder into `out`, another of them.

    `restorer` in stream mode takes the faces of a frame as one batch of up to its `max_faces`; in
    clip mode each track goes through it in chunks. None does everything but the network. `on_frame`
    is called after each written frame, in the caller's thread.

    The output has the source's size (times `scale`), timestamps, sound and pixel format; pixels
    outside the faces' masks are the decoded ones. Memory does not grow with the length of the
    video. Whatever fails, here or in a thread, ends all of it and leaves no output.

    Raises MediaError, FaceError, BackendError or UsageError.
    """
    options, summary = options or RestoreOptions(), Summary()
    face_size = FACE_SIZE if restorer is None else restorer.bundle.face_size
    upscaler = Upscaler(options.upscaler, options.scale) if options.upscaler else None
    with ExitStack() as opened:
        video = opened.enter_context(
            open_source(
                source,
                start_s=options.start_s,
                duration_s=options.duration_s,
                hwaccel=options.hwaccel,
            )
        )
        finder = opened.enter_context(FaceFinder(video.info, options, summary))
        size = (video.info.width * options.scale, video.info.height * options.scale)
        sink = opened.enter_context(open_output(out, video.info, options, *size))
        stages = opened.enter_context(Stages(options.threads))
        painter = Painter(sink, options, upscaler, summary)

        decoded = stages.ahead(summary.timed_items("decode", video))
        found = stages.ahead(align(finder.look(decoded), face_size, summary))
        restored = stages.ahead(restore(found, restorer, summary))
        for work in restored:
            painter.paint(work)
            summary.add(work)
            on_frame()
    return summary


def open_output(
    out: PathLike, info: VideoInfo, options: RestoreOptions, width: int, height: int
) -> Sink:
    """The sink for a video like `info`, of another size, as the options ask for it."""
    encoding = options.encoding
    return open_sink(
        out,
        info,
        width=width,
        height=height,
        codec=encoding.codec,
        crf=encoding.crf,
        bitrate=encoding.bitrate,
        preset=encoding.preset,
        start_s=options.start_s,
        duration_s=options.duration_s,
    )
