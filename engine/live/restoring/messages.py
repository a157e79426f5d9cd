"""What the wire and the restorer's process tell each other: one pickled value a packet.

The restorer is started as `python -m keeprt.engine.live.restoring FD`, and gets a `Start`; it
answers `Ready` once it is warm, or `Failed`. For each `Work` it then gives one `Done`, in order.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.status import Face, Settings
from keeprt.engine.media.info import VideoInfo

LARGEST = 1 << 16


@dataclass(frozen=True)
class Start:
    """What the restorer works on; `memory_fd` is of `Buffers(like, buffers)`."""

    options: LiveOptions
    like: VideoInfo
    buffers: int
    memory_fd: int


@dataclass(frozen=True)
class Ready:
    """Everything is loaded, and has run once."""


@dataclass(frozen=True)
class Failed:
    """Nothing can be restored: why, in one line."""

    why: str


@dataclass(frozen=True)
class Work:
    """A frame in a buffer, to be painted there until `until_s` of the monotonic clock. `resets`:
    how often the faces were forgotten; `chosen`: the place of the one face that is wanted."""

    slot: int
    buffer: int
    until_s: float
    settings: Settings
    resets: int = 0
    chosen: tuple[float, float] | None = None


@dataclass(frozen=True)
class Done:
    """`painted`: the buffer holds another picture than before. `late`: it was not looked at. Faces
    and seconds by stage of this frame."""

    slot: int
    buffer: int
    painted: bool = False
    late: bool = False
    error: str = ""
    faces: tuple[Face, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


Message = Start | Ready | Failed | Work | Done


def send(end: socket.socket, thing: Message) -> None:
    """Raises OSError where the other end is gone, BlockingIOError where it does not read."""
    end.send(pickle.dumps(thing))


def receive(end: socket.socket) -> Message | None:
    """None where the other end is gone; BlockingIOError where nothing lies there."""
    data = end.recv(LARGEST)
    if not data:
        return None
    thing: Message = pickle.loads(data)  # of our own process
    return thing
