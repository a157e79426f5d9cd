"""`keeprt live`: a stream in, the restored stream out, at a delay that is declared and kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from keeprt.engine.cli.options import channel as c
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.terminal.console import announce, console
from keeprt.engine.errors import UsageError
from keeprt.engine.live.loss import DEFAULT_LADDER
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.status import Settings
from keeprt.engine.live.transports.addresses import parse_address
from keeprt.engine.live.wire.checking import tried
from keeprt.engine.media.errors import redact
from keeprt.engine.media.places import STANDARD
from keeprt.engine.restorer import DEFAULT_WINDOW

DEFAULTS = Settings()
DEFAULT_CONTROL = "127.0.0.1:8787"


def live(
    source: c.From,
    sink: c.To,
    bundle: c.Bundle = None,
    delay: c.Delay = "auto",
    bypass: c.Bypass = False,
    rate: c.Rate = "auto",
    # Which faces, and how they are found.
    faces: c.Faces = DEFAULTS.faces,
    strength: c.Strength = DEFAULTS.strength,
    min_size: c.MinSize = 32.0,
    detect_every: c.DetectEvery = DEFAULTS.detect_every,
    detect_side: c.DetectSide = 320,
    lookahead: c.Lookahead = 0,
    # The network.
    backend: c.Backend = "onnxruntime",
    provider: c.Provider = "cpu",
    device: c.Device = 0,
    threads: c.Threads = 1,
    window: c.Window = DEFAULT_WINDOW,
    # What comes in and goes out.
    programme: c.Programme = None,
    interlaced: c.Interlaced = "bypass",
    on_loss: c.OnLoss = DEFAULT_LADDER,
    codec: c.Codec = "auto",
    bitrate: c.Bitrate = None,
    preset: c.Preset = "superfast",
    # Who looks on.
    control: c.Control = DEFAULT_CONTROL,
    token_file: c.TokenFile = None,
    preview: c.Preview = "ws",
    json: c.Json = None,
    overwrite: r.Overwrite = False,
    config: c.Config = None,
    check: c.Check = False,
) -> None:
    """Put restored faces on air: a stream in, a stream out.

    All but the picture passes byte for byte, the same delay later. Ends at SIGTERM, with exit
    code 0.

    Example: keeprt live udp://@:5000 udp://239.1.1.1:5000 --bundle bundle --delay 160ms
    """
    options = LiveOptions(
        source=source,
        sink=sink,
        bundle=None if bundle is None else str(bundle),
        delay=delay,
        rate=rate,
        settings=Settings(strength, faces, bypass, detect_every),
        lookahead=lookahead,
        detect_side=detect_side,
        min_size=min_size,
        on_loss=on_loss,
        codec=codec,
        bitrate=bitrate,
        preset=preset,
        interlaced=interlaced,
        programme=programme,
        backend=backend,
        provider=provider,
        device=device,
        threads=threads,
        window=window,
        control=control,
        token_file="" if token_file is None else str(token_file),
        preview=preview == "ws",
    )
    refuse(options)
    refuse_sink(options.sink, json, overwrite=overwrite)
    if check:
        for line in tried(options):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        announce(f"a channel from {redact(source)} to {redact(sink)}: nothing is wrong with it")
        return
    _become_the_wire(options, "" if json is None else str(json))


def refuse(options: LiveOptions) -> None:
    """Raises KeeprtError for what would only fail once the channel runs."""
    options.settings.check()
    source, sink = parse_address(options.source, "SRC"), parse_address(options.sink, "DST")
    if source.is_that_of(sink):
        raise UsageError("SRC and DST are the same place: the channel would hear itself")
    if options.bundle is None and not options.settings.bypass:
        raise UsageError("give --bundle, or --bypass to put the originals on air")
    if options.bundle is not None:
        from keeprt.engine.bundle import load_bundle

        load_bundle(Path(options.bundle))
    for rung in options.ladder.rungs:
        if rung.path and not Path(rung.path).is_file():
            raise UsageError(f"--on-loss: the slate {rung.path} is not there")


def refuse_sink(sink: str, json: Path | None, *, overwrite: bool) -> None:
    """Raises UsageError for a file that would be lost, and for two outputs in one pipe."""
    address = parse_address(sink, "DST")
    if address.scheme == "file" and Path(address.path).is_file() and not overwrite:
        raise UsageError(f"DST {redact(sink)} exists already: --overwrite replaces it")
    if address.scheme == "pipe" and str(json) == STANDARD:
        raise UsageError("DST and --json both write to stdout: give one of them a file")


def _become_the_wire(options: LiveOptions, json_file: str) -> None:
    """The wire loads no inference library: this process, which has, is replaced by it."""
    news = "quiet" if console.quiet else "news"
    sys.stdout.flush()
    sys.stderr.flush()
    wire = ["-P", "-m", "keeprt.engine.live.wire", options.text(), news, json_file]
    os.execv(sys.executable, [sys.executable, *wire])
