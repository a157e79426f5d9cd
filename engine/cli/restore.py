"""`keeprt restore`: a video in, the restored video out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keeprt.engine.aligned import restore_aligned
from keeprt.engine.cli.console import console, frame_progress, output, warn_synthetic
from keeprt.engine.errors import UsageError
from keeprt.engine.media import open_sink, open_source
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW, Mode, Restorer


def restore(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Video file or folder of images.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Video file or folder to write.")],
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle.")] = Path("bundle"),
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The whole picture is one aligned face.")
    ] = False,
    mode: Annotated[
        str, typer.Option(help="'stream': one in, one out. 'clip': as released, in chunks.")
    ] = "stream",
    window: Annotated[
        int, typer.Option(help="Frames that a gain sees in stream mode, the first among them.")
    ] = DEFAULT_WINDOW,
    chunk: Annotated[int, typer.Option(help="Frames of a chunk in clip mode.")] = DEFAULT_CHUNK,
    carry_state: Annotated[
        bool, typer.Option("--carry-state", help="Clip mode: no reset at the borders of chunks.")
    ] = False,
    provider: Annotated[str, typer.Option(help="ONNX Runtime provider: cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(help="Threads in an operator; default one per core.")
    ] = None,
    codec: Annotated[str, typer.Option(help="Video encoder, for example libx265.")] = "auto",
    crf: Annotated[float | None, typer.Option(help="Quality in the encoder's own scale.")] = None,
    start: Annotated[float, typer.Option(help="Seconds into the video to start at.")] = 0.0,
    duration: Annotated[float | None, typer.Option(help="Seconds to restore.")] = None,
) -> None:
    """Restore the face in a video, keeping its timestamps, sound and colour.

    Example: keeprt restore face.mp4 restored.mp4 --aligned --bundle bundle
    """
    if not aligned:
        raise UsageError("finding faces in whole frames is not there yet: give --aligned")
    if mode not in ("stream", "clip"):
        raise UsageError(f"unknown mode {mode!r}; choose 'stream' or 'clip'")
    chosen: Mode = "clip" if mode == "clip" else "stream"
    with open_source(source, start_s=start, duration_s=duration) as video:
        restorer = Restorer.load(
            bundle, mode=chosen, provider=provider, threads=threads, window=window, chunk=chunk
        )
        if restorer.bundle.is_synthetic:
            warn_synthetic()
        size = restorer.bundle.face_size
        sink = open_sink(
            out,
            video.info,
            width=size,
            height=size,
            codec=codec,
            crf=crf,
            start_s=start,
            duration_s=duration,
        )
        total = video.info.frame_count if duration is None and start == 0 else None
        with sink, frame_progress("restoring", total) as on_frame:
            frames = restore_aligned(
                video, sink, restorer, carry_state=carry_state, on_frame=on_frame
            )
    stages = ", ".join(
        f"{name} {seconds / frames * 1e3:.0f}" for name, seconds in restorer.stage_seconds.items()
    )
    console.print(f"milliseconds per frame: {stages}", highlight=False)
    output.print(f"wrote {out}: {frames} frames", highlight=False)
