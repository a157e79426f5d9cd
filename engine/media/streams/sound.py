"""Sound that is encoded anew, where it was asked for."""

from __future__ import annotations

from fractions import Fraction

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_BITS_PER_CHANNEL = 96_000
_ADTS_BYTES = 7
_BY_CHANNELS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


class SoundEncoder:
    """Decodes one stream and encodes it as AAC at the same times."""

    def __init__(self, source: AudioStream, output: OutputContainer) -> None:
        context = source.codec_context
        rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48000
        layout = layout_of(source)
        self._source = source
        self.target = output.add_stream("aac", rate=rate, layout=layout)
        self.target.bit_rate = _BITS_PER_CHANNEL * context.channels
        self.target.time_base = Fraction(1, rate)
        self._resampler = AudioResampler("fltp", layout, rate)

    def push(self, packet: Packet[AudioStream], shift: int) -> list[Packet[AudioStream]]:
        """The packets that this one gives, all moved back by `shift` ticks of the source."""
        encoded: list[Packet[AudioStream]] = []
        for frame in packet.decode():
            if frame.pts is None:
                frame.pts = packet.pts
            frame.pts = (frame.pts or 0) - shift
            encoded += self._encode(frame)
        return encoded

    def finish(self) -> list[Packet[AudioStream]]:
        """The rest."""
        encoded = self._encode(None)
        return encoded + self.target.encode(None)

    def _encode(self, frame: AudioFrame | None) -> list[Packet[AudioStream]]:
        encoded: list[Packet[AudioStream]] = []
        for ready in self._resampler.resample(frame):
            encoded += self.target.encode(ready)
        return encoded


def layout_of(source: AudioStream) -> str:
    """The name of the channels' places; the usual one where the file only gives their number."""
    name: str = source.codec_context.layout.name
    if not name.endswith("channels"):
        return name
    return _BY_CHANNELS.get(source.codec_context.channels, name)


def adts_config(packet: bytes | None) -> bytes | None:
    """AAC's AudioSpecificConfig from a packet with an ADTS header (ISO/IEC 13818-7, 6.2), None
    for any other packet."""
    if packet is None or len(packet) < _ADTS_BYTES or packet[0] != 0xFF or packet[1] & 0xF6 != 0xF0:
        return None
    object_type, rate = (packet[2] >> 6) + 1, packet[2] >> 2 & 15
    channels = (packet[2] & 1) << 2 | packet[3] >> 6
    return (object_type << 11 | rate << 7 | channels << 3).to_bytes(2, "big")
