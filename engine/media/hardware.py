"""A card's own circuits for video, NVDEC and NVENC, through FFmpeg as PyAV has it; and frames that
lie on a card."""

from __future__ import annotations

import av
import av.error
from av.codec.hwaccel import HWAccel, hwdevices_available

from keeprt.engine.devices.cuda.driver import require_card
from keeprt.engine.devices.cuda.planes import CardPlanes
from keeprt.engine.errors import BackendError, MediaError, UsageError
from keeprt.engine.media.errors import reason

DECODERS = ("cuda",)
ON_CARD = ("nv12", "p010le")


def hardware_decoder(
    name: str | None, device: int = 0, keep_on_card: bool = False
) -> HWAccel | None:
    """PyAV's decoder of that name on card number `device`; None for None, which is the processor.

    Frames come to host memory, as NV12 or P010, or stay on the card, from where `downloaded` brings
    them. What the card cannot decode is an error, for a decoder that falls back in silence is not
    the one that was asked for. Raises UsageError for an unknown name, BackendError where there is
    no driver, card or support in this FFmpeg.
    """
    if name is None:
        return None
    if name not in DECODERS:
        raise UsageError(f"unknown hwaccel {name!r}; there is {', '.join(DECODERS)}")
    require_card(device)
    if name not in hwdevices_available():
        raise BackendError(
            f"the FFmpeg of this PyAV decodes nothing on {name}; leave --hwaccel out"
        )
    return HWAccel(
        name, device=str(device), allow_software_fallback=False, is_hw_owned=keep_on_card
    )


def stored_format(frame: av.VideoFrame) -> av.VideoFormat:
    """How a frame's samples lie in memory, on a card too, where its own format is "cuda"."""
    return frame.sw_format or frame.format


def downloaded(frame: av.VideoFrame) -> av.VideoFrame:
    """A copy in host memory of a frame on a card, its time, tags and side data kept; itself if it
    is there. Raises MediaError."""
    if frame.sw_format is None:
        return frame
    try:
        return frame.reformat(format=frame.sw_format.name)
    except av.error.FFmpegError as error:
        raise MediaError(f"a frame cannot be copied from the card: {reason(error)}") from error


def planes_on_card(frame: av.VideoFrame) -> CardPlanes | None:
    """Where an NV12 or P010 frame lies on a card; None for any other frame."""
    stored = frame.sw_format
    if stored is None or stored.name not in ON_CARD:
        return None
    # PyAV's DLPack says the same, but leaves out the last line of chroma of an odd height.
    planes = frame.planes
    _, card = planes[0].__dlpack_device__()
    return CardPlanes(
        stored.name,
        frame.width,
        frame.height,
        tuple(plane.buffer_ptr for plane in planes),
        tuple(plane.line_size for plane in planes),
        card,
        frame,
    )


def require_encoder(codec: str) -> None:
    """Raises BackendError for an encoder of an NVIDIA card where there is none; FFmpeg's own words
    are "Operation not permitted"."""
    if codec.endswith("_nvenc"):
        require_card()
