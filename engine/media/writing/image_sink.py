"""Writing a folder of images."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import MediaError
from keeprt.engine.media.colour import Converter, tags_of
from keeprt.engine.media.errors import PathLike, display_name
from keeprt.engine.media.image_file import WRITTEN
from keeprt.engine.media.image_tags import colour_profile, with_profile
from keeprt.engine.media.info import RgbImage, VideoInfo, has_alpha
from keeprt.engine.media.source import SourceFrame
from keeprt.engine.media.writing.partial import PartialOutput
from keeprt.engine.media.writing.sink import Sink, check_picture, native_of, nothing_written

log = logging.getLogger(__name__)


class ImageSink(Sink):
    """Upright images, 16 bits a channel for sources of more than 8; see `open_sink`.

    An image of a folder keeps its name, depth, grey, alpha and colour profile, and its kind if
    that is PNG, TIFF or BMP; of any other kind a PNG is made, since JPEG would lose once more.
    """

    def __init__(
        self,
        path: Path,
        like: VideoInfo,
        size: tuple[int, int],
        inputs: list[PathLike],
        overwrite: bool,
        losses: list[str],
    ) -> None:
        self.path = path
        self._losses = losses
        self._like = like
        self._size = size[::-1] if like.orientation.transpose else size
        self._partial = PartialOutput(path, inputs, overwrite, is_folder=True)
        self._converter = Converter()
        self._written = 0
        self._closed = False
        self._said: set[str] = set()
        for loss in losses:
            log.warning("%s does not keep %s", display_name(path), loss)

    @property
    def losses(self) -> list[str]:
        return self._losses

    def write(self, frame: SourceFrame | av.VideoFrame) -> None:
        native = native_of(frame)
        info = self._info(frame)
        bits = 8 if info.bit_depth <= 8 else 16
        picture = self._converter.to_rgb(native, tags_of(native), bits)
        self._save(info.orientation.upright(picture), frame, native.format.name.startswith("gray"))

    def write_rgb(self, rgb: RgbImage, like: SourceFrame) -> None:
        self._save(rgb, like)

    def _save(
        self, rgb: RgbImage, frame: SourceFrame | av.VideoFrame, is_grey: bool = False
    ) -> None:
        check_picture(rgb, self._size)
        suffix = self._suffix(frame)
        file = self._partial.temporary / f"{self._name(frame)}{suffix}"
        if file.exists():
            raise MediaError(f"{display_name(self.path)}: two images are named {file.name}")
        data = _encoded(suffix, rgb[..., 0] if is_grey else self._with_alpha(rgb, frame))
        if suffix == ".png" and isinstance(frame, SourceFrame) and frame.info.is_folder:
            data = with_profile(data, colour_profile(Path(frame.info.path)))
        try:
            file.write_bytes(data)
        except OSError as error:
            raise MediaError(f"cannot write {display_name(self.path)}: {error.strerror}") from error
        self._written += 1

    def _with_alpha(self, rgb: RgbImage, frame: SourceFrame | av.VideoFrame) -> NDArray[Any]:
        """In cv2's order of channels."""
        alpha = _alpha(native_of(frame), rgb.itemsize)
        if alpha is None:
            return rgb[..., ::-1]
        upright: NDArray[Any] = self._info(frame).orientation.upright(alpha)
        if upright.shape[:2] != rgb.shape[:2]:  # the picture was enlarged
            upright = np.asarray(cv2.resize(upright, rgb.shape[1::-1]), rgb.dtype)
        return np.dstack([rgb[..., ::-1], upright.reshape(rgb.shape[:2])])

    def _info(self, frame: SourceFrame | av.VideoFrame) -> VideoInfo:
        return frame.info if isinstance(frame, SourceFrame) else self._like

    def _suffix(self, frame: SourceFrame | av.VideoFrame) -> str:
        info = self._info(frame)
        own = Path(info.path).suffix if info.is_folder and not Path(info.path).is_dir() else ".png"
        written = WRITTEN.get(own.lower())
        if written is None and own not in self._said:
            self._said.add(own)
            log.warning(
                "%s images are written as PNG, which loses nothing more", own.lstrip(".").upper()
            )
        return ".png" if written is None else own

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


def _alpha(native: av.VideoFrame, itemsize: int) -> Any:
    """(h, w, 1) as stored, None if all is opaque."""
    if not has_alpha(native.format):
        return None
    four = native.reformat(format="rgba" if itemsize == 1 else "rgba64le").to_ndarray()
    alpha: NDArray[Any] = four.reshape(native.height, native.width, 4)[..., 3:]
    opaque = 0xFF if itemsize == 1 else 0xFFFF
    return None if bool(np.all(alpha == opaque)) else alpha


def _encoded(suffix: str, picture: NDArray[Any]) -> bytes:
    # BMP has no more than 8 bits: what is deeper came from elsewhere.
    done, data = cv2.imencode(suffix, np.ascontiguousarray(picture))
    if not done:
        raise MediaError(f"cannot encode a {suffix} image of {picture.dtype} {picture.shape}")
    return bytes(data.tobytes())
