"""Writing a folder of PNG images."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from keeprt.engine.errors import MediaError
from keeprt.engine.media.colour import Converter, tags_of
from keeprt.engine.media.errors import PathLike, display_name
from keeprt.engine.media.info import RgbImage, VideoInfo
from keeprt.engine.media.partial import PartialOutput
from keeprt.engine.media.sink import Sink, check_picture, native_of, nothing_written
from keeprt.engine.media.source import SourceFrame


class ImageSink(Sink):
    """PNG images, upright, 16 bits a channel for sources of more than 8; see `open_sink`."""

    def __init__(
        self,
        path: Path,
        like: VideoInfo,
        size: tuple[int, int],
        inputs: list[PathLike],
        overwrite: bool,
    ) -> None:
        self.path = path
        self._like = like
        self._size = size[::-1] if like.orientation.transpose else size
        self._partial = PartialOutput(path, inputs, overwrite, is_folder=True)
        self._converter = Converter()
        self._written = 0
        self._closed = False

    def write(self, frame: SourceFrame | av.VideoFrame) -> None:
        native = native_of(frame)
        bits = 8 if self._like.bit_depth <= 8 else 16
        picture = self._converter.to_rgb(native, tags_of(native), bits)
        self._save(self._like.orientation.upright(picture), frame)

    def write_rgb(self, rgb: RgbImage, like: SourceFrame) -> None:
        self._save(rgb, like)

    def _save(self, rgb: RgbImage, frame: SourceFrame | av.VideoFrame) -> None:
        check_picture(rgb, self._size)
        file = self._partial.temporary / f"{self._name(frame)}.png"
        if file.exists():
            raise MediaError(f"{display_name(self.path)}: two images are named {file.name}")
        done, data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))
        if not done:
            raise MediaError(f"cannot encode {file.name}")
        try:
            file.write_bytes(data.tobytes())
        except OSError as error:
            raise MediaError(f"cannot write {display_name(self.path)}: {error.strerror}") from error
        self._written += 1

    def _name(self, frame: SourceFrame | av.VideoFrame) -> str:
        if not isinstance(frame, SourceFrame):
            return f"frame_{self._written:06d}"
        return frame.name or f"frame_{frame.index:06d}"

    def close(self) -> None:
        if self._closed:
            return
        if not self._written:
            self.abort()
            raise nothing_written(self.path)
        self._closed = True
        self._partial.commit()

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            self._partial.discard()
