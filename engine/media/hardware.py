"""A card's own circuits for video: NVDEC and NVENC, through FFmpeg as PyAV has it."""

from __future__ import annotations

from av.codec.hwaccel import HWAccel, hwdevices_available

from keeprt.engine.devices.cuda.driver import require_card
from keeprt.engine.errors import BackendError, UsageError

DECODERS = ("cuda",)


def hardware_decoder(name: str | None, device: int = 0) -> HWAccel | None:
    """PyAV's decoder of that name on card number `device`; None for None, which is the processor.

    Frames come to host memory, as NV12 or P010. What the card cannot decode is an error, for a
    decoder that falls back in silence is not the one that was asked for. Raises UsageError for an
    unknown name, BackendError where there is no driver, card or support in this FFmpeg.
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
    return HWAccel(name, device=str(device), allow_software_fallback=False)


def require_encoder(codec: str) -> None:
    """Raises BackendError for an encoder of an NVIDIA card where there is none; FFmpeg's own words
    are "Operation not permitted"."""
    if codec.endswith("_nvenc"):
        require_card()
