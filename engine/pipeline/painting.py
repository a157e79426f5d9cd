"""The last stage: faces into the frame, in its own planes where it has some, and to the sink."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np

from keeprt.engine.errors import MediaError
from keeprt.engine.faces.alignment import Affine, scale_transform
from keeprt.engine.faces.compositing import Patch, RgbPicture, composite_rgb
from keeprt.engine.faces.detection import Rgb
from keeprt.engine.faces.drawing import draw_faces
from keeprt.engine.faces.planes import YuvFormat, composite_planes
from keeprt.engine.faces.timeline import TrackedFace
from keeprt.engine.media import Sink
from keeprt.engine.pipeline.native import planar, planes_of, stored_affine, yuv_format
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pipeline.upscaler import Upscaler
from keeprt.engine.pipeline.work import AlignedFace, FrameWork, Summary


class Painter:
    """Puts the restored faces of each frame back and writes it; from one thread."""

    def __init__(
        self, sink: Sink, options: RestoreOptions, upscaler: Upscaler | None, summary: Summary
    ) -> None:
        self._sink, self._options = sink, options
        self._upscaler, self._summary = upscaler, summary
        self._pictures = Pictures()

    def paint(self, work: FrameWork) -> None:
        """One frame, in order. Changes the decoded frame that it is given."""
        if self._options.save_crops is not None:
            save_crops(work, self._options.save_crops)
        form = yuv_format(work.frame)
        if form is None or self._upscaler is not None:
            with self._summary.timed("composite"):
                picture = self._paint_rgb(work)
            self._write_rgb(work, picture)
            return
        with self._summary.timed("composite"):
            native = self._paint_planes(work, form)
        if self._options.draw_tracks:
            info, converter = work.frame.info, work.frame.converter
            self._write_rgb(
                work, info.orientation.upright(converter.to_rgb(native, work.frame.colour, 8))
            )
            return
        with self._summary.timed("encode"):
            self._sink.write(native)

    def _paint_planes(self, work: FrameWork, form: YuvFormat) -> av.VideoFrame:
        """The frame's code values outside the masks stay what the decoder gave."""
        frame, scale = work.frame, self._options.scale
        native = planar(frame)
        if scale > 1:
            native = self._pictures.enlarged(native, scale)
        if not work.faces:
            return native
        native.make_writable()  # the decoder may still predict from it
        planes = planes_of(native, form.depth)
        for face in work.faces:
            affine = stored_affine(face.affine, frame.info.orientation, frame.info.upright_size)
            composite_planes(planes, form, self._patch(face, affine), work.grey)
        return native

    def _paint_rgb(self, work: FrameWork) -> RgbPicture:
        """For video whose samples are no YUV planes, and for an upscaler's picture."""
        deep = work.frame.info.bit_depth > 8
        picture: RgbPicture = work.frame.rgb16() if deep else work.frame.rgb()
        if self._upscaler is not None:
            picture = self._upscaler.enlarge(picture)
        elif self._options.scale > 1:
            picture = _enlarged_rgb(picture, self._options.scale)
        for face in work.faces:
            composite_rgb(picture, self._patch(face, face.affine), work.grey)
        return picture

    def _patch(self, face: AlignedFace, affine: Affine) -> Patch:
        assert face.restored is not None
        placed = scale_transform(affine, self._options.scale)
        return Patch(face.restored, face.crop, placed, self._options.strength)

    def _write_rgb(self, work: FrameWork, picture: RgbPicture) -> None:
        if self._options.draw_tracks:
            faces = [_scaled(face, self._options.scale) for face in work.found]
            eight = (picture >> 8).astype(np.uint8) if picture.itemsize == 2 else picture
            picture = draw_faces(eight.astype(np.uint8), faces, work.frame.index, work.cut)
        with self._summary.timed("encode"):
            self._sink.write_rgb(picture, work.frame)


def save_crops(work: FrameWork, folder: Path) -> None:
    """PNG files `track_0001/frame_000012.png`, what the network was given, and beside it
    `frame_000012_restored.png` if it was run."""
    for face in work.faces:
        place = folder / f"track_{face.track:04d}"
        name = f"frame_{work.frame.index:06d}"
        _save(place / f"{name}.png", face.crop)
        if face.restored is not None and face.restored is not face.crop:
            _save(place / f"{name}_restored.png", face.restored)


def _save(path: Path, rgb: Rgb) -> None:
    _, data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise MediaError(f"cannot write the crop {path}: {error.strerror}") from error


def _enlarged_rgb(picture: RgbPicture, scale: int) -> RgbPicture:
    height, width = picture.shape[:2]
    size = (width * scale, height * scale)
    larger = cv2.resize(picture, size, interpolation=cv2.INTER_LANCZOS4)
    return cast(RgbPicture, larger)


def _scaled(face: TrackedFace, scale: int) -> TrackedFace:
    shift = (scale - 1) / 2
    return replace(face, landmarks=face.landmarks * scale + shift, box=face.box * scale + shift)
