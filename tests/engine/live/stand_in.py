"""A restorer's process of chosen delay and faults: `python -m tests.engine.live.stand_in FD`.

It paints a white square into the corner of every frame. FAULT in the environment: `raise@N`,
`hang@N`, `die@N` at its frame number N (in its first life alone where FAULT_FILE names a file that
is not there yet), or `never`: it never starts. DELAY: seconds a frame.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

from keeprt.engine.live.restoring.frames import Buffers
from keeprt.engine.live.restoring.messages import Done, Ready, Start, Work, receive, send
from keeprt.engine.live.status import Face
from keeprt.engine.live.wire.pictures import planes

SIDE = 32


def main(fd: int) -> int:
    end = socket.socket(fileno=fd)
    start = receive(end)
    assert isinstance(start, Start)
    fault, _, at = os.environ.get("FAULT", "").partition("@")
    once = os.environ.get("FAULT_FILE", "")
    if once and Path(once).exists():
        fault = ""
    if fault == "never":
        return 3
    buffers = Buffers(start.like, start.buffers, start.memory_fd)
    send(end, Ready())
    number = 0
    while isinstance(work := receive(end), Work):
        number += 1
        if fault and number == int(at):
            if once:
                Path(once).touch()
            if fault == "raise":
                send(end, Done(work.slot, work.buffer, error="ValueError: a fault"))
                continue
            if fault == "hang":
                time.sleep(3600)
            os._exit(9)
        time.sleep(float(os.environ.get("DELAY", "0")))
        frame = buffers.read(work.buffer)
        planes(frame)[0][:SIDE, :SIDE] = 235
        buffers.write(work.buffer, frame)
        faces = (Face(1, 0.0, 0.0, 0.1, 0.1, True),)
        send(end, Done(work.slot, work.buffer, painted=True, faces=faces))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
