"""Triton itself, with its Python backend on a CPU, on 127.0.0.1: clients against direct runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from urllib.request import urlopen

import numpy as np
import psutil
import pytest

from keeprt.engine.errors import BackendError, StateError
from keeprt.engine.restorer import Restorer
from keeprt.engine.serving.triton_client import Channel, check, connect
from keeprt.engine.serving.triton_repository import ServingOptions, write_repository
from tests.networks import faces

READY_S = 120


def wheel() -> Path | None:
    """Where the wheel nvidia-pytriton lies, whose server is used and which is never imported: it
    wants an old NumPy. KEEPRT_PYTRITON names a folder that it was installed into by itself."""
    if apart := os.environ.get("KEEPRT_PYTRITON"):
        return Path(apart)
    spec = importlib.util.find_spec("pytriton")
    return None if spec is None or spec.origin is None else Path(spec.origin).parents[1]


def why_not() -> str:
    if importlib.util.find_spec("tritonclient") is None:
        return "tritonclient is not installed"
    found = wheel()
    if found is None:
        return "no wheel nvidia-pytriton, which has a server"
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return "this Python has no shared library, which the server's stub needs"
    if not stub(found).exists():
        return f"the wheel nvidia-pytriton in {found.name} has no stub for this Python"
    return ""


def stub(found: Path) -> Path:
    """The process of the Python backend, for this version of Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = found / "pytriton" / "tritonserver" / "python_backend_stubs" / version
    return folder / "triton_python_backend_stub"


REASON = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(REASON), reason=REASON)]


@dataclass
class Server:
    """A running server; url is that of its gRPC port."""

    url: str
    metrics: str
    process: subprocess.Popen[bytes]

    def stubs(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "stub" in child.name()]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def backends(folder: Path) -> Path:
    """The wheel's Python backend beside the stub for this Python."""
    found = wheel()
    assert found is not None
    server = found / "pytriton" / "tritonserver"
    target = shutil.copytree(server / "backends" / "python", folder / "backends" / "python")
    shutil.copy(stub(found), target)
    return folder / "backends"


def options(idle_s: float, delay_ms: float = 20) -> ServingOptions:
    load = {"threads": 1, "window": 3}
    return ServingOptions(faces=4, sequences=6, idle_s=idle_s, delay_ms=delay_ms, load=load)


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It gives a client up, and a batch away, later than a busy machine lets one wait."""
    with running(tiny_bundle, tmp_path_factory.mktemp("triton"), options(300, 200)) as started:
        yield started


@contextmanager
def running(bundle: Path, folder: Path, options: ServingOptions) -> Iterator[Server]:
    """A server on 127.0.0.1 with the repository of a bundle, for as long as the block runs."""
    write_repository(bundle, folder / "repo", options)
    found = wheel()
    assert found is not None
    http, grpc, metrics = free_ports(3)
    libraries = [Path(sysconfig.get_config_var("LIBDIR")), found / "nvidia_pytriton.libs"]
    command = [
        str(found / "pytriton" / "tritonserver" / "bin" / "tritonserver"),
        f"--model-repository={folder / 'repo'}",
        f"--backend-directory={backends(folder)}",
        *(f"--{kind}-address=127.0.0.1" for kind in ("http", "grpc", "metrics")),
        f"--http-port={http}",
        f"--grpc-port={grpc}",
        f"--metrics-port={metrics}",
        "--allow-gpu-metrics=false",
        "--exit-timeout-secs=2",
    ]
    environment = os.environ | {
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
    }
    log = (folder / "log").open("wb")
    with subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            url = f"127.0.0.1:{grpc}"
            wait_until_ready(url, process, folder / "log")
            yield Server(url, f"127.0.0.1:{metrics}", process)
        finally:
            process.terminate()
            process.wait(60)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(READY_S):
        with suppress(BackendError):
            connect(url, 1)
            return
        if process.poll() is not None:
            break
        time.sleep(1)
    raise AssertionError(log.read_text(errors="replace")[-3000:])


def direct(bundle: Path, clip: list[np.ndarray]) -> list[np.ndarray]:
    restorer = Restorer.load(bundle, threads=1, window=3)
    state, restored = restorer.new_state(), []
    for picture in clip:
        face, state = restorer.restore(picture, state)
        restored.append(face)
    return restored


def run_channel(url: str, clip: list[np.ndarray], shared: bool) -> list[np.ndarray]:
    with Channel(connect(url), timeout_s=120, shared_memory=shared) as channel:
        return [channel.restore(picture) for picture in clip]


@pytest.mark.parametrize("shared", [False, True])
def test_six_channels_at_once_are_each_a_direct_run(
    server: Server, tiny_bundle: Path, shared: bool
) -> None:
    pictures = faces(8)
    clips = [[pictures[(first + k) % 8] for k in range(6)] for first in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda clip: run_channel(server.url, clip, shared), clips))
    for clip, restored in zip(clips, found, strict=True):
        expected = direct(tiny_bundle, clip)
        assert all(np.array_equal(a, b) for a, b in zip(restored, expected, strict=True))


def test_frames_of_several_channels_go_as_one_batch(server: Server) -> None:
    before, clip, together = counted(server), faces(1) * 12, Barrier(4)

    def channel(_: int) -> None:
        together.wait(60)
        run_channel(server.url, clip, False)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(channel, range(4)))
    after = counted(server)
    batch = (after[0] - before[0]) / (after[1] - before[1])
    assert batch >= 3.5, f"{batch:.2f} of 4: the batcher does not wait for others"


def counted(server: Server) -> tuple[float, float]:
    """Frames that were restored so far, and batches."""
    with urlopen(f"http://{server.metrics}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    found = [
        float(line.rpartition(" ")[2])
        for name in ("nv_inference_count{", "nv_inference_exec_count{")
        for line in lines
        if line.startswith(name)
    ]
    return found[0], found[1]


def test_a_lost_or_doubled_frame_and_an_intruder_are_refused(server: Server) -> None:
    picture = faces(1)[0]
    with Channel(connect(server.url), timeout_s=120) as channel:
        channel.restore(picture)
        channel.restore(picture)
        for index in (1, 3):
            with pytest.raises(StateError, match="came twice"):
                channel._infer(picture, index, start=False, end=False)
        with pytest.raises(StateError, match="running already"):
            channel._infer(picture, 0, start=True, end=False)


def test_a_dead_client_makes_room_after_the_idle_timeout(tiny_bundle: Path, tmp_path: Path) -> None:
    picture = faces(1)[0]
    with running(tiny_bundle, tmp_path, options(4)) as server:
        client = connect(server.url)
        dead = [Channel(client, timeout_s=120) for _ in range(6)]
        for channel in dead:
            channel.restore(picture)
        with Channel(client, timeout_s=120) as late:
            late.restore(picture)
            for _ in range(3):  # one that waited so long for its place may lose it as idle itself
                with suppress(StateError):
                    late.restore(picture)
                    break
            else:
                raise AssertionError("no place became free")
        with pytest.raises(StateError):
            dead[0].restore(picture)


def test_the_canary_sees_what_readiness_does_not(server: Server, tiny_bundle: Path) -> None:
    assert check(server.url, timeout_s=120) > 0
    for stub in server.stubs():
        stub.send_signal(signal.SIGKILL)
    with pytest.raises((BackendError, StateError)):
        check(server.url, timeout_s=10)
