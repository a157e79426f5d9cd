"""`keeprt triton`: a model repository for a Triton server, and a look at a running one."""

from __future__ import annotations

from keeprt.engine.cli.options import many as a
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.terminal.console import announce
from keeprt.engine.errors import UsageError
from keeprt.engine.opening import on_a_card
from keeprt.engine.restorer import DEFAULT_WINDOW
from keeprt.engine.serving.triton_client import check as check_server
from keeprt.engine.serving.triton_repository import ServingOptions, write_repository


def triton(
    bundle: a.Served = None,
    out: a.Repository = None,
    backend: n.Backend = "onnxruntime",
    window: n.Window = DEFAULT_WINDOW,
    threads: n.NetworkThreads = None,
    faces: a.ServedFaces = 4,
    sequences: a.Sequences = 8,
    idle: a.Idle = 3.0,
    delay_ms: a.DelayMs = 0.0,
    check: a.Check = None,
    timeout: a.Timeout = 10.0,
) -> None:
    """Write a Triton model repository, or check a server.

    Example: keeprt triton bundle --out repository
    """
    if check is not None:
        if bundle is not None:
            raise UsageError("--check asks a running server: leave the bundle out")
        announce(f"the server answered in {1e3 * check_server(check, timeout):.0f} ms")
        return
    if bundle is None or out is None:
        raise UsageError("give a bundle and --out FOLDER, or --check HOST:PORT")
    load = {"backend": backend, "window": window, "threads": threads}
    options = ServingOptions(faces, sequences, idle, delay_ms, on_a_card(backend), load)
    folder = write_repository(bundle, out, options)
    announce(f"wrote {folder}: start the server with --model-repository={out}")
