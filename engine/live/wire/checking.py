"""`--check`: whatever of a channel can be tried without going on air, is tried.

Interface: `tried(options)` gives a line for each thing that was seen to be right, and raises
KeeprtError for the first that is not. Nothing is left open, sent or written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import av

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.live.control.address import listen
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.transports.addresses import Address, parse_address
from keeprt.engine.live.transports.opening import open_sink, open_source
from keeprt.engine.live.transports.programs import COMMANDS, PACKAGES
from keeprt.engine.media.errors import reason, redact

ENCODERS = {"h264": "libx264", "hevc": "libx265"}
#: What opening these does is undone by closing them.
OPENED = ("udp", "file")


def tried(options: LiveOptions) -> Iterator[str]:
    """See the module."""
    yield _source(parse_address(options.source, "SRC"))
    yield _sink(parse_address(options.sink, "DST"))
    for rung in options.ladder.rungs:
        if rung.path:
            yield _slate(rung.path)
    if options.codec != "auto":
        yield _encoder(ENCODERS.get(options.codec, options.codec))
    listening = listen(options.control, options.token_file or None)
    if listening is not None:
        listening.close()
        yield f"the page can be had at {options.control}"


def _source(address: Address) -> str:
    if address.scheme not in OPENED:
        return _connected_on_air(address)
    open_source(address.text).close()
    return f"SRC {redact(address.text)} can be opened"


def _sink(address: Address) -> str:
    if address.scheme == "udp":
        open_sink(address.text).close()
    elif address.scheme == "file":
        folder = Path(address.path).resolve().parent
        if Path(address.path).is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise MediaError(f"DST {redact(address.text)!r}: no file can be written there")
    else:
        return _connected_on_air(address)
    return f"DST {redact(address.text)} can be opened"


def _connected_on_air(address: Address) -> str:
    if address.scheme in COMMANDS:
        program = COMMANDS[address.scheme](address, 0)[0]
        if shutil.which(program) is None:
            package = PACKAGES[program]
            raise MediaError(f"the program {program} is not here: apt install {package}")
    return f"{address.role} {redact(address.text)} is an address; it is connected on air"


def _slate(path: str) -> str:
    try:
        with av.open(path) as container:
            frame = next(container.decode(video=0))
    except (OSError, IndexError, StopIteration, av.FFmpegError) as error:
        raise UsageError(f"--on-loss: the slate {path} is no picture: {reason(error)}") from None
    return f"the slate is a picture of {frame.width}x{frame.height}"


def _encoder(name: str) -> str:
    try:
        av.Codec(name, "w")
    except av.FFmpegError as error:
        raise UsageError(f"--codec: this installation has no {name}") from error
    return f"the encoder {name} is there"
