"""The control process: `python -m keeprt.engine.live.control CONFIG`, started by the wire."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys

from keeprt.engine.live.control.address import read_token
from keeprt.engine.live.control.server import serve
from keeprt.engine.live.link import ControlConfig, Link
from keeprt.engine.live.memory import Memory
from keeprt.engine.live.preview import PREVIEW_BYTES, PreviewReader


def main() -> None:
    """Ctrl-C reaches every process of a terminal: the wire hears it, and ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # it would quote requests
    config = ControlConfig.read(sys.argv[1])
    reader = None
    if config.preview:
        reader = PreviewReader(Memory.of(config.preview_fd, PREVIEW_BYTES))
    token = read_token(config.token_file) if config.token_file else None
    listening = socket.socket(fileno=config.listen_fd)
    asyncio.run(serve(Link.of(config.link_fd), listening, token, reader))


if __name__ == "__main__":
    main()
