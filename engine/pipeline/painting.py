"""The last stage: faces into the frame, in its own planes where it has some, and to the sink."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np

from keeprt.engine.errors import MediaError
from keeprt.engine.faces.alignment import Affine, scale_transform
from keeprt.engine.faces.detection import Rgb
from keeprt.engine.faces.hdr import Rgb16, composite_hdr_planes, composite_hdr_rgb
from keeprt.engine.faces.painting.compositing import Patch, RgbPicture, composite_rgb, touched
from keeprt.engine.faces.painting.drawing import draw_faces
from keeprt.engine.faces.painting.planes import YuvFormat, composite_planes
from keeprt.engine.faces.timeline import TrackedFace
from keeprt.engine.media import Sink, SourceFrame
from keeprt.engine.pipeline.native import (
    native_affine,
    of_field,
    planar,
    planes_of,
    tone_for,
    yuv_format,
)
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pipeline.upscaler import Upscaler
from keeprt.engine.pipeline.work import AlignedFace, FrameWork, Summary


class Painter:
    """Puts the restored faces of each frame back and writes it; from one thread."""

    def __init__(
        self,
        sink: Sink,
        options: RestoreOptions,
        upscaler: Upscaler | None,
        summary: Summary,
        crops: Path | None = None,
    ) -> None:
        """crops: the folder for the aligned faces while they are written."""
        self._sink, self._crops, self._summary = sink, crops, summary
        self._painting = Painting(options, upscaler, summary)

    def paint(self, work: FrameWork) -> None:
        """One frame, in order. Changes the decoded frame that it is given."""
        if self._crops is not None:
            save_crops(work, self._crops)
        painted = self._painting.step(work)
        with self._summary.timed("encode"):
            if isinstance(painted, SourceFrame):
                self._sink.write(painted)
            else:
                self._sink.write_rgb(painted, work.frame)


class Painting:
    """Puts the restored faces of each frame back, and writes nothing; from one thread."""

    def __init__(
        self, options: RestoreOptions, upscaler: Upscaler | None, summary: Summary
    ) -> None:
        self._options, self._upscaler, self._summary = options, upscaler, summary
        self._pictures = Pictures(options.cpu_threads)

    def step(self, work: FrameWork) -> SourceFrame | RgbPicture:
        """The painted frame: the decoded one, changed, or an upright RGB picture (H, W, 3) where
        its samples are no YUV planes, or more was asked for than painting."""
        form = yuv_format(work.frame)
        with self._summary.timed("composite"):
            if form is None or self._upscaler is not None:
                return self._with_tracks(work, self._paint_rgb(work))
            native = planar(work.frame) if work.painted else self._paint_planes(work, form)
            if not self._options.draw_tracks:
                return replace(work.frame, decoded=native)
            info, converter = work.frame.info, work.frame.converter
            rgb = converter.to_rgb(native, work.frame.colour, 8)
            return self._with_tracks(work, info.orientation.upright(rgb))

    def _paint_planes(self, work: FrameWork, form: YuvFormat) -> av.VideoFrame:
        """The frame's code values outside the masks stay what the decoder gave."""
        frame, scale = work.frame, self._options.scale
        native = planar(frame)
        if scale > 1:
            native = self._pictures.enlarged(native, scale)
        if not work.faces:
            return native
        native.make_writable()  # the decoder may still predict from it
        planes, tone = planes_of(native, form.depth), tone_for(frame)
        for face in work.faces:
            patch = self._patch(face, native_affine(face.affine, frame))
            if tone is None:
                composite_planes(planes, form, patch, work.grey)
                continue
            there = touched(patch.affine, planes[0].shape, patch.size)
            seen = self._pictures.deep_region(
                replace(frame, decoded=native), form, *dataclasses.astuple(there)
            )
            composite_hdr_planes(planes, form, patch, tone, seen, work.grey)
        return native

    def _paint_rgb(self, work: FrameWork) -> RgbPicture:
        """For video whose samples are no YUV planes, and for an upscaler's picture."""
        tone = tone_for(work.frame)
        deep = work.frame.info.bit_depth > 8 or tone is not None
        picture: RgbPicture = work.frame.rgb16() if deep else work.frame.rgb()
        if self._upscaler is not None:
            picture = self._upscaler.enlarge(picture)
        elif self._options.scale > 1:
            picture = _enlarged_rgb(picture, self._options.scale)
        for face in work.faces:
            patch = self._patch(face, of_field(face.affine, work.frame))
            if tone is None:
                composite_rgb(picture, patch, work.grey)
            else:
                composite_hdr_rgb(cast(Rgb16, picture), patch, tone, work.grey)
        return picture

    def _patch(self, face: AlignedFace, affine: Affine) -> Patch:
        assert face.restored is not None
        placed = scale_transform(affine, self._options.scale)
        strength = self._options.strength * face.found.weight
        return Patch(face.restored, face.crop, placed, strength)

    def _with_tracks(self, work: FrameWork, picture: RgbPicture) -> RgbPicture:
        if not self._options.draw_tracks:
            return picture
        faces = [_scaled(face, self._options.scale, work.frame) for face in work.found]
        eight = (picture >> 8).astype(np.uint8) if picture.itemsize == 2 else picture
        return draw_faces(eight.astype(np.uint8), faces, work.frame.index, work.cut)


def save_crops(work: FrameWork, folder: Path) -> None:
    """PNG files `track_0001/frame_000012.png`, what the network was given, and beside it
    `frame_000012_restored.png` if it was run."""
    for face in work.faces:
        place = folder / f"track_{face.track:04d}"
        parity = work.frame.parity
        name = f"frame_{work.frame.index:06d}" + ("" if parity is None else f"_field{parity}")
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


def _scaled(face: TrackedFace, times: int, frame: SourceFrame) -> TrackedFace:
    """The face where it lies in the picture that is drawn on: an enlarged one, or a field."""
    scale = np.array([times, times]) if frame.parity is None else np.array([1.0, 0.5])
    shift = (scale - 1) / 2 if frame.parity is None else np.array([0.0, -frame.parity / 2])
    box = face.box.reshape(2, 2) * scale + shift
    return replace(face, landmarks=face.landmarks * scale + shift, box=box.ravel())
