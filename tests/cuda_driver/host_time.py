"""What the host does for a steady frame: `python -m tests.cuda_driver.host_time BUNDLE`.

The real cuda.core on the driver in host memory, with nothing to compute: subgraphs are empty and
kernels return at once. Counted is the time of the thread that calls, so that what the driver's own
threads copy, in a card's place, is left out, and what other programs take is too. These copies
take the caches away from the thread that calls all the same, which a card does not do: with
`--still` the driver copies nothing either.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keeprt.engine import Restorer, load_bundle
from tests.cuda_driver import build
from tests.cuda_driver.engines import HostEngines, driver
from tests.cuda_driver.session import on_host_driver

SETTLES = 200  # frames


class IdleEngines(HostEngines):
    """Subgraphs that put nothing on a stream."""

    def bind(self, subgraph: str, addresses: Any, axes: Any) -> Any:
        return lambda stream: None


def idle_kernels(folder: Path) -> Path:
    """A build in which each kernel of the project is there and does nothing."""
    names = set()
    for built in build.build().glob("*.so"):
        listed = subprocess.run(["nm", "-D", built], capture_output=True, text=True, check=True)
        names |= set(re.findall(r" T (\w+)$", listed.stdout, re.MULTILINE)) - {"set_block"}
    source = "".join(f"void {name}(void) {{}}\n" for name in sorted(names))
    (folder / "idle.c").write_text(source + "void set_block(void) {}\n")
    target = folder / "idle.so"
    subprocess.run(["gcc", "-shared", "-fPIC", folder / "idle.c", "-o", target], check=True)
    return target


def steady_us(bundle_path: Path, faces: int, frames: int, still: bool) -> Iterator[float]:
    """Microseconds of processor time of `restore` for each frame, once it has settled."""
    bundle = load_bundle(bundle_path)
    engines = IdleEngines(bundle)
    picture = np.zeros((bundle.face_size, bundle.face_size, 3), np.uint8)
    with Restorer(bundle, engines, window=20, max_faces=faces) as restorer:
        restorer.warm_up()
        driver().hostdriver_noop(int(still))
        states: Any = [restorer.new_state() for _ in range(faces)]
        for index in range(SETTLES + frames):
            began = time.thread_time()
            _, states = restorer.restore([picture] * faces, states)
            if index >= SETTLES:
                yield (time.thread_time() - began) * 1e6


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--faces", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--still", action="store_true", help="the driver copies nothing")
    asked = parser.parse_args()
    if not on_host_driver():
        with tempfile.TemporaryDirectory() as folder:
            found = build.environment()
            found["HOSTDRIVER_KERNELS"] = str(idle_kernels(Path(folder)))
            command = [sys.executable, "-m", "tests.cuda_driver.host_time", *sys.argv[1:]]
            sys.exit(subprocess.run(command, env=found, check=False).returncode)
    print(f"load {os.getloadavg()[0]:.1f}")
    for faces in asked.faces:
        times = np.fromiter(steady_us(asked.bundle, faces, asked.frames, asked.still), float)
        low, middle, high = np.percentile(times, [10, 50, 90])
        print(
            f"{faces} faces, {asked.frames} frames: least {times.min():.0f} us, "
            f"p10 {low:.0f}, median {middle:.0f}, p90 {high:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
