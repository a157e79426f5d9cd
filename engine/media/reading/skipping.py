"""Which packets must be decoded to see the frames from a time on."""

from __future__ import annotations

from collections.abc import Iterator

from keeprt.engine.media.reading.demux import AnyPacket

# A group of pictures may be so long; longer ones are decoded as they come.
_MOST_HELD = 1500


def needed_from(packets: Iterator[AnyPacket], pts: int) -> Iterator[AnyPacket | None]:
    """The packets from the last but one key frame before `pts` on; None where some are left out.

    One key frame more than needed: pictures shown before a key frame may come after it.
    """
    held: list[AnyPacket] = []
    keys: list[int] = []
    left_out = False
    for packet in packets:
        at = packet.pts if packet.pts is not None else packet.dts
        if at is not None and packet.is_keyframe and at <= pts:
            if len(keys) > 1:
                held, keys = held[keys[1] :], [0]
                left_out = True
            keys.append(len(held))
        held.append(packet)
        reached = at is None or (packet.dts if packet.dts is not None else at) > pts
        if reached or len(held) > _MOST_HELD:
            break
    if left_out:
        yield None
    yield from held
    yield from packets
