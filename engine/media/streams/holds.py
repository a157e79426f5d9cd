"""What a container can hold: the muxer is asked, and a table says where its yes is of no use."""

from __future__ import annotations

import io

import av.error
from av.codec import Codec
from av.stream import Stream

from keeprt.engine.media.pyav import open_output

# MPEG-TS takes everything as private data that nobody plays: these have a stream type of their own.
# SCTE-35 has one too, but FFmpeg writes it as private data in PES packets, which no splicer reads.
_TS = frozenset(
    {
        *("aac", "aac_latm", "ac3", "eac3", "mp1", "mp2", "mp3", "dts", "truehd", "opus", "s302m"),
        *("dvb_subtitle", "dvbsub", "dvb_teletext", "klv", "smpte_klv", "timed_id3"),
    }
)
#: FFmpeg's name of the one subtitle format that PyAV can carry but not name.
TELETEXT = "dvb_teletext"
# In MP4 by the letter of FFmpeg, of no player.
_MP4_UNPLAYABLE = frozenset({"vorbis", "dvb_subtitle", "dvbsub", "wmav1", "wmav2", "wmapro"})


#: Those of which PyAV can make a stream like another; it calls all others "unknown".
KNOWN_TYPES = ("video", "audio", "subtitle", "data", "attachment")


def codec_of(stream: Stream) -> str:
    """FFmpeg's name of a stream's codec, whoever decodes it; "unknown" if it has none."""
    codec: Codec | None = getattr(stream.codec_context, "codec", None)
    if codec is not None:
        return str(codec.canonical_name)
    # A subtitle stream that nobody here decodes, DVB's teletext, has no attributes in PyAV.
    return getattr(stream, "name", None) or "unknown"


def holds(muxer: str, stream: Stream) -> bool:
    """Whether a file of this muxer holds this stream so that a player finds it."""
    codec = codec_of(stream)
    if stream.type not in KNOWN_TYPES:
        return False
    if stream.container.format.name == muxer and codec != "scte_35":
        return codec == "unknown" or _muxes(muxer, stream)
    if muxer == "mpegts" and codec not in _TS:
        return False
    if muxer == "mp4" and codec in _MP4_UNPLAYABLE:
        return False
    return _muxes(muxer, stream)


def _muxes(muxer: str, stream: Stream) -> bool:
    """Whether the real muxer writes a header for this stream."""
    try:
        with open_output(io.BytesIO(), format=muxer) as scratch:
            if muxer == "mxf":
                picture = scratch.add_stream("mpeg2video", rate=25, width=64, height=64)
                picture.pix_fmt = "yuv420p"
            scratch.add_stream_from_template(stream)
            scratch.start_encoding()
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return True
