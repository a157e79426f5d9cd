"""PQ and HLG video as the SDR picture that detector and network know, and back.

Code values are turned into light relative to the white of graphics (203 cd/m2, ITU-R BT.2408),
BT.2020 primaries into BT.709's; light is kept up to three quarters of that white, compressed by a
logarithm above it, and coded by BT.1886's gamma. All of it goes back, so that a change of the SDR
picture can be given to the HDR one. HLG is taken as shown on a display of 1000 cd/m2, channel by
channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

PQ, HLG, BT2020 = 16, 18, 9  # ITU-T H.273's numbers of transfers and primaries
_WHITE = 203.0
_PQ_PEAK, _HLG_PEAK, _HLG_GAMMA = 10000.0, 1000.0, 1.2
# SMPTE ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
# ARIB STD-B67.
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_GAMMA = 2.4
# The knee, and the width of the logarithm with which the curve has no corner there.
_KNEE, _WIDTH = 0.75, 0.034485
_SPAN = float(np.log1p((_PQ_PEAK / _WHITE - _KNEE) / _WIDTH))
# Linear BT.2020 to BT.709 (ITU-R BT.2407).
_TO_709 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ]
)


@dataclass(frozen=True)
class Tone:
    """How HDR code values stand for light. wide: their primaries are BT.2020's."""

    transfer: int
    wide: bool

    def to_sdr(self, rgb16: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
        """Full-range code values (H, W, 3) as an 8-bit SDR picture."""
        return np.rint(self._sdr(_unit(rgb16))).astype(np.uint8)

    def change(self, rgb16: npt.NDArray[np.uint16], change: Float32) -> Float32:
        """What a change of the SDR picture (H, W, 3), in 8-bit levels, is for the code values, in
        256ths of white as well; exactly 0 where it is 0."""
        before = self._sdr(_unit(rgb16))
        after = np.clip(before + change, 0.0, 255.0)
        difference = self._code(after) - self._code(before)
        return np.where(change == 0, 0, difference * 255).astype(np.float32)

    def _sdr(self, code: Float32) -> Float32:
        light = _pq_light(code) if self.transfer == PQ else _hlg_light(code)
        if self.wide:
            light = _transform(light, _TO_709)
        return np.asarray(255 * _compressed(np.maximum(light, 0)) ** (1 / _GAMMA), np.float32)

    def _code(self, sdr: Float32) -> Float32:
        light = _expanded(np.asarray((sdr / 255) ** _GAMMA, np.float32))
        if self.wide:
            light = np.maximum(_transform(light, np.linalg.inv(_TO_709)), 0)
        return _pq_code(light) if self.transfer == PQ else _hlg_code(light)


def tone_of(transfer: int, primaries: int) -> Tone | None:
    """None for SDR."""
    return Tone(transfer, primaries == BT2020) if transfer in (PQ, HLG) else None


def _unit(rgb16: npt.NDArray[np.uint16]) -> Float32:
    return rgb16.astype(np.float32) / np.float32(65535)


def _transform(light: Any, matrix: npt.NDArray[np.float64]) -> Float32:
    return np.asarray(cv2.transform(np.asarray(light, np.float32), matrix), np.float32)


def _compressed(light: Float32) -> Float32:
    above = np.maximum(light - _KNEE, 0)
    bent = _KNEE + (1 - _KNEE) * np.log1p(above / _WIDTH) / _SPAN
    return np.asarray(np.minimum(np.where(light <= _KNEE, light, bent), 1), np.float32)


def _expanded(bent: Float32) -> Float32:
    above = np.maximum(bent - _KNEE, 0)
    light = _KNEE + _WIDTH * np.expm1(above / (1 - _KNEE) * _SPAN)
    return np.asarray(np.where(bent <= _KNEE, bent, light), np.float32)


def _pq_light(code: Float32) -> Float32:
    power = code ** (1 / _M2)
    ratio = np.maximum(power - _C1, 0) / (_C2 - _C3 * power)
    return np.asarray(ratio ** (1 / _M1) * (_PQ_PEAK / _WHITE), np.float32)


def _pq_code(light: Float32) -> Float32:
    power = np.minimum(light * (_WHITE / _PQ_PEAK), 1.0) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2, np.float32)


def _hlg_light(code: Float32) -> Float32:
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - _C) / _A) + _B) / 12)
    return np.asarray(scene**_HLG_GAMMA * (_HLG_PEAK / _WHITE), np.float32)


def _hlg_code(light: Float32) -> Float32:
    scene = np.minimum(light * (_WHITE / _HLG_PEAK), 1.0) ** (1 / _HLG_GAMMA)
    bright = _A * np.log(np.maximum(12 * scene - _B, 1e-6)) + _C
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright), np.float32)
