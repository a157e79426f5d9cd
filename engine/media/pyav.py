"""Where PyAV 18 and 19 differ, and only there: opening, rationals that are not set, side data."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from fractions import Fraction
from numbers import Rational
from typing import Any, Protocol, cast

import av
from av.container import InputContainer, OutputContainer
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType

from keeprt.engine.media.filters import filtered

# Byte for byte what the file says, in whatever encoding: 19 does nothing else and has no argument.
_HAS_ARGUMENT = int(av.__version__.split(".")[0]) < 19
_METADATA: dict[str, Any] = {"metadata_errors": "surrogateescape"} if _HAS_ARGUMENT else {}


_NEXT_KIND = 1 + max(int(cast(Any, kind).value) for kind in SideDataType)
# FFmpeg's later ones too; what it does not have is not there to be deleted.
_UNKNOWN_KINDS = range(_NEXT_KIND, _NEXT_KIND + 16)


class BinaryReader(Protocol):
    """What a container can be read from in place of a file."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""


def open_input(file: str | os.PathLike[str] | BinaryReader, **options: Any) -> InputContainer:
    """`av.open` for reading; text that is not UTF-8 comes with surrogates, as of `os.fsdecode`."""
    name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else file
    container: InputContainer = av.open(name, "r", **_METADATA, **options)
    return container


def open_output(file: str | os.PathLike[str] | io.BytesIO, **options: Any) -> OutputContainer:
    """`av.open` for writing; surrogates in metadata become the bytes that they stand for."""
    name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else file
    container: OutputContainer = av.open(name, "w", **_METADATA, **options)
    return container


def fraction(value: Rational | None) -> Fraction | None:
    """A rate, time base or aspect ratio; None where FFmpeg has none (18: None, 19: 0/1)."""
    return Fraction(int(value.numerator), int(value.denominator)) if value else None


def side_data(frame: av.VideoFrame) -> list[SideData]:
    """The side data of a frame, of the kinds that PyAV can hold.

    PyAV 18 refuses all for one kind that it does not know (EXIF, the view of a stereo video), and
    frees the name of an ICC profile a second time, which ends the process. Both are taken off a
    copy by FFmpeg first. Iterating gives the data in 18 and their types in 19.
    """
    container: Any = _held(frame).side_data
    found = list(cast(Iterable[Any], container))
    return [item if isinstance(item, SideData) else container[item] for item in found]


def _held(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame with no side data but what PyAV can hold."""
    kinds = (SideDataType.ICC_PROFILE.value, *_UNKNOWN_KINDS)
    return filtered(frame, *(("sidedata", f"mode=delete:type={kind}") for kind in kinds))
