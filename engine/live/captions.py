"""Closed captions (ATSC A/53, CTA-708) taken off frames that come in, given to those that go out.

Interface: `queue.take(cc_data)` for every frame that came in, shown or not, in order of their
PTS; `queue.give()` for every frame that goes out, a repeat too: the triplets to be sent with it.
`insert_captions(access_unit, triplets, codec)` puts them into an encoded H.264 or HEVC picture, and
`captions_in(access_unit, codec)` takes them out of one that came.

`cc_data` is FFmpeg's side data A53_CC: triplets of flags and two bytes. What a dropped frame
carried goes out with the next; a repeated frame carries nothing again, for a decoder would print
every character twice. The channel is as wide as the standard says: 9600 bit/s, of line 21 a pair
per field and frame. Pairs and packets of nothing but padding are not queued, so that what had to
wait catches up in a captioner's pauses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from keeprt.engine.live.nal import Codec, escaped, first_picture

TRIPLETS_PER_S = 600
FIELDS_PER_S = 30
LONGEST_S = 4  # of captions that may wait
NO_PAIR = (0x80, 0x80)
_FIELD_1, _FIELD_2, _CONTINUES = 0, 1, 2
_MARK = b"GA94\x03"
_LONGEST = 2 + 31 * 3 + 32  # with bytes of emulation prevention


@dataclass
class CaptionQueue:
    """`period_s`: of the frames that go out."""

    period_s: Fraction
    dropped: int = 0  # triplets that waited too long
    _line_21: tuple[deque[bytes], deque[bytes]] = field(default_factory=lambda: (deque(), deque()))
    _packets: deque[bytes] = field(default_factory=deque)
    _seen: bool = False

    @property
    def waiting(self) -> int:
        """How many triplets have been taken and not given."""
        return len(self._line_21[0]) + len(self._line_21[1]) + len(self._packets)

    def take(self, cc_data: bytes) -> None:
        """Triplets of one frame; bytes that are no whole triplet are left out."""
        for triplet in _triplets(cc_data):
            if not triplet[0] & 4:  # not valid: padding
                continue
            self._seen = True
            kind = triplet[0] & 3
            if kind > _FIELD_2:
                self._packets.append(triplet)
            elif tuple(b | 0x80 for b in triplet[1:]) != NO_PAIR:
                self._line_21[kind].append(triplet)
        self._bound()

    def give(self) -> bytes:
        """The triplets of the next frame: empty before the first caption came."""
        if not self._seen:
            return b""
        given = [self._pair(kind) for _ in range(self._pairs) for kind in (_FIELD_1, _FIELD_2)]
        while self._packets and len(given) < self._most:
            given.append(self._packets.popleft())
        return b"".join(given)

    @property
    def _most(self) -> int:
        return min(31, int(TRIPLETS_PER_S * self.period_s))

    @property
    def _pairs(self) -> int:
        """Pairs of each field in a frame: at 25 frames a second two, at 30 and more one."""
        return ceil(FIELDS_PER_S * self.period_s)

    def _pair(self, kind: int) -> bytes:
        queue = self._line_21[kind]
        return queue.popleft() if queue else bytes((0xFC | kind, *NO_PAIR))

    def _bound(self) -> None:
        most = ceil(LONGEST_S / self.period_s)
        limits = ((self._line_21[0], most), (self._line_21[1], most))
        for queue, limit in (*limits, (self._packets, LONGEST_S * TRIPLETS_PER_S)):
            while len(queue) > limit:
                queue.popleft()
                self.dropped += 1


def caption_message(triplets: bytes) -> bytes:
    """The SEI message (ITU-T T.35, ATSC1_data) that carries the triplets, unescaped."""
    count = len(triplets) // 3
    body = b"\xb5\x00\x31GA94\x03" + bytes((0x40 | count, 0xFF)) + triplets[: 3 * count] + b"\xff"
    return bytes((4, len(body))) + body + b"\x80"


def insert_captions(access_unit: bytes, triplets: bytes, codec: Codec) -> bytes:
    """An Annex B access unit with the triplets in an SEI before its first slice."""
    if not triplets:
        return access_unit
    header = b"\x06" if codec == "h264" else b"\x4e\x01"
    unit = b"\x00\x00\x00\x01" + header + escaped(caption_message(triplets))
    at = first_picture(access_unit, codec)
    return access_unit[:at] + unit + access_unit[at:]


def _triplets(cc_data: bytes) -> Iterator[bytes]:
    for start in range(0, len(cc_data) - 2, 3):
        yield bytes(cc_data[start : start + 3])


def captions_in(access_unit: bytes, codec: str) -> bytes:
    """The triplets that a coded picture carries, in H.264 and HEVC's SEI or MPEG-2's user data."""
    found, at = b"", access_unit.find(_MARK)
    while at >= 0:
        data = access_unit[at + len(_MARK) : at + len(_MARK) + _LONGEST]
        if codec != "mpeg2video":
            data = data.replace(b"\x00\x00\x03", b"\x00\x00")
        if len(data) > 2 and data[0] & 0x40:
            found += data[2 : 2 + 3 * (data[0] & 31)]
        at = access_unit.find(_MARK, at + len(_MARK))
    return found[: len(found) // 3 * 3]
